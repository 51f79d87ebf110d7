//! A parameter sweep: the data is loaded once, each clone tries one parameter, and a command picks the best.
//!
//! The template is a copy of this process behind every wall of the policy; a clone is a fork of it that shares the data
//! until it writes to it, in a pid namespace of its own. What the clones print is the input of `sort`.

use std::error::Error;
use std::io::{Write, stdout};

use sandbox::{Command, Policy, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    // First in main: a template is made of a process with one thread.
    let points = || {
        (0..100_000_u32)
            .map(f64::from)
            .map(|x| (x / 1e4, (x / 1e4) * 3.0 + 1.0))
            .collect::<Vec<_>>()
    };
    let fit = |points: &Vec<(f64, f64)>, id: u32| {
        let slope = f64::from(id) / 4.0;
        let error: f64 = points.iter().map(|(x, y)| (y - slope * x - 1.0).powi(2)).sum();
        Ok::<_, std::convert::Infallible>(format!("{error:.1} slope {slope}\n").into_bytes())
    };
    let mut template = Sandbox::template(&Policy::default()).typed(points, fit)?;
    let best = Command::new("sh").args(["-c", "sort -n | head -n 1"]);
    let reduction = template.map_reduce(24, best)?;
    let answer = String::from_utf8_lossy(&reduction.reducer.stdout).into_owned();
    writeln!(stdout(), "best of {}: {answer}", reduction.clones.len())?;
    if answer.trim() == "0.0 slope 3" && reduction.success() {
        Ok(())
    } else {
        Err("the best slope is 3".into())
    }
}
