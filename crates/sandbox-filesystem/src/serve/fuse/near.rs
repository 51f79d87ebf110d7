//! Working where the caller runs.
//!
//! A caller and a worker on two processors wake one another by interrupts, which in a virtual machine take longer than
//! most requests (an idle processor has left to the host). On one processor a request and its answer are two switches
//! between threads. Two things keep them there: the worker binds itself to the processor on which the caller was last
//! seen (or tries them, where it cannot look), and answers as somebody who only runs when nobody else wants to
//! (`SCHED_IDLE`), since the kernel wakes the caller on a processor that has no one else, and would look for an idle one
//! otherwise (`select_idle_sibling`, kernel/sched/fair.c). Should others want to run there after all,
//! [`watch`](super::watch) makes it ordinary again within a millisecond (see [`standing`](super::standing)), and it stays
//! away for a while.
//!
//! **A caller is looked at when it has its answer, never before.** /proc/TID/stat waits for whoever is in the middle of
//! execve(2) (`exec_update_lock`), and whoever is closes its files there (close-on-exec), each of which is a request: it would
//! wait for this worker, and this worker for it. Looking can take long all the same; so one at most looks, and does not count as
//! listening meanwhile.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::pace::BRISK;
use super::standing::Standing;
use crate::sys::scheduler;

/// After so many requests it is looked where the caller is.
const LOOK: u32 = 32;
/// Of those, so many from another caller than the one before are a crowd, which is better served from elsewhere.
const CROWD: u32 = 8;
/// Whoever had to wait so often may be somewhere else.
const ELSEWHERE: u32 = 3;
/// Whoever did not stay near does not come back for so many requests at least, and at most.
const SHY: (u32, u32) = (64, 8192);

/// Where workers may run, and whom they work for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) processors: CpuSet,
    /// Whether callers are numbered as threads are here: a connection counts in the pid namespace of whoever has made it.
    pub(super) knows_callers: bool,
}

/// Where this process may run, if it is more than one processor and workers can stand back.
pub(super) fn possible() -> Option<CpuSet> {
    let set = sched_getaffinity(None).ok()?;
    (set.count() > 1 && scheduler::can_stand_back()).then_some(set)
}

/// The calling thread is bound to no processor.
pub(super) fn anywhere(set: &CpuSet) {
    if let Err(error) = sched_setaffinity(None, set) {
        tracing::debug!(%error, "bound to one processor");
    }
}

/// Of one worker.
#[derive(Debug, Default)]
pub(super) struct Near {
    /// Where it may run; nothing where it cannot work like this.
    anywhere: Option<CpuSet>,
    knows_callers: bool,
    here: Option<usize>,
    requests: u32,
    waits: u32,
    tried: u32,
    caller: u32,
    changes: u32,
    rest: u32,
    shy: u32,
    standing: Arc<Standing>,
    times: u32,
    /// Until then it does not come back, because it was kept from answering.
    away_until: Option<Instant>,
    is_behind: bool,
    /// It is time to look where the caller is; whether it may be somewhere else by now.
    due: Option<bool>,
}

impl Near {
    pub(super) fn new(surroundings: Option<Surroundings>, standing: &Arc<Standing>) -> Self {
        Self {
            anywhere: surroundings.map(|all| all.processors),
            knows_callers: surroundings.is_some_and(|all| all.knows_callers),
            standing: Arc::clone(standing),
            shy: SHY.0,
            ..Self::default()
        }
    }

    pub(super) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// Whether its thread only runs when nobody else wants to, and cannot become ordinary again: nobody should wait for it,
    /// nor for what it starts, which would be the same.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// From now on it works wherever the kernel puts it.
    pub(super) fn stay_away(&mut self) {
        self.leave();
        self.anywhere = None;
    }

    /// A request came from thread `caller` (0: nobody waits for it), while this worker listens `alone` or not, after it
    /// had to wait for it so many times.
    pub(super) fn asked(&mut self, caller: u32, alone: bool, waits: u32) {
        if self.anywhere.is_none() {
            return;
        }
        if !alone {
            self.leave();
            return;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        if self.away_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        if caller != 0 && caller != self.caller {
            self.caller = caller;
            self.changes += 1;
        }
        self.requests += 1;
        self.waits += waits;
        // On the caller's own processor a worker runs when the next request is there.
        let elsewhere = self.here.is_some() && self.waits >= ELSEWHERE;
        if self.requests < LOOK && !elsewhere {
            return;
        }
        self.requests = 0;
        self.waits = 0;
        if std::mem::take(&mut self.changes) > CROWD {
            self.leave();
        } else {
            self.due = Some(elsewhere);
        }
    }

    /// The request was answered: looks where its caller is, if it is time to. `looking` says whether another worker does,
    /// which may take long: then it is not known where anybody is.
    pub(super) fn look(&mut self, looking: &AtomicBool) {
        let Some(elsewhere) = self.due.take() else {
            return;
        };
        if !self.knows_callers {
            return self.follow(elsewhere, None);
        }
        if looking.swap(true, SeqCst) {
            self.leave();
            return;
        }
        let seen = processor_of(self.caller);
        looking.store(false, SeqCst);
        self.follow(elsewhere, seen);
    }

    fn follow(&mut self, elsewhere: bool, seen: Option<usize>) {
        let there = match seen {
            None if self.here.is_some() && !elsewhere => self.here,
            None => self.next(),
            seen => seen,
        };
        let Some(there) = there.filter(|there| self.may_run(*there)) else {
            self.leave();
            return;
        };
        if self.here == Some(there) {
            self.tried = 0;
            self.shy = (self.shy / 2).max(SHY.0);
            return;
        }
        let mut only = CpuSet::new();
        only.set(there);
        match sched_setaffinity(None, &only) {
            Ok(()) => self.here = Some(there),
            Err(_) => self.leave(),
        }
    }

    /// Where the callers cannot be seen (a server without /proc), one processor after the other is tried, each once.
    fn next(&mut self) -> Option<usize> {
        self.tried += 1;
        if self.tried > self.anywhere?.count() {
            self.tried = 0;
            return None;
        }
        let last = self.here.unwrap_or_else(sched_getcpu);
        let all = (last + 1..CpuSet::MAX_CPU).chain(0..=last);
        all.into_iter().find(|processor| self.may_run(*processor))
    }

    fn may_run(&self, processor: usize) -> bool {
        let within = processor < CpuSet::MAX_CPU;
        within && self.anywhere.is_some_and(|set| set.is_set(processor))
    }

    fn leave(&mut self) {
        if let (Some(_), Some(set)) = (self.here.take(), &self.anywhere) {
            self.rest = self.shy;
            self.shy = (self.shy * 2).min(SHY.1);
            anywhere(set);
        }
        self.requests = 0;
        self.due = None;
    }

    /// Does what wakes the caller.
    pub(super) fn answer<T>(&mut self, send: impl FnOnce() -> T) -> T {
        self.times = self.times.wrapping_add(1);
        let place = self.here.and_then(|_| self.standing.take(self.times));
        if place.is_none() || scheduler::stand_back().is_err() {
            return send();
        }
        let start = Instant::now();
        let sent = send();
        let forward = scheduler::step_forward();
        drop(place);
        if let Err(error) = forward {
            // The program has given up a privilege since.
            tracing::warn!(%error, "workers do not run beside their callers any more");
            self.is_behind = true;
            self.stay_away();
        }
        let lost = start.elapsed();
        if lost > STUCK {
            self.leave();
            self.away_until = Some(Instant::now() + AWAY * lost);
        }
        sent
    }
}

/// Who was kept from working for so long might have been needed.
const STUCK: Duration = BRISK;
/// It stays away for so many times as long as it was kept: less than 2 % of the time is lost like that.
const AWAY: u32 = 64;

/// The processor on which a thread runs, or ran last (`processor` of /proc/TID/stat, proc_pid_stat(5)).
fn processor_of(thread: u32) -> Option<usize> {
    if thread == 0 {
        return None;
    }
    let stat = fs::read_to_string(format!("/proc/{thread}/stat")).ok()?;
    processor_in(&stat)
}

fn processor_in(stat: &str) -> Option<usize> {
    // What follows the name begins with the third field; the name may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(39 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> u32 {
        sched_getaffinity(None).expect("an affinity").count()
    }

    fn this_thread() -> u32 {
        u32::try_from(rustix::thread::gettid().as_raw_pid()).expect("a thread")
    }

    /// A request from its arrival to after its answer.
    fn ask(near: &mut Near, caller: u32, alone: bool, waits: u32) {
        near.asked(caller, alone, waits);
        near.look(&AtomicBool::new(false));
    }

    fn asked_often(near: &mut Near, caller: u32) {
        (0..LOOK).for_each(|_| ask(near, caller, true, 0));
    }

    /// In a thread of its own, which is bound and unbound; nothing where this machine has one processor or this user may
    /// not come back from standing aside.
    fn with_near(test: impl FnOnce(Near, u32) + Send + 'static) {
        with_callers(true, test);
    }

    fn with_callers(knows_callers: bool, test: impl FnOnce(Near, u32) + Send + 'static) {
        let Some(processors) = possible() else {
            // Then nothing may be tried either.
            let mut near = Near::new(None, &Arc::default());
            asked_often(&mut near, this_thread());
            assert!(!near.is_here());
            return;
        };
        let thread = std::thread::spawn(move || {
            let surroundings = Surroundings {
                processors,
                knows_callers,
            };
            test(Near::new(Some(surroundings), &Arc::default()), processors.count());
        });
        thread.join().expect("the test");
    }

    #[test]
    fn the_processor_of_a_thread_is_found_behind_any_name() {
        let before = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 5 1 1 9 1 1 1 1 1 0 0 0 0 0 0 0 17 3 0 0";
        assert_eq!(processor_in(before), Some(3));
        assert_eq!(processor_in("7 (a) S 1"), None);
        assert!(processor_of(this_thread()).is_some());
        assert_eq!(processor_of(0), None);
        assert_eq!(processor_of(u32::MAX), None);
    }

    #[test]
    fn a_worker_binds_itself_to_where_one_caller_is_and_is_free_again_when_it_is_not_alone() {
        with_near(|mut near, all| {
            asked_often(&mut near, this_thread());
            assert!(near.is_here());
            assert_eq!(bound(), 1);
            ask(&mut near, this_thread(), false, 0);
            assert!(!near.is_here());
            assert_eq!(bound(), all);
            // It does not come back at once.
            asked_often(&mut near, this_thread());
            assert!(!near.is_here());
        });
    }

    #[test]
    fn a_worker_of_many_callers_is_bound_to_no_processor() {
        with_near(|mut near, all| {
            let other = 1;
            for request in 0..4 * LOOK {
                ask(
                    &mut near,
                    if request % 2 == 0 { other } else { this_thread() },
                    true,
                    0,
                );
            }
            assert!(!near.is_here());
            assert_eq!(bound(), all);
        });
    }

    #[test]
    fn a_worker_that_cannot_see_its_caller_tries_each_processor_once_while_it_has_to_wait() {
        with_near(|mut near, all| {
            let mut tried = std::collections::BTreeSet::new();
            for _ in 0..LOOK + all * ELSEWHERE {
                ask(&mut near, u32::MAX, true, 1);
                tried.extend(near.here);
            }
            assert_eq!(tried.len(), usize::try_from(all).expect("processors"));
            assert!(!near.is_here());
            assert_eq!(bound(), all);
        });
    }

    /// In a sandbox they are numbered from one, which here are others.
    #[test]
    fn a_worker_whose_callers_have_numbers_of_their_own_does_not_look_for_them() {
        with_callers(false, |mut near, all| {
            let mut tried = std::collections::BTreeSet::new();
            for _ in 0..LOOK + all * ELSEWHERE {
                ask(&mut near, this_thread(), true, 1);
                tried.extend(near.here);
            }
            assert_eq!(tried.len(), usize::try_from(all).expect("processors"));
            assert!(!near.is_here());
        });
    }

    #[test]
    fn a_worker_that_found_its_caller_unseen_stays() {
        with_near(|mut near, _| {
            (0..LOOK).for_each(|_| ask(&mut near, u32::MAX, true, 1));
            let here = near.here;
            assert!(here.is_some());
            (0..10 * LOOK).for_each(|_| ask(&mut near, u32::MAX, true, 0));
            assert_eq!(near.here, here);
        });
    }

    #[test]
    fn a_caller_is_looked_at_after_its_answer_and_by_one_worker_at_a_time() {
        with_near(|mut near, all| {
            (0..LOOK).for_each(|_| near.asked(this_thread(), true, 0));
            assert!(!near.is_here(), "it has no answer yet");
            let looking = AtomicBool::new(true);
            near.look(&looking);
            assert!(!near.is_here(), "another one looks");
            looking.store(false, SeqCst);
            near.look(&looking);
            assert!(!near.is_here(), "it was time once");
            asked_often(&mut near, this_thread());
            assert!(near.is_here());
            (0..LOOK).for_each(|_| near.asked(this_thread(), true, 0));
            near.look(&AtomicBool::new(true));
            assert_eq!(
                (near.is_here(), bound()),
                (false, all),
                "nobody knows where it is"
            );
        });
    }

    #[test]
    fn who_cannot_become_ordinary_again_is_known_and_bound_to_no_processor() {
        use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
        with_near(|mut near, all| {
            asked_often(&mut near, this_thread());
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nice);
            if limit.current.is_none_or(|limit| limit >= 20) {
                // Then no privilege is needed.
                return;
            }
            // Of this thread alone.
            let own = capabilities(None).expect("capabilities");
            let effective = own.effective - CapabilitySet::SYS_NICE;
            let less = CapabilitySets { effective, ..own };
            set_capabilities(None, less).expect("fewer capabilities");
            near.answer(|| ());
            assert!(near.is_behind() && !near.is_here());
            assert_eq!(bound(), all);
            asked_often(&mut near, this_thread());
            assert!(!near.is_here());
        });
    }

    #[test]
    fn who_is_near_answers_behind_everybody_else_and_is_ordinary_afterwards() {
        with_near(|mut near, _| {
            assert_eq!(near.answer(scheduler::stands_back), Some(false));
            asked_often(&mut near, this_thread());
            assert_eq!(near.answer(scheduler::stands_back), Some(true));
            assert_eq!(scheduler::stands_back(), Some(false));
        });
    }
}
