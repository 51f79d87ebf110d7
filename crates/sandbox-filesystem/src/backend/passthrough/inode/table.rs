//! Which inodes are known, by number and by identity.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::{Identity, Inode, Place};
use crate::fs::{Errno, FsResult, Ino, ROOT_INO};

/// Enough that a few workers rarely meet.
const SHARDS: usize = 32;

/// Everything that is known. No lock is held while another one of the same kind is taken, and none during a system
/// call.
#[derive(Debug)]
pub(in crate::backend) struct Table {
    root: Arc<Inode>,
    next: AtomicU64,
    hasher: RandomState,
    by_number: Vec<RwLock<HashMap<Ino, Arc<Inode>>>>,
    by_identity: Vec<Mutex<HashMap<Identity, Arc<Inode>>>>,
}

impl Table {
    pub(in crate::backend) fn new(root: Identity, mode: u32) -> Self {
        let root = Arc::new(Inode::new(ROOT_INO, root, mode, None));
        root.references.store(1, Ordering::Relaxed);
        let table = Self {
            root: Arc::clone(&root),
            next: AtomicU64::new(ROOT_INO + 1),
            hasher: RandomState::new(),
            by_number: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_identity: (0..SHARDS).map(|_| Mutex::default()).collect(),
        };
        if let Some(mut shard) = table.identities(&root.identity()) {
            shard.insert(root.identity(), root);
        }
        table
    }

    pub(in crate::backend) fn root(&self) -> &Arc<Inode> {
        &self.root
    }

    /// `ESTALE` for a number that nobody was given.
    pub(in crate::backend) fn get(&self, number: Ino) -> FsResult<Arc<Inode>> {
        if number == ROOT_INO {
            return Ok(Arc::clone(&self.root));
        }
        let shard = self.numbers(number).ok_or(Errno::ESTALE)?;
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(&number).cloned().ok_or(Errno::ESTALE)
    }

    /// How many are known.
    pub(in crate::backend) fn len(&self) -> usize {
        self.by_number
            .iter()
            .map(|shard| shard.read().unwrap_or_else(PoisonError::into_inner).len())
            .sum()
    }

    /// What was found as `name` in `parent`, known from now on, with one reference more. Returns what has lost its last
    /// reference thereby.
    pub(in crate::backend) fn found(
        &self,
        identity: Identity,
        mode: u32,
        parent: &Arc<Inode>,
        name: &OsStr,
    ) -> (Arc<Inode>, Vec<Arc<Inode>>) {
        let inode = self.refer(identity, mode);
        // What is known by another identity by now (it was copied up) is not where this one was found.
        let gone = if inode.identity() == identity {
            self.put(&inode, parent, name)
        } else {
            Vec::new()
        };
        (inode, gone)
    }

    /// As `found`, for what has no name.
    pub(in crate::backend) fn nameless(&self, identity: Identity, mode: u32) -> Arc<Inode> {
        self.refer(identity, mode)
    }

    /// Says where an inode is now.
    pub(in crate::backend) fn put(
        &self,
        inode: &Arc<Inode>,
        parent: &Arc<Inode>,
        name: &OsStr,
    ) -> Vec<Arc<Inode>> {
        if Arc::ptr_eq(inode, &self.root) {
            return Vec::new();
        }
        let old = {
            let mut state = inode.state();
            if let Some(place) = &state.place
                && Arc::ptr_eq(&place.parent, parent)
                && *place.name == *name
            {
                return Vec::new();
            }
            parent.references.fetch_add(1, Ordering::Relaxed);
            state.place.replace(Place {
                parent: Arc::clone(parent),
                name: name.into(),
            })
        };
        old.map(|place| self.drop_references(place.parent, 1))
            .unwrap_or_default()
    }

    /// Says that an inode is no longer where it was known, if that is `name` in `parent`.
    pub(in crate::backend) fn lost(
        &self,
        inode: &Arc<Inode>,
        parent: &Arc<Inode>,
        name: &OsStr,
    ) -> Vec<Arc<Inode>> {
        let old = {
            let mut state = inode.state();
            state
                .place
                .take_if(|place| Arc::ptr_eq(&place.parent, parent) && *place.name == *name)
        };
        old.map(|place| self.drop_references(place.parent, 1))
            .unwrap_or_default()
    }

    /// What is known under an identity.
    pub(in crate::backend) fn known(&self, identity: &Identity) -> Option<Arc<Inode>> {
        self.identities(identity)?.get(identity).cloned()
    }

    /// Another file of the host takes the place of the one behind `inode`.
    pub(in crate::backend) fn exchange(&self, inode: &Arc<Inode>, identity: Identity) {
        let old = std::mem::replace(&mut inode.state().identity, identity);
        if let Some(mut shard) = self.identities(&old) {
            shard.remove(&old);
        }
        if let Some(mut shard) = self.identities(&identity) {
            shard.insert(identity, Arc::clone(inode));
        }
    }

    /// The file behind an inode is another one from now on, which `path` stands for. The old identity leads to the inode for
    /// as long as it is known.
    pub(in crate::backend) fn became(&self, inode: &Arc<Inode>, identity: Identity, path: Arc<OwnedFd>) {
        let before = {
            let mut state = inode.state();
            let old = std::mem::replace(&mut state.identity, identity);
            state.origin.get_or_insert_with(|| Box::new(old));
            state.open = Weak::new();
            state.path.replace(path)
        };
        drop(before);
        if let Some(mut shard) = self.identities(&identity) {
            shard.insert(identity, Arc::clone(inode));
        }
    }

    /// Another reference to what is known already.
    pub(in crate::backend) fn refer_again(&self, inode: &Arc<Inode>) {
        let identity = inode.identity();
        let _shard = self.identities(&identity);
        inode.references.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives back `count` references; returns what nobody knows any more.
    pub(in crate::backend) fn forget(&self, number: Ino, count: u64) -> Vec<Arc<Inode>> {
        if number == ROOT_INO {
            return Vec::new();
        }
        self.get(number)
            .map(|inode| self.drop_references(inode, count))
            .unwrap_or_default()
    }

    /// All that are known.
    pub(in super::super) fn all(&self) -> Vec<Arc<Inode>> {
        let mut all = vec![Arc::clone(&self.root)];
        for shard in &self.by_number {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().cloned());
        }
        all
    }

    /// Everything but the root is forgotten.
    pub(in crate::backend) fn clear(&self) -> Vec<Arc<Inode>> {
        let mut gone = Vec::new();
        for shard in &self.by_number {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            gone.extend(shard.drain().map(|(_, inode)| inode));
        }
        for inode in &gone {
            inode.state().place = None;
        }
        for shard in &self.by_identity {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, inode| Arc::ptr_eq(inode, &self.root));
        }
        self.root.references.store(1, Ordering::Relaxed);
        gone
    }

    fn refer(&self, identity: Identity, mode: u32) -> Arc<Inode> {
        let Some(mut shard) = self.identities(&identity) else {
            return self.fresh(identity, mode);
        };
        // While the shard is locked, so that nobody drops it in between; one that is known by another identity as well can
        // be on its way out.
        match shard.entry(identity) {
            Slot::Occupied(slot) if slot.get().refer() => Arc::clone(slot.get()),
            Slot::Occupied(mut slot) => {
                let inode = self.fresh(identity, mode);
                slot.insert(Arc::clone(&inode));
                inode
            }
            Slot::Vacant(slot) => Arc::clone(slot.insert(self.fresh(identity, mode))),
        }
    }

    fn fresh(&self, identity: Identity, mode: u32) -> Arc<Inode> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let inode = Arc::new(Inode::new(number, identity, mode, None));
        inode.references.store(1, Ordering::Relaxed);
        if let Some(shard) = self.numbers(number) {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.insert(number, Arc::clone(&inode));
        }
        inode
    }

    /// A directory outlives what is in it: each child holds a reference, so what goes with the last one is a chain.
    fn drop_references(&self, inode: Arc<Inode>, count: u64) -> Vec<Arc<Inode>> {
        let mut gone = Vec::new();
        let mut next = Some((inode, count));
        while let Some((inode, count)) = next.take() {
            if !self.give_back(&inode, count) {
                break;
            }
            let place = inode.state().place.take();
            gone.push(inode);
            next = place.map(|place| (place.parent, 1));
        }
        gone
    }

    /// Whether that was the last reference, and the inode is out of the table.
    fn give_back(&self, inode: &Arc<Inode>, count: u64) -> bool {
        let identity = inode.identity();
        let Some(mut shard) = self.identities(&identity) else {
            return false;
        };
        let less = |references: u64| Some(references.saturating_sub(count));
        let before = inode
            .references
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .unwrap_or(0);
        if before > count || inode.number == ROOT_INO {
            return false;
        }
        if shard
            .get(&identity)
            .is_some_and(|known| Arc::ptr_eq(known, inode))
        {
            shard.remove(&identity);
        }
        drop(shard);
        let origin = inode.state().origin.take();
        if let Some(origin) = origin
            && let Some(mut shard) = self.identities(&origin)
            && shard.get(&origin).is_some_and(|known| Arc::ptr_eq(known, inode))
        {
            shard.remove(&origin);
        }
        if let Some(shard) = self.numbers(inode.number) {
            shard
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&inode.number);
        }
        true
    }

    fn numbers(&self, number: Ino) -> Option<&RwLock<HashMap<Ino, Arc<Inode>>>> {
        self.by_number.get(usize::try_from(number).ok()? % SHARDS)
    }

    fn identities(&self, identity: &Identity) -> Option<MutexGuard<'_, HashMap<Identity, Arc<Inode>>>> {
        let hash = usize::try_from(self.hasher.hash_one(identity)).ok()?;
        let shard = self.by_identity.get(hash % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
