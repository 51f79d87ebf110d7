//! The measuring half of `cargo xtask bench fork`: a template of so much memory, forked when told to.
//!
//! Arguments: MiB that the template touches (1), `4k` or `huge` for its pages, and what clones do: `end` at once (so
//! without the word), `write` to every page first, or `wait`. A request is a line of words separated by
//! tabs; the answer is one, too: `ok`, then nanoseconds until all clones ran, and until all had ended; or `failed`, then
//! why. The C program `xtask/bench/fork.c` answers the same for a bare loop of fork(2).
//!
//! - `fork COUNT`: clones without captured streams that end at once;
//! - `capture COUNT`: the same with both output streams captured, as is the default;
//! - `write COUNT`: the same as `fork`, of a template whose clones write;
//! - `idle COUNT`: clones that wait, and the PSS of all of them and their template, in KiB, in place of the second time.

use std::error::Error;
use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sandbox_confine::{CloneOutput, ForkOptions, Policy, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

static MEMORY: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let mib: usize = words.next().map_or(Ok(1), |mib| mib.parse())?;
    let huge = words.next().as_deref() == Some("huge");
    let load = move || {
        let mut memory = vec![0_u8; mib << 20];
        touch(&mut memory);
        *MEMORY.lock().expect("one thread") = memory;
    };
    let does = words.next().unwrap_or_default();
    let work = |_| match does.as_str() {
        "write" => touch(&mut MEMORY.lock().expect("one thread")),
        "wait" => std::thread::sleep(Duration::from_mins(10)),
        _ => {}
    };
    let policy = Policy::default();
    let builder = Sandbox::template(&policy);
    let builder = if huge { builder.huge_pages() } else { builder };
    let mut template = builder.functions(load, work)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match line
            .split_once('\t')
            .map(|(word, count)| answer(&mut template, word, count))
        {
            Some(Ok((made, ended))) => format!("ok\t{made}\t{ended}"),
            Some(Err(error)) => format!("failed\t{error}"),
            None => "failed\tno such request".to_owned(),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(template: &mut Sandbox, word: &str, count: &str) -> Result<(u128, u128)> {
    let count = count.parse()?;
    let null = ForkOptions::default()
        .stdout(CloneOutput::Null)
        .stderr(CloneOutput::Null);
    let options = if word == "capture" {
        ForkOptions::default()
    } else {
        null
    };
    let start = Instant::now();
    let mut clones = template.fork_with(count, &options)?;
    let made = start.elapsed().as_nanos();
    let answer = if word == "idle" {
        (made, u128::from(pss(template, clones.len())?))
    } else {
        for clone in &mut clones {
            let outcome = clone.wait()?.outcome;
            if !outcome.success() {
                return Err(format!("a clone {outcome}").into());
            }
        }
        (made, start.elapsed().as_nanos())
    };
    Ok(answer)
}

/// The proportional set size of all processes of a sandbox with so many clones, KiB.
fn pss(template: &Sandbox, clones: usize) -> Result<u64> {
    let init = template.pid().ok_or("no sandbox")?;
    // Clones come to their keeper when all have been made; who looks meanwhile may miss them.
    for _ in 0..1000 {
        let (total, processes) = counted(init);
        // And init, the keeper, the template.
        if processes >= clones + 3 {
            return Ok(total);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("there are fewer processes than clones".into())
}

/// The proportional set size of a process and its descendants, KiB, and how many have been counted.
fn counted(init: u32) -> (u64, usize) {
    let (mut total, mut processes, mut has_keeper) = (0, 0, false);
    let mut inside = vec![init.to_string()];
    while let Some(pid) = inside.pop() {
        let tasks = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        inside.extend(tasks.split_whitespace().map(str::to_owned));
        // The first processes of the clones' namespaces share the memory of their keeper, which counts once.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() == "sandbox-keeper" && std::mem::replace(&mut has_keeper, true) {
            continue;
        }
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let pss = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        total += pss.unwrap_or(0);
        processes += 1;
    }
    (total, processes)
}

fn touch(memory: &mut [u8]) {
    for page in memory.chunks_mut(4096) {
        if let Some(byte) = page.first_mut() {
            *byte = black_box(byte.wrapping_add(1));
        }
    }
}
