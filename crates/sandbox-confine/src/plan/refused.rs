//! Which limit the kernel has refused to a command: looked for only after it has.

use super::Plan;

/// A limit, niceness or choice of CPUs that the caller may not give to a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedLimit {
    /// More than the caller's own hard limit.
    #[error("open files: {asked} is more than {most}, the most that you may open yourself")]
    OpenFiles {
        /// What the policy says.
        asked: u64,
        /// The caller's hard limit.
        most: u64,
    },
    /// More urgent than the caller may be.
    #[error(
        "nice: {asked} is more urgent than {own}, at which you run; a command can only be made less urgent"
    )]
    Nice {
        /// What the policy says.
        asked: i32,
        /// The caller's own niceness.
        own: i32,
    },
    /// None of the CPUs can be used.
    #[error("cpus: there is no CPU {}, or you may not use it", list(.asked))]
    Cpus {
        /// What the policy says.
        asked: Vec<usize>,
    },
}

impl Plan {
    /// What of this plan's limits the kernel can only have refused.
    pub(crate) fn refused_limit(&self) -> Option<RefusedLimit> {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let asked = self.rlimits.iter();
        let asked = asked
            .filter(|limit| limit.resource == libc::RLIMIT_NOFILE)
            .map(|limit| limit.hard)
            .next();
        if let (Some(asked), Some(most)) = (asked, most)
            && asked > most
        {
            return Some(RefusedLimit::OpenFiles { asked, most });
        }
        let usable = rustix::thread::sched_getaffinity(None).ok()?;
        let bits = self.cpus.iter().enumerate();
        let cpus: Vec<usize> = bits
            .flat_map(|(index, byte)| {
                let set = (0..8).filter(move |bit| byte >> bit & 1 == 1);
                set.map(move |bit| index * 8 + bit)
            })
            .collect();
        let is_usable = |cpu: &usize| *cpu < rustix::thread::CpuSet::MAX_CPU && usable.is_set(*cpu);
        if !cpus.is_empty() && !cpus.iter().any(is_usable) {
            return Some(RefusedLimit::Cpus { asked: cpus });
        }
        let own = rustix::process::getpriority_process(None).ok()?;
        let asked = self.nice.filter(|asked| *asked < own)?;
        Some(RefusedLimit::Nice { asked, own })
    }
}

fn list(cpus: &[usize]) -> String {
    let names: Vec<_> = cpus.iter().map(ToString::to_string).collect();
    names.join(", ")
}
