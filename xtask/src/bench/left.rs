//! What a process holds, and what a run might leave behind on the machine.

use std::{fs, io, path::Path};

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// A look at one process and at the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) resident_kib: u64,
    fds: usize,
    threads: u64,
    /// Children, running or not reaped.
    children: usize,
    mounts: usize,
    cgroups: usize,
}

impl Left {
    pub(super) fn look(pid: u32) -> Result<Self> {
        let process = format!("/proc/{pid}");
        let read = |name: &str| {
            let path = format!("{process}/{name}");
            fs::read_to_string(&path).map_err(Error::io(&path))
        };
        let status = read("status")?;
        let fds = fs::read_dir(format!("{process}/fd")).map_err(Error::io(&process))?;
        let cgroups = Path::new("/sys/fs/cgroup");
        Ok(Self {
            resident_kib: status_kib(&status, "VmRSS").unwrap_or(0),
            fds: fds.count(),
            threads: status_kib(&status, "Threads").unwrap_or(0),
            children: children_of(pid).map_err(Error::io("/proc"))?,
            mounts: read("mountinfo")?.lines().count(),
            cgroups: directories(cgroups),
        })
    }

    /// What there is more of than at an earlier look; memory is left to the reader's eye.
    pub(super) fn more_than(&self, earlier: &Self) -> Vec<&'static str> {
        let pairs = [
            ("fds", self.fds, earlier.fds),
            ("children", self.children, earlier.children),
            ("mounts", self.mounts, earlier.mounts),
            ("cgroups", self.cgroups, earlier.cgroups),
        ];
        pairs
            .into_iter()
            .filter(|(_, now, then)| now > then)
            .map(|(name, ..)| name)
            .collect()
    }

    pub(super) fn print(&self, when: &str) {
        let Self {
            resident_kib,
            fds,
            threads,
            children,
            mounts,
            cgroups,
        } = self;
        println!(
            "{when:<12} {resident_kib:>6} KiB resident, {fds} fds, {threads} threads, {children} children, \
             {mounts} mounts, {cgroups} cgroups"
        );
    }

    pub(super) fn json(&self) -> Value {
        json!({ "resident_kib": self.resident_kib, "fds": self.fds, "threads": self.threads,
                "children": self.children, "mounts": self.mounts, "cgroups": self.cgroups })
    }
}

/// The number after `name:` in /proc/PID/status.
pub(super) fn status_kib(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn children_of(pid: u32) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        // A process may end between being listed and being read.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        count += usize::from(parent_of(&stat) == Some(pid));
    }
    Ok(count)
}

/// The fourth field; the second is in parentheses and may hold anything.
fn parent_of(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn directories(dir: &Path) -> usize {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let below = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(|entry| 1 + directories(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_fields_are_found_by_their_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmRSS:\t  2260 kB\nThreads:\t3\n";
        assert_eq!(status_kib(status, "VmRSS"), Some(2260));
        assert_eq!(status_kib(status, "Threads"), Some(3));
        assert_eq!(status_kib(status, "Vm"), None);
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_of("7 (a) b) (c) S 42 7 7"), Some(42));
    }
}
