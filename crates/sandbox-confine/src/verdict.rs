//! The verdict of a run, from evidence alone.

use std::time::Duration;

use sandbox_types::Outcome;

/// All that is known about the end of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence {
    /// The command's wait status, where init lived to see it.
    pub(crate) status: Option<i32>,
    /// What we killed it for.
    pub(crate) killed_for: Option<Outcome>,
    /// Output past the limit was found after the end.
    pub(crate) is_output_violated: bool,
    /// Processes that the kernel's out-of-memory killer ended.
    pub(crate) oom_kills: u64,
    /// Forks that the process limit refused.
    pub(crate) fork_refusals: u64,
    /// CPU time of the command and its reaped children.
    pub(crate) cpu: Duration,
    /// RLIMIT_CPU, where it is set.
    pub(crate) cpu_rlimit: Option<Duration>,
    /// Whether RLIMIT_FSIZE is set.
    pub(crate) file_size: bool,
}

const SIGKILL: i32 = 9;
/// What a shell ends with when what it waited for was killed.
const SHELL_SIGKILL: i32 = 128 + SIGKILL;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;

impl Evidence {
    /// One cause. `None` when init was killed from outside and nobody can know.
    pub(crate) fn verdict(&self) -> Option<Outcome> {
        let own = self.status.map(|status| match status & 0x7f {
            0 => Outcome::Exited {
                code: status >> 8 & 0xff,
            },
            signal => Outcome::Signaled { signal },
        });
        if own.is_some_and(|own| own.success()) && !self.is_output_violated {
            return own;
        }
        // The kernel's counters come first: a run that hit a limit and then hung until our clock killed it
        // failed by the limit.
        if self.oom_kills > 0 {
            return Some(Outcome::Memory);
        }
        if self.fork_refusals > 0 {
            return Some(Outcome::Processes);
        }
        // The kernel's clock for RLIMIT_CPU is sampled and runs up to a tenth ahead of the accounts.
        let cpu_is_used_up = self.cpu_rlimit.is_some_and(|limit| self.cpu >= limit * 4 / 5);
        match own {
            // Without a pid namespace our kill reaches one after the other: a shell may still say with which signal
            // what it waited for has ended.
            None | Some(Outcome::Signaled { signal: SIGKILL } | Outcome::Exited { code: SHELL_SIGKILL })
                if self.killed_for.is_some() =>
            {
                self.killed_for
            }
            _ if self.is_output_violated => self.killed_for,
            Some(Outcome::Signaled {
                signal: SIGXCPU | SIGKILL,
            }) if cpu_is_used_up => Some(Outcome::CpuTime),
            Some(Outcome::Signaled { signal: SIGXFSZ }) if self.file_size => Some(Outcome::FileSize),
            own => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_types::Stream;

    fn exited(code: i32) -> Evidence {
        Evidence {
            status: Some(code << 8),
            ..Evidence::default()
        }
    }

    fn signaled(signal: i32) -> Evidence {
        Evidence {
            status: Some(signal),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_shell_whose_child_we_killed_first_has_the_same_verdict() {
        let mut evidence = exited(137);
        evidence.killed_for = Some(Outcome::WallTime);
        assert_eq!(evidence.verdict(), Some(Outcome::WallTime));
        assert_eq!(exited(137).verdict(), Some(Outcome::Exited { code: 137 }));
    }

    #[test]
    fn a_program_s_own_124_and_its_own_sigkill_are_its_own() {
        assert_eq!(exited(124).verdict(), Some(Outcome::Exited { code: 124 }));
        assert_eq!(signaled(9).verdict(), Some(Outcome::Signaled { signal: 9 }));
        assert_eq!(signaled(24).verdict(), Some(Outcome::Signaled { signal: 24 }));
    }

    #[test]
    fn our_kill_is_the_cause_only_where_it_struck() {
        let killed_for = Some(Outcome::WallTime);
        assert_eq!(
            Evidence {
                killed_for,
                ..signaled(9)
            }
            .verdict(),
            killed_for
        );
        assert_eq!(
            Evidence {
                killed_for,
                ..Evidence::default()
            }
            .verdict(),
            killed_for
        );
        assert_eq!(
            Evidence {
                killed_for,
                ..exited(0)
            }
            .verdict(),
            Some(Outcome::Exited { code: 0 })
        );
        assert_eq!(
            Evidence {
                killed_for,
                ..exited(3)
            }
            .verdict(),
            Some(Outcome::Exited { code: 3 })
        );
    }

    #[test]
    fn a_limit_s_counter_is_evidence_unless_the_command_succeeded() {
        assert_eq!(
            Evidence {
                oom_kills: 1,
                ..signaled(9)
            }
            .verdict(),
            Some(Outcome::Memory)
        );
        assert_eq!(
            Evidence {
                oom_kills: 1,
                ..exited(1)
            }
            .verdict(),
            Some(Outcome::Memory)
        );
        assert_eq!(
            Evidence {
                oom_kills: 1,
                ..exited(0)
            }
            .verdict(),
            Some(Outcome::Exited { code: 0 })
        );
        let bomb = Evidence {
            fork_refusals: 9,
            killed_for: Some(Outcome::WallTime),
            ..Evidence::default()
        };
        assert_eq!(bomb.verdict(), Some(Outcome::Processes));
    }

    #[test]
    fn a_cpu_signal_counts_only_when_the_time_was_used() {
        let limit = Some(Duration::from_secs(1));
        let spent = Evidence {
            cpu: Duration::from_secs(1),
            cpu_rlimit: limit,
            ..signaled(24)
        };
        assert_eq!(spent.verdict(), Some(Outcome::CpuTime));
        let by_hand = Evidence {
            cpu: Duration::from_millis(5),
            cpu_rlimit: limit,
            ..signaled(24)
        };
        assert_eq!(by_hand.verdict(), Some(Outcome::Signaled { signal: 24 }));
    }

    #[test]
    fn too_much_output_found_after_a_good_exit_is_still_too_much() {
        let stream = Stream::Stdout;
        let killed_for = Some(Outcome::Output { stream });
        let late = Evidence {
            is_output_violated: true,
            killed_for,
            ..exited(0)
        };
        assert_eq!(late.verdict(), killed_for);
    }

    #[test]
    fn an_init_killed_from_outside_is_nobody_s_verdict() {
        assert_eq!(Evidence::default().verdict(), None);
    }
}
