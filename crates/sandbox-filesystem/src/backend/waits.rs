//! Who waits for whom, so that nobody waits for themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fs::{Errno, FsResult, LockOwner};

/// How far a chain is followed, as Linux does it: a longer one is taken for none.
const LONGEST_CHAIN: usize = 10;

/// Owners that wait for a lock, each with one of those who hold it.
#[derive(Debug, Default)]
pub(in crate::backend) struct Waits(Mutex<Vec<(LockOwner, LockOwner)>>);

/// Ends with who waits.
#[derive(Debug)]
pub(in crate::backend) struct Waiting<'a> {
    waits: &'a Waits,
    edge: (LockOwner, LockOwner),
}

impl Waits {
    /// `owner` is about to wait for `blocker`. `EDEADLK` where that one waits for `owner`.
    pub(in crate::backend) fn begin(&self, owner: LockOwner, blocker: LockOwner) -> FsResult<Waiting<'_>> {
        let mut edges = self.lock();
        let mut now = blocker;
        for _ in 0..LONGEST_CHAIN {
            let Some((_, next)) = edges.iter().find(|(waiter, _)| *waiter == now) else {
                break;
            };
            if *next == owner {
                return Err(Errno::EDEADLK);
            }
            now = *next;
        }
        edges.push((owner, blocker));
        Ok(Waiting {
            waits: self,
            edge: (owner, blocker),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(LockOwner, LockOwner)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut edges = self.waits.lock();
        if let Some(index) = edges.iter().position(|edge| *edge == self.edge) {
            edges.swap_remove(index);
        }
    }
}
