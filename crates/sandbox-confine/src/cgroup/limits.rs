//! What a group is asked to hold.

/// Limits of a group, and how much of it to make. The default limits nothing and measures everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Bytes of memory of all processes together: anonymous, shared, page cache and kernel memory charged
    /// to them. The kernel rounds down to pages. Default: no limit.
    pub memory: Option<u64>,
    /// Whether memory over the limit may go to swap. Only looked at together with `memory`.
    pub swap: Swap,
    /// The most processes and threads at once, the sandbox's init among them. Default: no limit.
    pub processes: Option<u64>,
    /// Which hierarchies to join.
    pub measure: Measure,
}

/// Whether a group under a memory limit may use swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Swap {
    /// No swap, where the kernel accounts it ([`Cgroup::swap_limited`](super::Cgroup::swap_limited)).
    #[default]
    Forbid,
    /// As much as there is.
    Allow,
}

/// Which hierarchies a group joins. With v2 it makes no difference; with v1 each costs a few syscalls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Measure {
    /// Every one that is available.
    #[default]
    All,
    /// Those that a limit needs, and the freezer.
    LimitsOnly,
}
