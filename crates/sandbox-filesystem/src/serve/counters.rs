//! How often each operation was asked for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Opcode;

/// One operation's figures since the server began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The operation.
    pub opcode: Opcode,
    /// Requests.
    pub requests: u64,
    /// How many of them were answered with an error; "there is no such file" is one.
    pub errors: u64,
    /// How long the backend took for all of them, in nanoseconds.
    pub nanoseconds: u64,
    /// Bytes that were read or written.
    pub bytes: u64,
}

/// The figures of all operations.
#[derive(Debug)]
pub struct Counters {
    slots: Box<[Slot]>,
}

/// On a cache line of its own: several threads count at once.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    requests: AtomicU64,
    errors: AtomicU64,
    nanoseconds: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..Opcode::BOUND).map(|_| Slot::default()).collect(),
        }
    }

    pub(super) fn add(&self, opcode: Opcode, failed: bool, nanoseconds: u64, bytes: u64) {
        let Some(slot) = self.slot(opcode) else { return };
        slot.requests.fetch_add(1, Relaxed);
        slot.nanoseconds.fetch_add(nanoseconds, Relaxed);
        if failed {
            slot.errors.fetch_add(1, Relaxed);
        }
        if bytes > 0 {
            slot.bytes.fetch_add(bytes, Relaxed);
        }
    }

    pub(super) fn add_bytes(&self, opcode: Opcode, bytes: u64) {
        if let Some(slot) = self.slot(opcode) {
            slot.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// The operations that were asked for at all.
    pub fn counted(&self) -> Vec<Counted> {
        let all = Opcode::ALL.iter().filter_map(|opcode| {
            let slot = self.slot(*opcode)?;
            Some(Counted {
                opcode: *opcode,
                requests: slot.requests.load(Relaxed),
                errors: slot.errors.load(Relaxed),
                nanoseconds: slot.nanoseconds.load(Relaxed),
                bytes: slot.bytes.load(Relaxed),
            })
        });
        all.filter(|counted| counted.requests > 0).collect()
    }

    fn slot(&self, opcode: Opcode) -> Option<&Slot> {
        self.slots.get(usize::try_from(opcode.number()).ok()?)
    }
}
