//! Who holds a lock of flock(2).

use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its pid, as the caller sees it.
    pub pid: u32,
    /// What it was started as.
    pub command: String,
    /// The init of the sandbox that has it, where it is one; `pid` has started that then.
    pub sandbox: Option<u32>,
}

/// From /proc/locks (proc_locks(5)): `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`.
pub(crate) fn holder(file: &File) -> Option<Holder> {
    let metadata = file.metadata().ok()?;
    let device = format!(
        "{:02x}:{:02x}:{}",
        rustix::fs::major(metadata.dev()),
        rustix::fs::minor(metadata.dev()),
        metadata.ino()
    );
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let fields = locks
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&"FLOCK") && fields.get(5) == Some(&device.as_str()))?;
    let pid: u32 = fields.get(4)?.parse().ok()?;
    // A sandbox's init has no name a user knows; whoever has started it has.
    let is_init =
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sandbox-init\n");
    let named = parent_of(pid).filter(|_| is_init).unwrap_or(pid);
    Some(Holder {
        pid: named,
        command: command_of(named),
        sandbox: is_init.then_some(pid),
    })
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 1)
}

fn command_of(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = words.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
    words.join(" ").chars().take(200).collect()
}
