//! Something is done once for each key, whoever asks for it at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Who does what now.
#[derive(Debug)]
pub(in crate::backend) struct Once<K: Eq + Hash + Clone>(Mutex<HashMap<K, Arc<Waiting>>>);

#[derive(Debug, Default)]
struct Waiting {
    ended: Mutex<bool>,
    changed: Condvar,
}

/// Whose turn it was.
#[derive(Debug)]
pub(in crate::backend) enum Turn<'a, K: Eq + Hash + Clone> {
    /// The caller's: it does it now, and says so by dropping this.
    Own(Own<'a, K>),
    /// Somebody else's, who has ended, well or not.
    Others,
}

#[derive(Debug)]
pub(in crate::backend) struct Own<'a, K: Eq + Hash + Clone> {
    once: &'a Once<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Default for Once<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Once<K> {
    /// Begins, or waits until whoever has begun ends.
    pub(in crate::backend) fn turn(&self, key: K) -> Turn<'_, K> {
        let waiting = {
            let mut running = self.running();
            let Some(waiting) = running.get(&key) else {
                running.insert(key.clone(), Arc::default());
                return Turn::Own(Own { once: self, key });
            };
            Arc::clone(waiting)
        };
        let ended = waiting.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = waiting.changed.wait_while(ended, |ended| !*ended);
        drop(ended);
        Turn::Others
    }

    fn running(&self) -> MutexGuard<'_, HashMap<K, Arc<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Drop for Own<'_, K> {
    fn drop(&mut self) {
        let waiting = self.once.running().remove(&self.key);
        if let Some(waiting) = waiting {
            *waiting.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
            waiting.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn many_who_want_the_same_do_it_once_and_others_do_not_wait() {
        let once = Once::default();
        let (done, here) = (AtomicU32::new(0), std::sync::Barrier::new(5));
        std::thread::scope(|scope| {
            let Turn::Own(own) = once.turn(1) else {
                panic!("nobody else is here")
            };
            for _ in 0..4 {
                scope.spawn(|| {
                    here.wait();
                    if matches!(once.turn(1), Turn::Own(_)) {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            here.wait();
            // Held by nobody: no waiting.
            assert!(matches!(once.turn(2), Turn::Own(_)));
            drop(own);
        });
        // Those that came after the end did it themselves.
        assert!(done.load(Ordering::Relaxed) <= 4);
        assert!(once.running().is_empty());
    }
}
