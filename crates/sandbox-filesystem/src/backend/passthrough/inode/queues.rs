//! In which order descriptors go.
//!
//! Second chance alone keeps nothing of a set that is a little larger than the cache and asked for in turn: each goes
//! just before it is needed again. So most of the room is for those that have proved useful, and what is new has to be
//! used again while it is on trial. So that another working set takes over from one that nobody asks for any more, now
//! and then one that has not is kept as well. This is what segmented and bimodal caches do (Karedla, Love, Wherry:
//! "Caching strategies to improve disk system performance", 1994; Qureshi and others: "Adaptive insertion policies for high
//! performance caching", ISCA 2007).

use std::collections::VecDeque;

/// Which part of the room is for those on trial.
const TRIAL: usize = 8;
/// Of those that were not used again, one in so many is kept.
const ONE_IN: u32 = 16;

/// What somebody holds, and may be taken from them.
pub(super) trait Held {
    /// Whether it was used since this was asked last.
    fn was_used(&self) -> bool;
    /// Whether there still is somebody.
    fn is_alive(&self) -> bool;
}

#[derive(Debug)]
pub(super) struct Queues<T> {
    kept: VecDeque<T>,
    trial: VecDeque<T>,
    /// How many were not used again.
    unused: u32,
    /// How many came since those were looked for that nobody holds any more.
    since: usize,
}

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            trial: VecDeque::new(),
            unused: 0,
            since: 0,
        }
    }
}

impl<T: Held> Queues<T> {
    pub(super) fn len(&self) -> usize {
        self.kept.len() + self.trial.len()
    }

    /// Another one, where `room` is how many there may be.
    pub(super) fn add(&mut self, new: T, room: usize) {
        self.since += 1;
        if self.since > room && self.len() >= room {
            self.since = 0;
            self.kept.retain(T::is_alive);
            self.trial.retain(T::is_alive);
        }
        if self.kept.len() + on_trial(room) < room {
            self.kept.push_back(new);
        } else {
            self.trial.push_back(new);
        }
    }

    /// The one that goes, where there are more than `room`.
    pub(super) fn excess(&mut self, room: usize) -> Option<T> {
        // Each is looked at twice at most: the first look takes its mark away.
        for _ in 0..2 * self.len() {
            if self.len() <= room {
                return None;
            }
            if self.trial.len() > on_trial(room) || self.kept.is_empty() {
                let next = self.trial.pop_front()?;
                if !self.proves(&next) {
                    return Some(next);
                }
                self.kept.push_back(next);
            } else {
                let next = self.kept.pop_front()?;
                if !next.was_used() {
                    return Some(next);
                }
                self.kept.push_back(next);
            }
        }
        self.pop()
    }

    /// The next one, used or not.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.trial.pop_front().or_else(|| self.kept.pop_front())
    }

    fn proves(&mut self, held: &T) -> bool {
        if held.was_used() {
            return true;
        }
        self.unused = self.unused.wrapping_add(1);
        self.unused.is_multiple_of(ONE_IN) && held.is_alive()
    }
}

fn on_trial(room: usize) -> usize {
    (room / TRIAL).max(1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::rc::Rc;

    use super::*;

    struct Entry {
        key: usize,
        used: Cell<bool>,
        alive: Cell<bool>,
    }

    impl Held for Rc<Entry> {
        fn was_used(&self) -> bool {
            self.used.replace(false)
        }

        fn is_alive(&self) -> bool {
            self.alive.get()
        }
    }

    struct Cache {
        room: usize,
        queues: Queues<Rc<Entry>>,
        held: HashMap<usize, Rc<Entry>>,
    }

    impl Cache {
        fn of(room: usize) -> Self {
            Self {
                room,
                queues: Queues::default(),
                held: HashMap::new(),
            }
        }

        /// Whether it was there.
        fn ask(&mut self, key: usize) -> bool {
            if let Some(entry) = self.held.get(&key) {
                entry.used.set(true);
                return true;
            }
            let entry = Rc::new(Entry {
                key,
                used: Cell::new(false),
                alive: Cell::new(true),
            });
            self.held.insert(key, Rc::clone(&entry));
            self.queues.add(entry, self.room);
            while let Some(gone) = self.queues.excess(self.room) {
                self.held.remove(&gone.key);
            }
            assert!(self.queues.len() <= self.room);
            assert_eq!(self.held.len(), self.queues.len());
            false
        }

        fn hits(&mut self, keys: impl Iterator<Item = usize>) -> usize {
            keys.filter(|key| self.ask(*key)).count()
        }
    }

    #[test]
    fn of_more_than_there_is_room_for_in_turn_a_part_stays() {
        let mut cache = Cache::of(64);
        let turns = |count: usize| (0..count).flat_map(|_| 0..200);
        cache.hits(turns(20));
        let hits = cache.hits(turns(10));
        assert!(hits > 10 * 40, "{hits} of {}", 10 * 200);
    }

    #[test]
    fn what_fits_stays() {
        let mut cache = Cache::of(64);
        cache.hits(0..64);
        assert_eq!(cache.hits((0..10).flat_map(|_| 0..64)), 640);
    }

    #[test]
    fn another_working_set_takes_over() {
        let mut cache = Cache::of(64);
        cache.hits((0..10).flat_map(|_| 0..60));
        cache.hits((0..60).flat_map(|_| 1000..1060));
        let hits = cache.hits(1000..1060);
        assert!(hits > 50, "{hits}");
    }

    #[test]
    fn what_is_used_meanwhile_outlives_a_scan() {
        let mut cache = Cache::of(64);
        cache.hits((0..3).flat_map(|_| 0..20));
        for key in 1000..3000 {
            cache.ask(key);
            cache.ask(key % 20);
        }
        assert_eq!(cache.hits(0..20), 20);
    }

    #[test]
    fn those_that_nobody_holds_make_way() {
        let mut cache = Cache::of(64);
        cache.hits(0..64);
        for entry in cache.held.values() {
            entry.alive.set(false);
        }
        let room = cache.room;
        for key in 64..64 + 2 * room {
            let entry = Rc::new(Entry {
                key,
                used: Cell::new(false),
                alive: Cell::new(true),
            });
            cache.queues.add(entry, room);
            while cache.queues.excess(room).is_some() {}
        }
        let dead = |entry: &&Rc<Entry>| !entry.alive.get();
        let (kept, trial) = (&cache.queues.kept, &cache.queues.trial);
        assert_eq!(kept.iter().chain(trial).filter(dead).count(), 0);
    }

    #[test]
    fn with_hardly_any_room_the_newest_stays() {
        for room in [1, 2] {
            let mut cache = Cache::of(room);
            for key in 0..100 {
                cache.ask(key);
                assert!(cache.ask(key), "{room}");
            }
        }
    }
}
