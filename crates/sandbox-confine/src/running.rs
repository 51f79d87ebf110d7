//! Sandboxes that are alive, as /proc shows them.
//!
//! It is for people to look at, and nothing may depend on it: a sandbox without a pid namespace has no init and is not
//! found, and what runs inside has the command lines that it gives itself.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A sandbox that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its init. When it is killed, all that runs in the sandbox is.
    pub init: u32,
    /// Who has started it and waits for it; none where others have joined it and that process has left.
    pub started_by: Option<u32>,
    /// What was started in it and runs still, the arguments of each.
    pub commands: Vec<Vec<String>>,
    /// For how long it has been alive, to a hundredth of a second.
    pub age: Duration,
}

/// Every sandbox of this user that is alive; for root those of all.
///
/// # Errors
/// /proc cannot be read.
pub fn running() -> io::Result<Vec<Running>> {
    let user = rustix::process::getuid();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let status = Status::of(pid).filter(|status| status.is_init && !status.is_dead);
        let Some(status) = status.filter(|status| user.is_root() || status.uid == user.as_raw()) else {
            continue;
        };
        // What has ended meanwhile is not alive.
        let Some(age) = age(pid) else { continue };
        found.push(Running {
            init: pid,
            started_by: Some(status.parent).filter(|parent| *parent > 1),
            commands: children(pid).into_iter().filter_map(arguments).collect(),
            age,
        });
    }
    found.sort_by_key(|running| (running.age, running.init));
    Ok(found)
}

/// Of proc_pid_status(5).
struct Status {
    is_init: bool,
    is_dead: bool,
    parent: u32,
    uid: u32,
}

impl Status {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let mut lines = text.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        Some(Self {
            // Anybody may take the name; nobody can become the first process.
            is_init: field("Name")? == "sandbox-init"
                && field("NSpid")?.split_whitespace().next_back()? == "1",
            is_dead: field("State")?.starts_with(['Z', 'X']),
            parent: field("PPid")?.parse().ok()?,
            uid: field("Uid")?.split_whitespace().next()?.parse().ok()?,
        })
    }
}

fn age(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; the start is field 22 (proc_pid_stat(5)).
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    let start = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
    Some(Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(start))
}

fn children(pid: u32) -> Vec<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn arguments(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = bytes
        .strip_suffix(b"\0")
        .unwrap_or(&bytes)
        .split(|byte| *byte == 0);
    let words = words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // One that has ended, and has not been reaped yet, has none.
    (!bytes.is_empty()).then_some(words)
}
