//! A parameter sweep in Python: the data is loaded once, each clone tries one parameter, and a command picks the best.
//!
//! The same as `sandbox fork --count 60 --parallel 20 --reduce 'sort -n | head -n 1' -- python3 sweep.py`. At most twenty
//! clones live at once, and a slow one holds nobody up.

use std::error::Error;
use std::io::{Write, stdout};

use sandbox::{Command, ForkOptions, Gathered, Policy, Sandbox};

const PROGRAM: &str = r#"
import sandbox_fork

points = [(x / 100, 3 * x / 100 + 1) for x in range(10000)]
number = sandbox_fork.ready()
slope = number / 10
print("%.1f slope %.1f" % (sum((y - slope * x - 1) ** 2 for x, y in points), slope))
"#;

const CLONES: u32 = 60;
const AT_ONCE: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut template =
        Sandbox::template(&Policy::default()).command(Command::new("python3").args(["-c", PROGRAM]))?;
    let mut best = template.reducer(Command::new("sh").args(["-c", "sort -n | head -n 1"]))?;
    let mut failed = None;
    best.feed_from(
        &mut template,
        CLONES,
        AT_ONCE,
        &ForkOptions::default(),
        |gathered| {
            if let Gathered::Ended { id, outcome } = gathered
                && !outcome.success()
            {
                failed = Some(format!("clone {id} {outcome}"));
            }
        },
    )?;
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    let result = best.finish()?.ok_or("a reducer")?;
    let answer = String::from_utf8_lossy(&result.stdout).into_owned();
    writeln!(stdout(), "best of {CLONES}: {}", answer.trim())?;
    if answer == "0.0 slope 3.0\n" {
        Ok(())
    } else {
        Err(format!("the best slope is 3, not {answer:?}").into())
    }
}
