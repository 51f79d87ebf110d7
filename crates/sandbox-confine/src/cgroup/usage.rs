//! What the group's counters say.

use super::{Cgroup, Controller, Version, files};

/// What a group used. A figure is absent when nothing here counts it, never zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupUsage {
    /// The most bytes charged to the group at once.
    pub peak_memory: Option<u64>,
    /// CPU time in user mode of everything that ran in the group, microseconds.
    pub user_us: Option<u64>,
    /// CPU time in the kernel, microseconds.
    pub system_us: Option<u64>,
    /// The most processes and threads at once.
    pub peak_processes: Option<u64>,
    /// Processes that the kernel's out-of-memory killer ended: by this group's limit, or because an outer
    /// group or the host had no memory left.
    pub oom_kills: Option<u64>,
    /// Forks that the process limit refused.
    pub fork_refusals: Option<u64>,
}

impl Cgroup {
    /// Reads the counters; they stay readable after the last process has ended, until the group is removed.
    pub fn usage(&self) -> CgroupUsage {
        let mut usage = CgroupUsage::default();
        if let Some(slot) = self.slot(Controller::Memory) {
            let (peak, events) = match slot.version {
                Version::V2 => ("memory.peak", "memory.events"),
                Version::V1 => ("memory.max_usage_in_bytes", "memory.oom_control"),
            };
            usage.peak_memory = files::number(&slot.dir.join(peak));
            usage.oom_kills = files::field(&slot.dir.join(events), "oom_kill");
        }
        if let Some(slot) = self.slot(Controller::Pids) {
            usage.peak_processes = files::number(&slot.dir.join("pids.peak"));
            usage.fork_refusals = files::field(&slot.dir.join("pids.events"), "max");
        }
        if let Some(slot) = self.slot(Controller::Cpu) {
            let nanoseconds = |file| files::number(&slot.dir.join(file)).map(|ns| ns / 1000);
            (usage.user_us, usage.system_us) = match slot.version {
                Version::V2 => {
                    let stat = slot.dir.join("cpu.stat");
                    (
                        files::field(&stat, "user_usec"),
                        files::field(&stat, "system_usec"),
                    )
                }
                Version::V1 => (
                    nanoseconds("cpuacct.usage_user"),
                    nanoseconds("cpuacct.usage_sys"),
                ),
            };
        }
        usage
    }
}
