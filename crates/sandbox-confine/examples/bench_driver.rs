//! The measuring half of `cargo xtask bench`: makes one run when told to, and answers how long it took.
//!
//! Every way of starting a program is timed here, by one clock, from one small process, so that who reads
//! the answers does not weigh on them. A request is one line of words separated by tabs:
//!
//! - `spawn PROGRAM [ARGUMENT]…`: posix_spawn and wait, no sandbox;
//! - `prepared PROGRAM …`: in a sandbox of its own, planned before;
//! - `inside PROGRAM …`: in a sandbox that lives on;
//! - `load SECONDS RUNS THREADS PROGRAM …`: prepared runs on so many threads, each after the other, until
//!   the time is over or so many are made; a line `run`, microseconds since the start, nanoseconds, for each.
//!
//! The answer is a line: `ok`, then the nanoseconds; or `failed`, then why. Arguments of this program are
//! directories that commands may write to; commands start where this program was started, if that is one.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sandbox_confine::{Command, Outcome, Policy, Prepared, Sandbox, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

struct Driver {
    prepared: Prepared,
    inside: Sandbox,
    cwd: Option<PathBuf>,
}

fn main() -> Result<()> {
    let mut policy = Policy::default();
    policy.filesystem.write = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let here = std::env::current_dir()?;
    let mut driver = Driver {
        cwd: policy.filesystem.write.contains(&here).then_some(here),
        prepared: Sandbox::prepare(&policy)?,
        inside: Sandbox::new(&policy)?,
    };
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let answer = match driver.answer(&words) {
            Ok(time) => format!("ok\t{}", time.as_nanos()),
            Err(error) => format!("failed\t{error}"),
        };
        say(&answer)?;
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

impl Driver {
    fn answer(&mut self, words: &[&str]) -> Result<Duration> {
        match words {
            ["spawn", argv @ ..] => spawn(argv),
            ["prepared", argv @ ..] => self.prepared(argv),
            ["inside", argv @ ..] => self.inside(argv),
            ["load", seconds, runs, threads, argv @ ..] => {
                let seconds = Duration::from_secs(seconds.parse()?);
                self.load(seconds, runs.parse()?, threads.parse()?, argv)
            }
            _ => Err("unknown request".into()),
        }
    }

    fn prepared(&self, argv: &[&str]) -> Result<Duration> {
        let command = self.command(argv);
        let start = Instant::now();
        let outcome = self.prepared.spawn(command)?.wait()?.outcome;
        let time = start.elapsed();
        succeeded(outcome, time)
    }

    fn inside(&mut self, argv: &[&str]) -> Result<Duration> {
        let command = self.command(argv);
        let start = Instant::now();
        let outcome = self.inside.spawn(command)?.wait()?.outcome;
        let time = start.elapsed();
        succeeded(outcome, time)
    }

    fn load(&self, limit: Duration, runs: u64, threads: usize, argv: &[&str]) -> Result<Duration> {
        let start = Instant::now();
        let (made, failure) = (AtomicU64::new(0), Mutex::new(None));
        let work = || -> Result<()> {
            while start.elapsed() < limit && made.fetch_add(1, Ordering::Relaxed) < runs {
                let time = self.prepared(argv)?;
                say(&format!(
                    "run\t{}\t{}",
                    start.elapsed().as_micros(),
                    time.as_nanos()
                ))?;
            }
            Ok(())
        };
        thread::scope(|scope| -> Result<()> {
            for _ in 0..threads {
                thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn_scoped(scope, || {
                        if let Err(error) = work()
                            && let Ok(mut failure) = failure.lock()
                        {
                            // The others need not go on.
                            made.store(runs, Ordering::Relaxed);
                            failure.get_or_insert(error);
                        }
                    })?;
            }
            Ok(())
        })?;
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(start.elapsed()),
        }
    }

    fn command(&self, argv: &[&str]) -> Command {
        let command = Command::from(argv)
            .stdin(Stdio::Null)
            .stdout(Stdio::Null)
            .stderr(Stdio::Null);
        match &self.cwd {
            Some(cwd) => command.cwd(cwd),
            None => command,
        }
    }
}

/// The standard library starts programs by posix_spawn(3) when nothing asks for more, as here.
fn spawn(argv: &[&str]) -> Result<Duration> {
    let [program, arguments @ ..] = argv else {
        return Err("no program".into());
    };
    let mut command = process::Command::new(program);
    command.args(arguments).stdin(process::Stdio::null());
    command
        .stdout(process::Stdio::null())
        .stderr(process::Stdio::null());
    let start = Instant::now();
    let status = command.spawn()?.wait()?;
    let time = start.elapsed();
    if status.success() {
        Ok(time)
    } else {
        Err(format!("{program}: {status}").into())
    }
}

fn succeeded(outcome: Outcome, time: Duration) -> Result<Duration> {
    if outcome.success() {
        Ok(time)
    } else {
        Err(format!("{outcome:?}").into())
    }
}
