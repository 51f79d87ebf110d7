//! Keeping those who change a tree out while it is counted for the last time.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

thread_local! {
    /// The gate that this thread has gone through last: a second time it must not wait at the same one.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug, Default)]
pub(super) struct Gate(RwLock<()>);

/// While it lives, nobody counts for the last time.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered<'a> {
    before: usize,
    _guard: Option<RwLockReadGuard<'a, ()>>,
}

impl Gate {
    pub(super) fn enter(&self) -> Entered<'_> {
        let own = std::ptr::from_ref(self).addr();
        let before = INSIDE.replace(own);
        let guard = (before != own).then(|| self.0.read().unwrap_or_else(PoisonError::into_inner));
        Entered {
            before,
            _guard: guard,
        }
    }

    pub(super) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_inside_does_not_wait_for_who_wants_to_close() {
        let gate = Gate::default();
        std::thread::scope(|scope| {
            let outer = gate.enter();
            let closer = scope.spawn(|| drop(gate.close()));
            // Whether or not the closer waits already: this returns.
            drop(gate.enter());
            drop(outer);
            closer.join().unwrap();
        });
        assert_eq!(INSIDE.get(), 0);
    }
}
