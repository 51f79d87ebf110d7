//! Which mechanism holds which limit on this host.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox_types::policy::OnOutput;
use sandbox_types::{Mechanism, Policy, Span};

use super::Place;
use crate::cgroup::{Availability, CgroupLimits, CgroupSupport, Measure, Swap};
use crate::host::Host;
use crate::process::Watch;
use crate::streams::OutputLimit;

/// One setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// RLIMIT_*.
    pub resource: u32,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// The limits of one plan, and the mechanisms that hold them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) rlimits: Vec<Rlimit>,
    pub(super) cgroup: Option<CgroupLimits>,
    pub(super) watch: Watch,
    pub(super) output: Option<OutputLimit>,
    pub(super) held: BTreeSet<Mechanism>,
}

pub(super) fn plan(policy: &Policy, host: &Host, place: Place, cgroups: Option<&CgroupSupport>) -> Limits {
    let asked = &policy.limits;
    let mut limits = Limits::default();
    limits.held.extend([Mechanism::Supervisor, Mechanism::Rlimits]);
    // A size of 0 still feeds a piped core_pattern; 1 feeds nothing (core(5)).
    limits.add(libc::RLIMIT_CORE, 1);
    if let Some(files) = asked.open_files {
        limits.add(libc::RLIMIT_NOFILE, u64::from(files));
    }
    if let Some(size) = asked.file_size {
        limits.add(libc::RLIMIT_FSIZE, size.bytes());
        limits.watch.file_size = true;
    }
    let has = |availability: fn(&CgroupSupport) -> &Availability| {
        cgroups.is_some_and(|support| availability(support).version().is_some())
    };
    let mut group = CgroupLimits {
        memory: None,
        swap: Swap::Forbid,
        processes: None,
        measure: Measure::All,
    };
    let mut is_grouped = false;
    if let Some(memory) = asked.memory {
        if has(|support| &support.memory) {
            group.memory = Some(memory.bytes());
            limits.held.insert(Mechanism::CgroupMemory);
            is_grouped = true;
        } else {
            limits.add(libc::RLIMIT_DATA, memory.bytes());
            limits.held.insert(Mechanism::RlimitData);
        }
    }
    if let Some(processes) = asked.processes {
        // Init is one more.
        let processes = u64::from(processes) + 1;
        if has(|support| &support.pids) {
            group.processes = Some(processes);
            limits.held.insert(Mechanism::CgroupPids);
            is_grouped = true;
        } else if place == Place::Namespaces && host.nproc_per_namespace && !host.is_root() {
            limits.add(libc::RLIMIT_NPROC, processes);
            limits.held.insert(Mechanism::RlimitProcesses);
        }
    }
    if let Some(time) = asked.cpu_time {
        if has(|support| &support.cpu) {
            limits.watch.cpu_time = Some(time.duration());
            limits.held.insert(Mechanism::CgroupCpu);
            is_grouped = true;
        } else {
            let seconds = time.duration().as_micros().div_ceil(1_000_000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            // SIGXCPU at the soft limit, SIGKILL a second later for those who ignore it (setrlimit(2)).
            let (soft, hard) = (seconds, seconds.saturating_add(1));
            limits.rlimits.push(Rlimit {
                resource: libc::RLIMIT_CPU,
                soft,
                hard,
            });
            limits.watch.cpu_rlimit = Some(Duration::from_secs(seconds));
            limits.held.insert(Mechanism::RlimitCpu);
        }
    }
    limits.cgroup = is_grouped.then_some(group);
    limits.watch.wall_time = asked.wall_time.map(Span::duration);
    limits.output = asked.output.map(|output| OutputLimit {
        bytes: output.bytes(),
        truncates: asked.on_output == OnOutput::Truncate,
    });
    limits
}

impl Limits {
    fn add(&mut self, resource: u32, value: u64) {
        self.rlimits.push(Rlimit {
            resource,
            soft: value,
            hard: value,
        });
    }
}
