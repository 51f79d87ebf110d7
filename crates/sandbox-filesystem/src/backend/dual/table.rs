//! Which inodes are known, and how numbers lead to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::node::{NewNode, Node, Parts};
use super::side::{Held, Side};
use crate::fs::{Errno, FsResult, Ino, ROOT_INO};

/// All inodes that somebody refers to.
#[derive(Debug, Clone)]
pub(super) struct Table(Arc<Mutex<Maps>>);

/// The three ways to an inode.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// By our number, with the references that were given.
    known: HashMap<Ino, (Arc<Node>, u64)>,
    by_a: HashMap<Ino, Weak<Node>>,
    by_b: HashMap<Ino, Weak<Node>>,
    /// Kept though nobody refers to them, since something is remembered of them in memory alone.
    pinned: HashMap<Ino, Arc<Node>>,
    last: Ino,
}

impl Maps {
    fn ways(&mut self, side: Side) -> &mut HashMap<Ino, Weak<Node>> {
        match side {
            Side::A => &mut self.by_a,
            Side::B => &mut self.by_b,
        }
    }

    fn way(&self, part: &Held) -> Option<Arc<Node>> {
        let ways = match part.side {
            Side::A => &self.by_a,
            Side::B => &self.by_b,
        };
        ways.get(&part.ino)?.upgrade()
    }

    /// A part no longer leads to this node, unless it leads to another by now.
    pub(super) fn drop_way(&mut self, part: &Held, node: *const Node) {
        let ways = self.ways(part.side);
        if ways
            .get(&part.ino)
            .is_some_and(|way| std::ptr::eq(way.as_ptr(), node))
        {
            ways.remove(&part.ino);
        }
    }

    fn add_ways(&mut self, node: &Arc<Node>, parts: &Parts) {
        for part in [&parts.a, &parts.b].into_iter().flatten() {
            self.ways(part.side).insert(part.ino, Arc::downgrade(node));
        }
    }
}

impl Table {
    /// With the root, which has a part on both sides.
    pub(super) fn new(root: &Parts) -> Self {
        let table = Self(Arc::default());
        let new = NewNode {
            kind: libc::S_IFDIR,
            parts: root.clone(),
            place: None,
            number: ROOT_INO,
            links: 0,
        };
        let node = Arc::new(Node::new(ROOT_INO, new, &table.0));
        let mut maps = table.lock();
        maps.last = ROOT_INO;
        maps.add_ways(&node, root);
        maps.known.insert(ROOT_INO, (node, 1));
        drop(maps);
        table
    }

    /// `ESTALE` for a number that nobody was given, or has given back.
    pub(super) fn get(&self, ino: Ino) -> FsResult<Arc<Node>> {
        let maps = self.lock();
        maps.known
            .get(&ino)
            .map(|(node, _)| Arc::clone(node))
            .ok_or(Errno::ESTALE)
    }

    /// The node that one of these parts is of. One in A decides, since two files of B never have the same copy.
    pub(super) fn find(&self, parts: &Parts) -> Option<Arc<Node>> {
        let maps = self.lock();
        let way = |part: &Option<Arc<Held>>| part.as_ref().and_then(|part| maps.way(part));
        way(&parts.a).or_else(|| way(&parts.b))
    }

    /// The node of these parts, new if nobody knows it. Parts that it lacks are added.
    pub(super) fn know(&self, new: NewNode) -> Arc<Node> {
        let mut maps = self.lock();
        let way = |part: &Option<Arc<Held>>| part.as_ref().and_then(|part| maps.way(part));
        if let Some(node) = way(&new.parts.a).or_else(|| way(&new.parts.b)) {
            drop(maps);
            self.add_parts(&node, &new.parts);
            return node;
        }
        maps.last += 1;
        let parts = new.parts.clone();
        let node = Arc::new(Node::new(maps.last, new, &self.0));
        maps.add_ways(&node, &parts);
        node
    }

    /// Adds what it lacks.
    pub(super) fn add_parts(&self, node: &Arc<Node>, parts: &Parts) {
        let now = node.parts();
        for (part, have) in [(&parts.a, &now.a), (&parts.b, &now.b)] {
            if let (Some(part), None) = (part, have) {
                self.attach(node, part);
            }
        }
    }

    /// A part becomes the node's own.
    pub(super) fn attach(&self, node: &Arc<Node>, part: &Arc<Held>) {
        self.lock().ways(part.side).insert(part.ino, Arc::downgrade(node));
        let before = node.set_part(part.side, Some(Arc::clone(part)));
        self.let_go(node, before);
    }

    /// The part is the node's no longer.
    pub(super) fn detach(&self, node: &Arc<Node>, side: Side) {
        let before = node.set_part(side, None);
        self.let_go(node, before);
    }

    fn let_go(&self, node: &Arc<Node>, part: Option<Arc<Held>>) {
        if let Some(part) = part {
            let still = node.parts();
            let same = [still.a, still.b]
                .iter()
                .flatten()
                .any(|held| (held.side, held.ino) == (part.side, part.ino));
            if !same {
                self.lock().drop_way(&part, Arc::as_ptr(node));
            }
        }
    }

    /// One reference more.
    pub(super) fn refer(&self, node: &Arc<Node>) {
        let mut maps = self.lock();
        let known = maps
            .known
            .entry(node.ino)
            .or_insert_with(|| (Arc::clone(node), 0));
        known.1 = known.1.saturating_add(1);
    }

    pub(super) fn forget(&self, ino: Ino, count: u64) {
        if ino == ROOT_INO {
            return;
        }
        let gone = {
            let mut maps = self.lock();
            match maps.known.get_mut(&ino) {
                Some((_, references)) if *references > count => {
                    *references -= count;
                    None
                }
                Some(_) => maps.known.remove(&ino),
                None => None,
            }
        };
        // With no lock held: what was the last reference gives the backends theirs back.
        drop(gone);
    }

    pub(super) fn pin(&self, node: &Arc<Node>) {
        self.lock().pinned.insert(node.ino, Arc::clone(node));
    }

    pub(super) fn unpin(&self, node: &Node) {
        let pinned = self.lock().pinned.remove(&node.ino);
        drop(pinned);
    }

    /// By the number that a backend has for it.
    pub(super) fn of_backend(&self, side: Side, ino: Ino) -> Option<Arc<Node>> {
        let maps = self.lock();
        let ways = match side {
            Side::A => &maps.by_a,
            Side::B => &maps.by_b,
        };
        ways.get(&ino)?.upgrade()
    }

    /// Every reference is gone.
    pub(super) fn forget_everything(&self) {
        let gone: Vec<_> = {
            let mut maps = self.lock();
            let all: Vec<Ino> = maps
                .known
                .keys()
                .copied()
                .filter(|ino| *ino != ROOT_INO)
                .collect();
            all.iter().filter_map(|ino| maps.known.remove(ino)).collect()
        };
        drop(gone);
    }

    /// Nothing is known any more, the root neither. Nodes lead to the table, so that it would keep itself.
    pub(super) fn end(&self) {
        let (known, pinned) = {
            let mut maps = self.lock();
            (std::mem::take(&mut maps.known), std::mem::take(&mut maps.pinned))
        };
        drop((known, pinned));
    }

    /// How many are known, the root among them, and how many of those are kept for what is in memory alone.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let maps = self.lock();
        let alive = |ways: &HashMap<Ino, Weak<Node>>| -> Vec<Ino> {
            let nodes = ways.values().filter_map(Weak::upgrade);
            nodes.map(|node| node.ino).collect()
        };
        let mut all = alive(&maps.by_a);
        all.extend(alive(&maps.by_b));
        all.extend(maps.known.keys());
        all.sort_unstable();
        all.dedup();
        (all.len(), maps.pinned.len())
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
