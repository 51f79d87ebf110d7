//! Locks of fcntl(2) and flock(2).

/// Whom a lock belongs to: for fcntl(2) a process (its table of files), for flock(2) an open file description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockOwner(pub u64);

/// A range of bytes that is locked, or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// The first byte.
    pub start: u64,
    /// The last byte; `u64::MAX` (the kernel's `OFFSET_MAX` and above) is the end of the file, however long it gets.
    pub end: u64,
    /// What it keeps others from.
    pub kind: LockKind,
    /// The process that holds it, for who asks; 0 where it is not known.
    pub pid: u32,
}

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Others may read too (`F_RDLCK`).
    Shared,
    /// Nobody else may (`F_WRLCK`).
    Exclusive,
    /// No lock (`F_UNLCK`): gives up what is held, or the answer that nothing is in the way.
    Unlocked,
}

/// What flock(2) asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlockOperation {
    /// The lock.
    pub kind: LockKind,
    /// Whether to wait for it; otherwise `EAGAIN` where somebody else holds it.
    pub wait: bool,
}
