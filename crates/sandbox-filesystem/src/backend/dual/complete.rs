//! Whole trees of B that are to move: everything in them gets into A, in place, before.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::DualFs;
use super::copy::Keep;
use super::crash::crash_point;
use super::look::{Need, Shown};
use super::node::Node;
use super::policy::Plan;
use super::side::{Held, ourselves};
use super::staging::list;
use crate::fs::{Errno, FsResult};

/// How often a directory may get something new while it is completed.
const TRIES: usize = 8;

/// A directory, and the names in it that are still to be looked at.
struct UnderWay {
    dir: Arc<Node>,
    names: Vec<OsString>,
    tries: usize,
}

impl DualFs {
    /// A has all of the directory, and says that it is opaque. Nobody can see any of this.
    pub(super) fn complete(&self, dir: &Arc<Node>, plan: &Plan) -> FsResult<()> {
        // No recursion: a tree can be deeper than a thread's stack.
        let mut under_way = Vec::from_iter(self.begin(dir)?);
        while let Some(here) = under_way.last_mut() {
            if let Some(name) = here.names.pop() {
                if let Some(inner) = self.complete_entry(&here.dir, &name, plan)? {
                    under_way.extend(self.begin(&inner)?);
                }
            } else if self.finish(here, plan)? {
                under_way.pop();
            }
        }
        Ok(())
    }

    /// None where there is nothing to do.
    fn begin(&self, dir: &Arc<Node>) -> FsResult<Option<UnderWay>> {
        self.raise(dir, Keep::All)?;
        Ok(dir.b().map(|b| names_in(&b)).transpose()?.map(|names| UnderWay {
            dir: Arc::clone(dir),
            names,
            tries: TRIES,
        }))
    }

    /// Whether it is all there, which it says from then on; else it is gone through once more.
    fn finish(&self, here: &mut UnderWay, plan: &Plan) -> FsResult<bool> {
        let _names = here.dir.changing_live()?;
        let Some(b) = here.dir.b() else { return Ok(true) };
        if self.is_complete(&here.dir, plan)? {
            self.becomes_opaque(&here.dir)?;
            crash_point("complete: opaque");
            return Ok(true);
        }
        here.tries = here.tries.checked_sub(1).ok_or(Errno::EBUSY)?;
        here.names = names_in(&b)?;
        Ok(false)
    }

    /// A directory that is to be completed itself.
    fn complete_entry(&self, dir: &Arc<Node>, name: &OsStr, plan: &Plan) -> FsResult<Option<Arc<Node>>> {
        let ctx = ourselves();
        let node = {
            let _looking = dir.looking();
            let seen = self.look(&ctx, dir, name, plan.view, Need::Both)?;
            match seen.shown {
                Shown::Nothing | Shown::A => return Ok(None),
                Shown::B | Shown::Both => self.known(&ctx, dir, name, &seen)?.node,
            }
        };
        if node.is_directory() {
            return Ok(Some(node));
        }
        self.raise_name(dir, name, &node, plan)?;
        Ok(None)
    }

    /// Whether there is nothing in it that is B's. Its names are locked.
    fn is_complete(&self, dir: &Arc<Node>, plan: &Plan) -> FsResult<bool> {
        let Some(b) = dir.b() else { return Ok(true) };
        for item in list(&b)? {
            let seen = self.look(&ourselves(), dir, &item.name, plan.view, Need::Both)?;
            if matches!(seen.shown, Shown::B | Shown::Both) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A name that leads to a file in B leads to its copy in A from then on.
    pub(super) fn raise_name(
        &self,
        dir: &Arc<Node>,
        name: &OsStr,
        node: &Arc<Node>,
        plan: &Plan,
    ) -> FsResult<()> {
        self.raise(dir, Keep::All)?;
        self.raise(node, Keep::All)?;
        let leads_here = || -> FsResult<bool> {
            let ctx = ourselves();
            let seen = self.look(&ctx, dir, name, plan.view, Need::Both)?;
            Ok(seen.shown == Shown::B && Arc::ptr_eq(&self.known(&ctx, dir, name, &seen)?.node, node))
        };
        {
            let _looking = dir.looking();
            if !leads_here()? {
                return Ok(());
            }
        }
        // Content is copied while nothing is locked.
        let own = if self.staging()?.able.links {
            None
        } else {
            Some(self.own_copy(node)?)
        };
        let _names = dir.changing_live()?;
        match own {
            _ if !leads_here()? => Ok(()),
            None => self.link_name(dir, name, node),
            Some(own) => self.part_name(dir, name, node, &own),
        }
    }
}

fn names_in(dir: &Held) -> FsResult<Vec<OsString>> {
    Ok(list(dir)?.into_iter().map(|item| item.name).collect())
}
