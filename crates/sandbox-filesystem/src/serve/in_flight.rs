//! The requests that are being worked on, so that an interrupt finds its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::Interrupt;

/// Several, so that threads seldom meet at one lock.
const SHARDS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct InFlight {
    shards: [Mutex<HashMap<u64, Arc<Interrupt>>>; SHARDS],
}

/// One request, until dropped.
pub(super) struct Ticket<'a> {
    all: &'a InFlight,
    unique: u64,
    pub(super) interrupt: Arc<Interrupt>,
}

impl InFlight {
    pub(super) fn enter(&self, unique: u64) -> Ticket<'_> {
        let interrupt = Arc::new(Interrupt::new());
        self.shard(unique).insert(unique, Arc::clone(&interrupt));
        Ticket {
            all: self,
            unique,
            interrupt,
        }
    }

    /// Whether the request is being worked on.
    pub(super) fn interrupt(&self, unique: u64) -> bool {
        match self.shard(unique).get(&unique) {
            Some(interrupt) => {
                interrupt.raise();
                true
            }
            None => false,
        }
    }

    pub(super) fn interrupt_all(&self) {
        for shard in &self.shards {
            for interrupt in lock(shard).values() {
                interrupt.raise();
            }
        }
    }

    fn shard(&self, unique: u64) -> MutexGuard<'_, HashMap<u64, Arc<Interrupt>>> {
        // The kernel counts in twos (`FUSE_REQ_ID_STEP`).
        let [first, second, third, fourth, fifth, sixth, seventh, eighth] = &self.shards;
        lock(match (unique >> 1) % SHARDS as u64 {
            0 => first,
            1 => second,
            2 => third,
            3 => fourth,
            4 => fifth,
            5 => sixth,
            6 => seventh,
            _ => eighth,
        })
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.all.shard(self.unique).remove(&self.unique);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
