//! Clones by their places, and by the pids of their processes.

use super::clone::Clone;
use crate::wire::MAX_CLONES;

/// All clones there are.
pub struct Places {
    clones: [Option<Clone>; MAX_CLONES],
    /// The pids of each, in places of their own: they are looked for whenever a process ends.
    pids: [[i32; 2]; MAX_CLONES],
    /// Places from here on have never been used.
    used: usize,
    /// There is no free place before this one.
    free: usize,
}

impl Places {
    /// None.
    #[expect(
        clippy::large_stack_arrays,
        reason = "it has a stack of megabytes and allocates nothing else"
    )]
    pub const fn new() -> Self {
        Self {
            clones: [const { None }; MAX_CLONES],
            pids: [[0; 2]; MAX_CLONES],
            used: 0,
            free: 0,
        }
    }

    /// The first place that nobody has.
    pub fn free(&mut self) -> Option<usize> {
        let rest = self.clones.get(self.free..)?;
        self.free += rest.iter().position(Option::is_none)?;
        Some(self.free)
    }

    /// Puts a clone into a free place.
    pub fn put(&mut self, place: usize, clone: Clone) {
        if let Some(slot) = self.clones.get_mut(place) {
            *slot = Some(clone);
            self.used = self.used.max(place + 1);
            self.note(place);
        }
    }

    /// Frees a place.
    pub fn remove(&mut self, place: usize) {
        if let Some(slot) = self.clones.get_mut(place) {
            *slot = None;
            self.free = self.free.min(place);
            self.note(place);
        }
    }

    /// The clone at a place.
    pub fn get(&self, place: usize) -> Option<&Clone> {
        self.clones.get(place)?.as_ref()
    }

    /// Changes the clone at a place, if there is one.
    pub fn change<T>(&mut self, place: usize, how: impl FnOnce(&mut Clone) -> T) -> Option<T> {
        let changed = how(self.clones.get_mut(place)?.as_mut()?);
        self.note(place);
        Some(changed)
    }

    /// Where there are clones.
    pub fn all(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.used
    }

    /// The place of the clone that a process belongs to.
    pub fn of(&self, pid: i32) -> Option<usize> {
        let used = self.pids.get(..self.used)?;
        used.iter().position(|pids| pids.contains(&pid) && pid > 0)
    }

    fn note(&mut self, place: usize) {
        let pids = self.get(place).map_or([0; 2], Clone::pids);
        if let Some(slot) = self.pids.get_mut(place) {
            *slot = pids;
        }
    }
}
