//! Looking at the host from outside the sandbox.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox_confine::{Policy, Sandbox};
use sandbox_types::{Guarantee, Mechanism};

/// Whether the test runs as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether namespaces work here, or why not.
pub(crate) fn namespaces() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let result = Sandbox::command(&Policy::default(), "/bin/true")
                .output()
                .map_err(|error| error.to_string())?;
            let containment = result.report.get(Guarantee::Containment);
            if containment.is_some_and(|entry| entry.by.contains(&Mechanism::PidNamespace)) {
                return Ok(());
            }
            let notes: Vec<_> = result.report.notes.into_iter().map(|note| note.what).collect();
            Err(format!("no namespaces: {}", notes.join("; ")))
        })
        .clone()
}

/// Where a program is on the caller's PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// A number of seconds that nobody else sleeps: an argument to find processes by.
pub(crate) fn unique_seconds() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("86{number:03}.{:07}", std::process::id())
}

/// Pids of living processes, zombies not counted, that have `argument` as one of theirs.
pub(crate) fn live_with_argument(argument: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0)
                    .any(|word| word == argument.as_bytes())
            })
        })
        .collect()
}

/// Children of this process, zombies included.
pub(crate) fn children() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").expect("/proc").flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Numbers and targets of this process's descriptors.
pub(crate) fn descriptors() -> Vec<(u32, String)> {
    let mut found: Vec<_> = fs::read_dir("/proc/self/fd")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some((entry.file_name().to_str()?.parse().ok()?, target))
        })
        .collect();
    // That of the listing itself.
    found.retain(|(_, target)| !(target.starts_with("/proc/") && target.ends_with("/fd")));
    found.sort_unstable();
    found
}

/// How many mounts this process sees.
pub(crate) fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo")
        .expect("/proc")
        .lines()
        .count()
}

/// Private directories that this process has made for sandboxes and not removed.
pub(crate) fn private_entries() -> Vec<PathBuf> {
    let prefix = format!(
        "sandbox-{}-{}-",
        rustix::process::getuid().as_raw(),
        std::process::id()
    );
    fs::read_dir(std::env::temp_dir())
        .expect("a temporary directory")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}
