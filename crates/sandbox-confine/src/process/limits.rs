//! The limits that the supervisor itself enforces: the clock, CPU time by accounts, and its own kill.

use std::time::Duration;

use rustix::event::Timespec;
use rustix::time::{Itimerspec, TimerfdTimerFlags};
use sandbox_types::Outcome;

use super::Process;
use super::owned::STUCK;
use crate::cgroup::Cgroup;
use crate::error::RunError;

/// How long init may take to end what it was asked to end.
const PATIENCE: Duration = Duration::from_secs(1);

impl Process {
    pub(crate) fn kill_for(&mut self, outcome: Outcome) {
        if self.end.is_some() || self.killed_for.is_some() {
            return;
        }
        self.killed_for = Some(outcome);
        match &mut self.owned {
            Some(owned) => {
                owned.is_serving();
                let patience = if owned.serving.is_empty() { PATIENCE } else { STUCK };
                let asked = owned.init.ask_to_end();
                // Init reaps and reports; should it not, the kernel does it shortly after.
                let later = self.arm_timer(Some(monotonic_us().saturating_add(micros(patience))));
                if let Some(owned) = self.owned.as_ref().filter(|_| asked.is_err() || later.is_err()) {
                    owned.init.kill();
                }
            }
            None => {
                if let Err(error) = self.signal(libc::SIGKILL) {
                    tracing::error!(%error, "cannot kill the command");
                }
            }
        }
    }

    /// From now on it may take as long as it takes.
    pub(crate) fn unlimit_wall_time(&mut self) {
        self.watch.wall_time = None;
    }

    pub(super) fn first_deadline(&self) -> Option<u64> {
        let cpu = self.watch.cpu_time.map(|limit| limit / parallelism());
        let after = [self.watch.wall_time, cpu].into_iter().flatten().min()?;
        Some(self.started_us.saturating_add(micros(after)))
    }

    /// Looks at the clock and at the accounts; sets the timer to the earliest moment at which a limit can
    /// be reached, so that waiting costs nothing.
    pub(super) fn check_limits(&mut self) -> Result<(), RunError> {
        let mut expirations = [0; 8];
        let Some(timer) = &self.timer else { return Ok(()) };
        match rustix::io::read(timer, &mut expirations) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
            Err(errno) => {
                return Err(RunError::Io {
                    what: "read a timer",
                    source: errno.into(),
                });
            }
        }
        if let Some(owned) = &mut self.owned {
            let serves = !owned.serving.is_empty();
            if self.killed_for.is_some() || (self.end.is_some() && serves) {
                owned.init.kill();
                let is_slow = serves && !owned.stop_serving_if_stuck();
                return if is_slow { self.look_again() } else { Ok(()) };
            }
        }
        let now = monotonic_us();
        let wall = self
            .watch
            .wall_time
            .map(|limit| self.started_us.saturating_add(micros(limit)));
        if wall.is_some_and(|deadline| now >= deadline) {
            self.kill_for(Outcome::WallTime);
            return Ok(());
        }
        let mut next = wall;
        if let Some(limit) = self.watch.cpu_time {
            let left = micros(limit).saturating_sub(self.cpu_used_us());
            if left == 0 {
                self.kill_for(Outcome::CpuTime);
                return Ok(());
            }
            let soonest = now.saturating_add((left / u64::from(parallelism())).max(1000));
            next = Some(next.map_or(soonest, |wall| wall.min(soonest)));
        }
        self.arm_timer(next).map_err(|errno| RunError::Io {
            what: "timerfd_settime",
            source: errno.into(),
        })
    }

    /// Has it looked at again in a while whether what is served inside keeps the end from coming.
    pub(super) fn look_again(&self) -> Result<(), RunError> {
        let later = monotonic_us().saturating_add(micros(STUCK));
        self.arm_timer(Some(later)).map_err(|errno| RunError::Io {
            what: "timerfd_settime",
            source: errno.into(),
        })
    }

    pub(super) fn cpu_used_us(&self) -> u64 {
        let usage = self.cgroup().as_deref().map(Cgroup::usage).unwrap_or_default();
        usage
            .user_us
            .unwrap_or(0)
            .saturating_add(usage.system_us.unwrap_or(0))
    }

    pub(super) fn arm_timer(&self, at_us: Option<u64>) -> rustix::io::Result<()> {
        let (Some(at_us), Some(timer)) = (at_us, &self.timer) else {
            return Ok(());
        };
        let at = Timespec {
            tv_sec: i64::try_from(at_us / 1_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_us % 1_000_000 * 1000).unwrap_or(0),
        };
        let spec = Itimerspec {
            it_interval: Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: at,
        };
        rustix::time::timerfd_settime(timer, TimerfdTimerFlags::ABSTIME, &spec).map(drop)
    }
}

fn parallelism() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|count| u32::try_from(count.get()).ok())
        .unwrap_or(1)
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(u64::try_from(now.tv_nsec / 1000).unwrap_or(0))
}
