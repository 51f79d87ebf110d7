//! Entries: which inode a name leads to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use super::DualFs;
use super::look::{Need, Seen, Shown};
use super::node::{NewNode, Node, Parts, Place};
use super::notes::{NUMBER, parse_number};
use super::policy::Plan;
use super::side::{Side, There};
use crate::backend::union::marks;
use crate::fs::{Attr, Context, Entry, Errno, FsResult, Ino};

/// A node, and what its backend says of it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) node: Arc<Node>,
    /// As it is shown.
    pub(super) attr: Attr,
    attr_timeout: Duration,
    entry_timeout: Duration,
}

impl DualFs {
    pub(super) fn do_lookup(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        name: &OsStr,
        plan: &Plan,
    ) -> FsResult<Entry> {
        let dir = self.directory(parent)?;
        match name.as_bytes() {
            b"." => return self.entry_of(ctx, &dir),
            b".." => {
                let above = dir.place().map_or(dir, |place| place.parent);
                return self.entry_of(ctx, &above);
            }
            _ => {}
        }
        if self.is_hidden(&dir, name)? {
            // Which tells a DualFs above this one to call its own otherwise.
            return Err(Errno::EPERM);
        }
        let _looking = dir.looking();
        let seen = self.look(ctx, &dir, name, plan.view, Need::Seen)?;
        if seen.is_nothing() && !seen.absent.is_zero() {
            return Ok(nothing(seen.absent));
        }
        let known = self.known(ctx, &dir, name, &seen)?;
        Ok(self.refer(&known))
    }

    /// `ENOTDIR` where it is none.
    pub(super) fn directory(&self, ino: Ino) -> FsResult<Arc<Node>> {
        let node = self.table.get(ino)?;
        if node.is_directory() {
            Ok(node)
        } else {
            Err(Errno::ENOTDIR)
        }
    }

    /// The node that a name leads to. The directory's names are locked.
    pub(super) fn known(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        seen: &Seen,
    ) -> FsResult<Known> {
        let part = |there: &Option<There>| there.as_ref().map(|there| Arc::clone(&there.held));
        let (there, parts) = match (seen.shown, &seen.a, &seen.b) {
            (Shown::A, Some(there), _) => (
                there,
                Parts {
                    a: part(&seen.a),
                    b: None,
                },
            ),
            (Shown::B, _, Some(there)) => (
                there,
                Parts {
                    a: None,
                    b: part(&seen.b),
                },
            ),
            (Shown::Both, Some(there), Some(_)) => (
                there,
                Parts {
                    a: part(&seen.a),
                    b: part(&seen.b),
                },
            ),
            _ => return Err(Errno::ENOENT),
        };
        let node = match self.table.find(&parts) {
            Some(node) => {
                self.table.add_parts(&node, &parts);
                node
            }
            None => self.new_node(ctx, dir, name, there, parts)?,
        };
        node.set_place(dir, name);
        let top = node.top()?;
        let attr = if (top.side, top.ino) == (there.held.side, there.held.ino) {
            there.attr
        } else {
            top.attr(ctx)?
        };
        Ok(Known {
            attr: node.shown(attr),
            node,
            attr_timeout: there.attr_timeout,
            entry_timeout: there.entry_timeout,
        })
    }

    fn new_node(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        there: &There,
        mut parts: Parts,
    ) -> FsResult<Arc<Node>> {
        let mut top = there.clone();
        let mut links = 0;
        if parts.a.is_none() {
            if let Some(copy) = self.indexed(ctx, there)? {
                parts.a = Some(Arc::clone(&copy.held));
                top = copy;
            } else {
                links = -self.names_gone(ctx, there)?;
            }
        }
        // One that the index leads to may have no other name in A.
        let counted = top.attr.nlink > 1 || parts.a.is_some() && parts.b.is_some();
        let is_copy = parts.a.is_some() && (parts.b.is_some() || self.marks(dir)?.impure);
        let mut number = shown_number(top.held.side, top.attr.ino);
        if is_copy {
            if let Some(noted) = self.note_of(&top, NUMBER)? {
                number = parse_number(&noted).unwrap_or(number);
            }
            if !top.is_directory()
                && counted
                && let Some(noted) = self.note_of(&top, marks::NLINK)?
            {
                links = marks::parse_nlink(&noted).map_or(0, i64::from);
            }
        }
        Ok(self.table.know(NewNode {
            kind: there.kind(),
            parts,
            place: Some(Place {
                parent: Arc::clone(dir),
                name: name.to_owned(),
            }),
            number,
            links,
        }))
    }

    /// One reference more, and what the kernel is told of it.
    pub(super) fn refer(&self, known: &Known) -> Entry {
        self.table.refer(&known.node);
        Entry {
            ino: known.node.ino,
            generation: 0,
            attr: known.attr,
            attr_timeout: known.attr_timeout,
            entry_timeout: known.entry_timeout,
        }
    }

    fn entry_of(&self, ctx: &Context<'_>, node: &Arc<Node>) -> FsResult<Entry> {
        let top = node.top()?;
        let (attr, attr_timeout) = top.fs.getattr(ctx, top.ino, None)?;
        Ok(self.refer(&Known {
            attr: node.shown(attr),
            node: Arc::clone(node),
            attr_timeout,
            entry_timeout: attr_timeout,
        }))
    }

    /// A name that may get something. `EPERM` for the one that is kept.
    pub(super) fn check_new_name(&self, dir: &Node, name: &OsStr) -> FsResult<()> {
        match name.as_bytes() {
            b"." | b".." => Err(Errno::EEXIST),
            b"" => Err(Errno::ENOENT),
            _ if self.is_hidden(dir, name)? => Err(Errno::EPERM),
            _ => Ok(()),
        }
    }

    /// A name that may go. `EINVAL`, `ENOTEMPTY` as Linux has it.
    pub(super) fn check_old_name(&self, dir: &Node, name: &OsStr) -> FsResult<()> {
        match name.as_bytes() {
            b"." => Err(Errno::EINVAL),
            b".." => Err(Errno::ENOTEMPTY),
            _ if self.is_hidden(dir, name)? => Err(Errno::EPERM),
            _ => Ok(()),
        }
    }

    pub(super) fn do_readlink(&self, ctx: &Context<'_>, ino: Ino) -> FsResult<Vec<u8>> {
        let top = self.table.get(ino)?.top()?;
        top.fs.readlink(ctx, top.ino)
    }
}

/// Twice the backend's own, so that those of both are apart.
pub(super) fn shown_number(side: Side, number: u64) -> u64 {
    let side = match side {
        Side::A => 0,
        Side::B => 1,
    };
    number.rotate_left(1) ^ side
}

fn nothing(timeout: Duration) -> Entry {
    Entry {
        ino: 0,
        generation: 0,
        attr: Attr::default(),
        attr_timeout: timeout,
        entry_timeout: timeout,
    }
}
