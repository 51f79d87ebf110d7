//! The entries of a directory, by name and by cookie.
//!
//! An entry's cookie says where it stands in a listing. A new entry gets one that was never used in this directory; one
//! that takes the place of another (a rename over it, an exchange) keeps the other's.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::inode::Inode;
use super::space::allocation;

/// Cookies below this one are those of "." and "..".
pub(super) const FIRST_COOKIE: u64 = 3;

/// A name, and where it leads.
#[derive(Debug)]
pub(super) struct Dirent {
    pub(super) cookie: u64,
    pub(super) name: Box<OsStr>,
    pub(super) inode: Arc<Inode>,
}

/// The entries of a directory but "." and "..".
#[derive(Debug)]
pub(super) struct Directory {
    by_name: HashSet<ByName>,
    by_cookie: BTreeMap<u64, Arc<Dirent>>,
    next_cookie: u64,
    charged: u64,
}

/// An entry that is found by its name.
#[derive(Debug)]
struct ByName(Arc<Dirent>);

impl Default for Directory {
    fn default() -> Self {
        Self {
            by_name: HashSet::new(),
            by_cookie: BTreeMap::new(),
            next_cookie: FIRST_COOKIE,
            charged: 0,
        }
    }
}

impl Directory {
    pub(super) fn get(&self, name: &OsStr) -> Option<&Arc<Dirent>> {
        self.by_name.get(name.as_bytes()).map(|found| &found.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_cookie.is_empty()
    }

    /// What its entries were charged.
    pub(super) fn charged(&self) -> u64 {
        self.charged
    }

    /// What the next new entry gets.
    pub(super) fn next_cookie(&self) -> u64 {
        self.next_cookie
    }

    /// Entries with cookies above `after`, in order.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = &Arc<Dirent>> {
        self.by_cookie
            .range(after.saturating_add(1)..)
            .map(|(_, entry)| entry)
    }

    /// Adds an entry whose cost was charged, and whose name is not there.
    pub(super) fn insert(&mut self, name: &OsStr, inode: &Arc<Inode>) {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        self.charged += entry_cost(name);
        self.place(cookie, name, inode);
    }

    /// Lets a name that is there lead to `inode`.
    pub(super) fn replace(&mut self, name: &OsStr, inode: &Arc<Inode>) {
        if let Some(cookie) = self.get(name).map(|entry| entry.cookie) {
            self.place(cookie, name, inode);
        }
    }

    /// Removes an entry, and says what it was charged.
    pub(super) fn remove(&mut self, name: &OsStr) -> u64 {
        let Some(ByName(entry)) = self.by_name.take(name.as_bytes()) else {
            return 0;
        };
        self.by_cookie.remove(&entry.cookie);
        if self.by_name.capacity() > 64 && self.by_name.len() < self.by_name.capacity() / 4 {
            self.by_name.shrink_to(self.by_name.len() * 2);
        }
        let cost = entry_cost(name);
        self.charged -= cost;
        cost
    }

    /// Lets go of all entries, without recursion into those that are directories as long as somebody else holds them.
    pub(super) fn clear(&mut self) {
        self.by_name.clear();
        self.by_cookie.clear();
    }

    fn place(&mut self, cookie: u64, name: &OsStr, inode: &Arc<Inode>) {
        let entry = Arc::new(Dirent {
            cookie,
            name: name.into(),
            inode: Arc::clone(inode),
        });
        self.by_name.replace(ByName(Arc::clone(&entry)));
        self.by_cookie.insert(cookie, entry);
    }
}

/// What an entry costs: itself, its name, and its place in both indexes. A node of the tree is about half full, and the
/// hash table between seven sixteenths and seven eighths.
pub(super) fn entry_cost(name: &OsStr) -> u64 {
    const PLACES: u64 = 40 + 24;
    allocation(size_of::<Dirent>() + 16) + allocation(name.as_bytes().len()) + PLACES
}

impl Borrow<[u8]> for ByName {
    fn borrow(&self) -> &[u8] {
        self.0.name.as_bytes()
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.as_bytes().hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}
