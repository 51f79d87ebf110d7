//! Whole trees of B that are to move: everything in them gets into A, in place, before.

use std::ffi::OsStr;
use std::sync::Arc;

use super::DualFs;
use super::copy::Keep;
use super::look::{Need, Shown};
use super::node::Node;
use super::policy::Plan;
use super::side::ourselves;
use super::staging::list;
use crate::fs::{Errno, FsResult};

/// How often a directory may get something new while it is completed.
const TRIES: usize = 8;

impl DualFs {
    /// A has all of the directory, and says that it is opaque. Nobody can see any of this.
    pub(super) fn complete(&self, dir: &Arc<Node>, plan: &Plan) -> FsResult<()> {
        self.raise(dir, Keep::All)?;
        for _ in 0..TRIES {
            let Some(b) = dir.b() else { return Ok(()) };
            for item in list(&b)? {
                self.complete_entry(dir, &item.name, plan)?;
            }
            let _names = dir.changing_live()?;
            if self.is_complete(dir, plan)? {
                return self.becomes_opaque(dir);
            }
        }
        Err(Errno::EBUSY)
    }

    fn complete_entry(&self, dir: &Arc<Node>, name: &OsStr, plan: &Plan) -> FsResult<()> {
        let ctx = ourselves();
        let node = {
            let _looking = dir.looking();
            let seen = self.look(&ctx, dir, name, plan.view, Need::Both)?;
            match seen.shown {
                Shown::Nothing | Shown::A => return Ok(()),
                Shown::B | Shown::Both => self.known(&ctx, dir, name, &seen)?.node,
            }
        };
        if node.is_directory() {
            self.complete(&node, plan)
        } else {
            self.raise_name(dir, name, &node, plan)
        }
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
        let ctx = ourselves();
        let _names = dir.changing_live()?;
        let seen = self.look(&ctx, dir, name, plan.view, Need::Both)?;
        if seen.shown != Shown::B {
            return Ok(());
        }
        if Arc::ptr_eq(&self.known(&ctx, dir, name, &seen)?.node, node) {
            self.link_name(dir, name, node)?;
        }
        Ok(())
    }
}
