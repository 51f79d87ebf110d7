//! Signals to everything inside.

use crate::descendants;
use crate::sys;

const SIGKILL: u64 = 9;
const SIGSTOP: u64 = 19;
const SIGCONT: u64 = 18;
/// The moment that [`Patience::Short`] waits, and between two looks.
const MOMENT_US: u64 = 500_000;
const PAUSE_MS: u64 = 2;
/// How often everybody is stopped in a pause.
const STOP_ROUNDS: u32 = 64;

/// Everything inside but init, and whether it is paused.
pub struct Everybody {
    pid_namespace: bool,
    is_paused: bool,
}

impl Everybody {
    /// All that is in init's pid namespace; without one, all that descends from init.
    pub const fn new(pid_namespace: bool) -> Self {
        Self {
            pid_namespace,
            is_paused: false,
        }
    }

    /// Whether the last one to pause or resume has paused.
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Stops everybody until they are resumed, but for the keeper of clones with this pid: what happens to a clone takes
    /// its doing, paused or not. 0 where there is none.
    pub fn pause(&mut self, keeper: u64) -> sys::Result<()> {
        self.stop()?;
        if let Some(keeper) = i32::try_from(keeper).ok().filter(|pid| *pid > 1) {
            // ESRCH: it has ended.
            let _ = sys::kill(keeper, SIGCONT);
        }
        self.is_paused = true;
        Ok(())
    }

    /// Continues everybody.
    pub fn resume(&mut self) -> sys::Result<()> {
        self.go_on()?;
        self.is_paused = false;
        Ok(())
    }

    /// Stops everybody for a moment, which is no pause.
    pub fn stop(&self) -> sys::Result<()> {
        // One that is about to continue the others when it is stopped still does so: stopped again, until
        // nobody is left to do it. Without a namespace, each round is a walk through /proc.
        let rounds = if self.pid_namespace {
            STOP_ROUNDS
        } else {
            STOP_ROUNDS / 16
        };
        for _ in 0..rounds {
            self.signal(SIGSTOP)?;
        }
        Ok(())
    }

    /// Lets everybody go on after that.
    pub fn go_on(&self) -> sys::Result<()> {
        self.signal(SIGCONT)
    }

    /// Kills everybody; the ends of commands are reported as always.
    pub fn kill(&self) {
        // ESRCH: nobody is left.
        let _ = self.signal(SIGKILL);
    }

    /// Whether it is all that is in init's pid namespace.
    pub const fn is_a_namespace(&self) -> bool {
        self.pid_namespace
    }

    fn signal(&self, signal: u64) -> sys::Result<()> {
        if !self.pid_namespace {
            descendants::signal_all(signal);
            return Ok(());
        }
        match sys::kill(-1, signal) {
            Ok(()) | Err(sys::ESRCH) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// How long to wait for whoever was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Until they are gone.
    Endless,
    /// A moment: one of them may wait for an answer that only the supervisor can put an end to.
    Short,
}

/// Ends everything else in this pid namespace, and waits for it.
pub fn kill_and_reap(patience: Patience) {
    // Whoever is inside descends from init. kill(2) of everybody looks at each process of the host: on one with 2,000 of them
    // it takes 0.3 ms to find that nobody is left.
    if !sys::has_children() || sys::kill(-1, SIGKILL).is_err() {
        return;
    }
    match patience {
        Patience::Endless => while sys::wait_for_any() {},
        Patience::Short => {
            let until = sys::monotonic_us() + MOMENT_US;
            while sys::reap_ended() && sys::monotonic_us() < until {
                sys::files::pause(PAUSE_MS);
            }
        }
    }
}
