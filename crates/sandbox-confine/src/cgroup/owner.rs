//! Whose group it is, written in its name.
//!
//! `sandbox-PID-STARTTIME-PIDNS-SUFFIX`: the start time (field 22 of `/proc/PID/stat`) tells a reused pid
//! from the owner, and the inode of the pid namespace keeps a host's `gc` from judging a container's pids.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Hierarchy;

/// The suffix of the leaf into which a process moved itself.
pub(super) const SUPERVISOR: &str = "supervisor";

/// The process that made a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) pid: u32,
    started: u64,
    pid_namespace: u64,
}

/// Whether an owner still needs its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnerState {
    /// It lives, or lives in another pid namespace where we cannot tell.
    MayLive,
    /// It is gone.
    Dead,
}

impl Owner {
    /// This process.
    pub(super) fn current(hierarchy: &Hierarchy) -> io::Result<Self> {
        Self::of(hierarchy, std::process::id())
    }

    /// A process of this pid namespace.
    pub(super) fn of(hierarchy: &Hierarchy, pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(stat_path(hierarchy, pid))?;
        let started = Stat::parse(&stat).ok_or(io::ErrorKind::InvalidData)?.started;
        Ok(Self {
            pid,
            started,
            pid_namespace: pid_namespace(hierarchy)?,
        })
    }

    /// The name of its group with this suffix.
    pub(super) fn directory(&self, suffix: impl std::fmt::Display) -> String {
        format!(
            "sandbox-{}-{}-{}-{suffix}",
            self.pid, self.started, self.pid_namespace
        )
    }

    /// The owner and the suffix in a name that [`Owner::directory`] made.
    pub(super) fn parse(name: &str) -> Option<(Self, &str)> {
        let mut parts = name.strip_prefix("sandbox-")?.splitn(4, '-');
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        let pid_namespace = parts.next()?.parse().ok()?;
        let suffix = parts.next()?;
        let known = suffix == SUPERVISOR || suffix.parse::<u64>().is_ok();
        known.then_some((
            Self {
                pid,
                started,
                pid_namespace,
            },
            suffix,
        ))
    }

    /// Looks the owner up in `/proc`. Only a positive answer counts as dead.
    pub(super) fn state(&self, hierarchy: &Hierarchy) -> io::Result<OwnerState> {
        if self.pid_namespace != pid_namespace(hierarchy)? {
            return Ok(OwnerState::MayLive);
        }
        let path = hierarchy
            .path(Path::new("/proc"))
            .join(self.pid.to_string())
            .join("stat");
        match fs::read_to_string(path) {
            Ok(text) => Ok(match Stat::parse(&text) {
                Some(stat) if stat.started != self.started || stat.ended => OwnerState::Dead,
                _ => OwnerState::MayLive,
            }),
            // ESRCH: it ended between open and read.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH) => {
                Ok(OwnerState::Dead)
            }
            Err(error) => Err(error),
        }
    }
}

const ESRCH: i32 = nix::errno::Errno::ESRCH as i32;

fn stat_path(hierarchy: &Hierarchy, pid: u32) -> PathBuf {
    hierarchy
        .path(Path::new("/proc"))
        .join(pid.to_string())
        .join("stat")
}

fn pid_namespace(hierarchy: &Hierarchy) -> io::Result<u64> {
    Ok(fs::metadata(hierarchy.path(Path::new("/proc/self/ns/pid")))?.ino())
}

/// What we need of `/proc/PID/stat`.
struct Stat {
    started: u64,
    /// A zombie: dead, though its parent has not noticed.
    ended: bool,
}

impl Stat {
    /// The name in parentheses may hold anything, so the fields are counted from its end.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let ended = matches!(fields.next()?, "Z" | "X" | "x");
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { started, ended })
    }
}
