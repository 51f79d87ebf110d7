//! Reading and writing the small files of a cgroup.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes `value` to an existing file in one write(2); never creates one, so that a missing kernel feature
/// is `NotFound` instead of a stray file.
pub(super) fn write(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}

/// The number that the file holds; `None` when there is no such file or no number in it.
pub(super) fn number(path: &Path) -> Option<u64> {
    text(path)?.trim().parse().ok()
}

/// The number after `key` in a file of `key value` lines.
pub(super) fn field(path: &Path, key: &str) -> Option<u64> {
    text(path)?
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The words of the file; none when it cannot be read.
pub(super) fn words(path: &Path) -> Vec<String> {
    text(path)
        .map(|text| text.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// The processes in `dir`.
///
/// A process outside our pid namespace reads as 0. It is left out: it has no id that we could use, and
/// kill(2) with 0 means the caller's own process group.
pub(super) fn processes(dir: &Path) -> io::Result<Vec<u32>> {
    let text = fs::read_to_string(dir.join("cgroup.procs"))?;
    Ok(text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid != 0)
        .collect())
}

/// Calls `attempt` until it gives an answer, with growing pauses, for at most `limit`.
///
/// For what the kernel finishes by itself a moment later and sends no event about.
pub(super) fn retry<T>(limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_micros(50);
    loop {
        if let Some(answer) = attempt() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path)
        .inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!(path = %path.display(), %error, "cgroup file not readable");
            }
        })
        .ok()
}
