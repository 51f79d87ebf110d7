//! How a run ended, what it used, and the life cycle of a sandbox.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::EnforcementReport;

/// The verdict of a run: exactly one cause, decided by evidence and never guessed from a status.
///
/// Evidence is our own kill, or the counter of the mechanism that enforced the limit. A program that exits
/// with 124 or kills itself with SIGKILL is `Exited(124)` or `Signaled(9)`. A failure of the sandbox
/// itself is an error, never an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The command exited by itself.
    Exited {
        /// Its status, 0 to 255.
        code: i32,
    },
    /// A signal that was not ours ended the command.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The wall-clock limit passed and we killed it.
    WallTime,
    /// The CPU-time limit was used up.
    CpuTime,
    /// The kernel's memory controller killed a process of the sandbox.
    Memory,
    /// A stream wrote more than its limit and we killed the run.
    Output {
        /// The stream.
        stream: Stream,
    },
    /// The process limit refused a fork, and the command did not succeed.
    Processes,
    /// A file grew past its limit (SIGXFSZ).
    FileSize,
    /// The caller ended it: `kill()`, a dropped handle, Ctrl-C.
    Cancelled,
}

/// As a sentence goes on: `exited with status 0`, `ended by signal 9`, `reached the memory limit`.
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = match self {
            Self::Exited { code } => return write!(f, "exited with status {code}"),
            Self::Signaled { signal } => return write!(f, "ended by signal {signal}"),
            Self::Cancelled => return f.write_str("cancelled"),
            Self::WallTime => "wall time",
            Self::CpuTime => "CPU time",
            Self::Memory => "memory",
            Self::Output { .. } => "output",
            Self::Processes => "process",
            Self::FileSize => "file size",
        };
        write!(f, "reached the {limit} limit")
    }
}

impl Outcome {
    /// Whether the command exited with status 0.
    pub fn success(&self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }

    /// The exit status a shell-like caller should end with.
    ///
    /// The command's own status; 128 + n for a signal; 124 for a time limit, as `timeout(1)`; 137
    /// (SIGKILL) for memory and processes; 153 (SIGXFSZ) for output and file size; 130 when cancelled.
    pub fn exit_status(&self) -> u8 {
        match *self {
            Self::Exited { code } => u8::try_from(code & 0xff).unwrap_or(255),
            Self::Signaled { signal } => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(127)),
            Self::WallTime | Self::CpuTime => 124,
            Self::Memory | Self::Processes => 137,
            Self::Output { .. } | Self::FileSize => 153,
            Self::Cancelled => 130,
        }
    }
}

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

/// What a run used. A figure that no mechanism measured is absent, never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Microseconds from the command's exec to its end.
    pub wall_us: u64,
    /// User CPU time of everything inside, microseconds.
    pub user_us: u64,
    /// System CPU time of everything inside, microseconds.
    pub system_us: u64,
    /// Peak memory in bytes: of all processes together under a cgroup, of the largest one under rusage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The most processes and threads that lived at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_processes: Option<u64>,
    /// Bytes the command wrote to a captured or piped standard output.
    pub stdout_bytes: u64,
    /// Bytes the command wrote to a captured or piped standard error.
    pub stderr_bytes: u64,
    /// Where the CPU times come from.
    pub cpu_measured_by: MeasuredBy,
    /// Where the peak memory comes from.
    pub memory_measured_by: MeasuredBy,
}

impl Usage {
    /// Wall-clock time from exec to the end.
    pub fn wall(&self) -> Duration {
        Duration::from_micros(self.wall_us)
    }

    /// User and system time together.
    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.user_us.saturating_add(self.system_us))
    }
}

/// The mechanism behind a figure of [`Usage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuredBy {
    /// wait4(2)'s rusage, summed over reaped processes; memory is that of the largest one.
    #[default]
    Rusage,
    /// The cgroup v2 controllers.
    Cgroup2,
    /// The cgroup v1 controllers.
    Cgroup1,
}

/// Everything that comes back from a one-shot run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunResult {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What was enforced, and by what.
    pub report: EnforcementReport,
    /// Captured standard output; empty unless it was captured.
    #[serde(skip)]
    pub stdout: Vec<u8>,
    /// Captured standard error; empty unless it was captured.
    #[serde(skip)]
    pub stderr: Vec<u8>,
    /// Whether output past a limit was cut off rather than kept.
    #[serde(default)]
    pub truncated: bool,
}

/// The life cycle of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxStatus {
    /// Described; nothing started yet.
    Created,
    /// Its init runs.
    Running,
    /// Told to end; commands still run.
    Draining,
    /// Every process inside is stopped.
    Paused,
    /// Ended as asked.
    Stopped,
    /// Its init died without being asked to.
    Crashed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_follow_the_shell() {
        for (outcome, status) in [
            (Outcome::Exited { code: 0 }, 0),
            (Outcome::Exited { code: 124 }, 124),
            (Outcome::Signaled { signal: 9 }, 137),
            (Outcome::Signaled { signal: 64 }, 192),
            (Outcome::WallTime, 124),
            (Outcome::Memory, 137),
            (
                Outcome::Output {
                    stream: Stream::Stdout,
                },
                153,
            ),
        ] {
            assert_eq!(outcome.exit_status(), status, "{outcome:?}");
        }
    }

    #[test]
    fn outcomes_are_tagged_in_json() {
        let json = |o: Outcome| serde_json::to_string(&o).expect("plain data");
        assert_eq!(json(Outcome::Exited { code: 0 }), r#"{"kind":"exited","code":0}"#);
        assert_eq!(json(Outcome::WallTime), r#"{"kind":"wall_time"}"#);
        assert_eq!(
            json(Outcome::Output {
                stream: Stream::Stdout
            }),
            r#"{"kind":"output","stream":"stdout"}"#
        );
    }
}
