//! Names of files that were copied up under another one: linked in the upper, so that it says alone which names are one
//! file, and the index has nothing more to say.

use std::ffi::OsString;
use std::sync::Arc;

use super::index::{self, Copied};
use super::look::Seen;
use super::{OverlayFs, parts};
use crate::backend::passthrough::inode::Inode;
use crate::backend::union::{Found, Listed};
use crate::fs::{Errno, FsResult};

/// A directory under way, and the names in it that are still to be looked at.
struct UnderWay {
    dir: Arc<Inode>,
    names: Vec<OsString>,
}

impl OverlayFs {
    /// Makes the writable directory stand for itself: each file that was copied up under one of several names gets the
    /// others there too, and the index is empty afterwards. Takes a walk through everything that lower layers show, until
    /// all names are found, where there is such a file; names that are nowhere in the layers are no longer counted.
    ///
    /// A crash leaves names that are linked, and the rest to be done by the next call. Not for a tree that is served.
    ///
    /// # Errors
    /// `EROFS`; what the host says.
    pub fn settle_names(&self) -> FsResult<()> {
        let upper = self.upper()?;
        let mut wanted: i64 = 0;
        for copied in upper.index.copies()? {
            wanted += copied?.names_elsewhere()?;
        }
        if wanted > 0 {
            self.find_names(wanted)?;
        }
        for copied in upper.index.copies()? {
            copied?.forget()?;
        }
        upper.index.clear()
    }

    fn find_names(&self, mut wanted: i64) -> FsResult<()> {
        let root = Arc::clone(self.host.table.root());
        self.host.table.refer_again(&root);
        // No recursion: a tree can be deeper than a thread's stack.
        let mut under_way = Vec::new();
        let mut next = Some(root);
        let mut done = Ok(());
        loop {
            if let Some(dir) = next.take() {
                match self.names_in(&dir) {
                    Ok(names) => under_way.push(UnderWay { dir, names }),
                    Err(error) => {
                        self.host.do_forget(dir.number, 1);
                        done = done.and(unless_gone(error));
                    }
                }
            }
            let Some(UnderWay { dir, names }) = under_way.last_mut() else {
                return done;
            };
            if let Some(name) = names.pop().filter(|_| wanted > 0 && done.is_ok()) {
                match self.visit(dir, &name, &mut wanted) {
                    Ok(inner) => next = inner,
                    Err(error) => done = unless_gone(error),
                }
            } else {
                self.host.do_forget(dir.number, 1);
                under_way.pop();
            }
        }
    }

    /// What may be a name that is looked for, or lead to one.
    fn names_in(&self, dir: &Arc<Inode>) -> FsResult<Vec<OsString>> {
        let _looking = parts(dir).looking();
        if dir.layer() == 0 && !parts(dir).is_merged() {
            return Ok(Vec::new());
        }
        let names = self.merged(dir)?.into_iter().map(|entry| entry.name);
        Ok(names.filter(|name| !Listed::is_dots(name)).collect())
    }

    /// Links a name, if it is one that is looked for; the directory that it leads to, with one reference more.
    fn visit(&self, dir: &Arc<Inode>, name: &OsString, wanted: &mut i64) -> FsResult<Option<Arc<Inode>>> {
        let looking = parts(dir).looking();
        let seen = self.look(dir, name)?;
        if matches!(seen.found, Found::Directory(_)) {
            return Ok(Some(self.known(dir, name, &seen)?.0));
        }
        let is_wanted = self.is_copied_elsewhere(&seen)?;
        drop(looking);
        if is_wanted {
            self.raise_name(dir, name)?;
            *wanted -= 1;
        }
        Ok(None)
    }

    fn is_copied_elsewhere(&self, seen: &Seen) -> FsResult<bool> {
        match &seen.found {
            Found::Other(spot) if spot.layer != 0 && spot.stat.stx_nlink > 1 => {
                Ok(self.upper()?.index.find(spot.identity())?.is_some())
            }
            _ => Ok(false),
        }
    }
}

impl Copied<'_> {
    /// How many of its names are in lower layers only.
    fn names_elsewhere(&self) -> FsResult<i64> {
        // One link is that in the index, which the kept number does not count.
        let elsewhere = i64::from(index::links(self.file())?) + 1;
        Ok(elsewhere.max(0))
    }
}

/// What is gone, or was never allowed to be seen, has no names.
fn unless_gone(error: Errno) -> FsResult<()> {
    match error {
        Errno::ENOENT | Errno::EACCES => Ok(()),
        error => Err(error),
    }
}
