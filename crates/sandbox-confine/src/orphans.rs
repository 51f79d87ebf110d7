//! Inits that this process has started and left to others: still its children, so somebody here has to reap
//! them when they end. That is done whenever another sandbox is started or left; no thread waits for it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use crate::ready::is_readable;
use crate::sys;

static LEFT: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Takes over the pidfd of an init that goes on without us.
pub(crate) fn adopt(pidfd: OwnedFd) {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(pidfd);
    reap_ended();
}

/// Reaps those that have ended meanwhile.
pub(crate) fn reap_ended() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    // It reports its own failures only; an init that cannot be reaped is nobody's loss.
    left.retain(|pidfd| !is_readable(pidfd.as_fd()) || sys::reap(pidfd.as_fd()).is_err());
}
