//! Calls that change the limits, priority or affinity of a process given by pid.
//!
//! The kernel asks only that both have the same user, and Landlock does not ask at all. So without a pid namespace
//! a process may change itself and no other, which could be one of the host's; with one, any but the sandbox's
//! init, which a limit of one CPU second would kill and the idle scheduler would stall. A filter does not see
//! namespaces: the first process of one that the command makes may name itself by 0 only.

use super::conditions::{Case, Condition, int_is};
use super::spec::FilterSpec;

/// SCHED_OTHER, and SCHED_IDLE.
const ORDINARY: u32 = 0;
const IDLE: u32 = 5;
/// The sandbox's init, its process group and its session.
const INIT: u32 = 1;

/// The cases of such a call; `None` for other calls.
pub(super) fn cases(call: &str, spec: &FilterSpec) -> Option<Vec<Case>> {
    let which = Which::of(call)?;
    if !spec.toggles.foreign_processes {
        let stands_back = spec.toggles.stands_back && call == "sched_setscheduler";
        return Some(if stands_back {
            vec![
                Case::allow([int_is(1, ORDINARY)]),
                Case::allow([int_is(0, 0), int_is(1, IDLE)]),
            ]
        } else {
            vec![Case::allow(which.process(0))]
        });
    }
    let with_init = which.everything_with_init().into_iter();
    Some(with_init.map(Case::refuse).collect())
}

/// How a call says which process it means.
enum Which {
    /// By pid alone; 0 is the caller.
    Pid,
    /// By the kind of what follows: process, then process group, then user.
    Kind {
        /// The number for a process; the other two come after it.
        process: u32,
    },
}

impl Which {
    fn of(call: &str) -> Option<Self> {
        match call {
            "prlimit64" | "sched_setaffinity" | "sched_setattr" | "sched_setparam" | "sched_setscheduler" => {
                Some(Self::Pid)
            }
            "setpriority" => Some(Self::Kind { process: 0 }),
            "ioprio_set" => Some(Self::Kind { process: 1 }),
            _ => None,
        }
    }

    fn process(&self, pid: u32) -> Vec<Condition> {
        match self {
            Self::Pid => vec![int_is(0, pid)],
            Self::Kind { process } => vec![int_is(0, *process), int_is(1, pid)],
        }
    }

    /// Init by pid, by its group, and by its user.
    fn everything_with_init(&self) -> Vec<Vec<Condition>> {
        let mut all = vec![self.process(INIT)];
        if let Self::Kind { process } = self {
            all.push(vec![int_is(0, process + 1), int_is(1, INIT)]);
            all.push(vec![int_is(0, process + 2)]);
        }
        all
    }
}
