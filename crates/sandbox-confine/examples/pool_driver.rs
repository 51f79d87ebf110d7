//! The measuring half of `cargo xtask bench fork` for pools: commands that run in sandboxes which were ready, and the
//! same commands started bare.
//!
//! A request is a line of two words separated by a tab; the answer is one, too: `ok`, then the nanoseconds of each, all
//! separated by tabs; or `failed`, then why. Each is timed from before its start to after its end.
//!
//! - `pool COUNT`: /bin/true by [`Pool`], as often; the pool is full before the first;
//! - `bare COUNT`: /bin/true by posix_spawn(3) and waitpid(2);
//! - `take COUNT`: a sandbox is handed out;
//! - `steady COUNT`: as `pool`, but never waiting for the pool to be full.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use sandbox_confine::{Policy, Pool};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// So many are ready; a request is served in parts of half as many, with the pool full before each.
const SIZE: usize = 64;

fn main() -> Result<()> {
    let pool = Pool::new(&Policy::default(), SIZE)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match line
            .split_once('\t')
            .map(|(word, count)| answer(&pool, word, count))
        {
            Some(Ok(times)) => times
                .iter()
                .fold("ok".to_owned(), |line, time| format!("{line}\t{time}")),
            Some(Err(error)) => format!("failed\t{error}"),
            None => "failed\tno such request".to_owned(),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(pool: &Pool, word: &str, count: &str) -> Result<Vec<u128>> {
    let count: usize = count.parse()?;
    let once: fn(&Pool) -> Result<()> = match word {
        "pool" | "steady" => pooled,
        "bare" => bare,
        "take" => take,
        _ => return Err("no such request".into()),
    };
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        if word != "steady" && word != "bare" && number % (SIZE / 2) == 0 {
            pool.await_full();
        }
        let start = Instant::now();
        once(pool)?;
        times.push(start.elapsed().as_nanos());
    }
    Ok(times)
}

fn pooled(pool: &Pool) -> Result<()> {
    use sandbox_confine::Stdio;
    let command = pool.command("/bin/true").stdin(Stdio::Null).stdout(Stdio::Null);
    match command.stderr(Stdio::Null).status()? {
        outcome if outcome.success() => Ok(()),
        outcome => Err(outcome.to_string().into()),
    }
}

fn bare(_: &Pool) -> Result<()> {
    let mut command = Command::new("/bin/true");
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(status.to_string().into())
    }
}

fn take(pool: &Pool) -> Result<()> {
    // Ending it is not what is measured; the process ends soon.
    std::mem::forget(pool.take()?);
    Ok(())
}
