//! New files, directories and nodes: made in A, where they will be, or in staging where a whiteout is in their place.

use std::ffi::OsStr;
use std::sync::Arc;

use super::DualFs;
use super::copy::{Keep, inherit_from};
use super::crash::crash_point;
use super::look::{Need, Seen, Shown};
use super::lookup::{Known, shown_number};
use super::node::{NewNode, Node, Parts};
use super::notes::{Kept, NUMBER, format_number};
use super::policy::Plan;
use super::side::{Held, OpenFile, Side, There};
use crate::backend::union::marks;
use crate::fs::{Context, Created, Entry, Errno, FsResult, Ino, OpenFlags, OpenReplyFlags, RenameFlags};

/// What was made in a directory of A, and opened where that was asked for.
pub(super) struct Made {
    there: There,
    file: Option<(OpenFile, OpenReplyFlags)>,
}

/// Makes something in a directory of A under a name.
type How<'a> = dyn Fn(&Held, &OsStr) -> FsResult<Made> + 'a;

impl DualFs {
    pub(super) fn do_mknod(
        &self,
        ctx: &Context<'_>,
        at: (Ino, &OsStr),
        mode: u32,
        rdev: u64,
        umask: u32,
        plan: &Plan,
    ) -> FsResult<Entry> {
        // It would hide something.
        if mode & libc::S_IFMT == libc::S_IFCHR && rdev == 0 {
            return Err(Errno::EPERM);
        }
        self.make_entry(ctx, at, plan, &|dir, name| {
            made(dir, dir.fs.mknod(ctx, dir.ino, name, mode, rdev, umask)?)
        })
    }

    pub(super) fn do_mkdir(
        &self,
        ctx: &Context<'_>,
        at: (Ino, &OsStr),
        mode: u32,
        umask: u32,
        plan: &Plan,
    ) -> FsResult<Entry> {
        self.make_entry(ctx, at, plan, &|dir, name| {
            made(dir, dir.fs.mkdir(ctx, dir.ino, name, mode, umask)?)
        })
    }

    pub(super) fn do_symlink(
        &self,
        ctx: &Context<'_>,
        at: (Ino, &OsStr),
        target: &OsStr,
        plan: &Plan,
    ) -> FsResult<Entry> {
        self.make_entry(ctx, at, plan, &|dir, name| {
            made(dir, dir.fs.symlink(ctx, dir.ino, name, target)?)
        })
    }

    fn make_entry(
        &self,
        ctx: &Context<'_>,
        at: (Ino, &OsStr),
        plan: &Plan,
        how: &How<'_>,
    ) -> FsResult<Entry> {
        let dir = self.directory(at.0)?;
        let (known, _) = self.make(ctx, &dir, at.1, plan, how)?;
        Ok(self.refer(&known))
    }

    pub(super) fn do_create(
        &self,
        ctx: &Context<'_>,
        at: (Ino, &OsStr),
        mode: u32,
        flags: OpenFlags,
        umask: u32,
        plan: &Plan,
    ) -> FsResult<Created> {
        let dir = self.directory(at.0)?;
        let how = |dir: &Held, name: &OsStr| {
            let created = dir.fs.create(ctx, dir.ino, name, mode, flags, umask)?;
            let there = dir.adopt(&created.entry)?;
            let file = OpenFile::new(Arc::clone(&there.held), created.opened, flags);
            Ok(Made {
                there,
                file: Some((file, created.opened.flags)),
            })
        };
        loop {
            if let Some(created) = self.open_existing(ctx, &dir, at.1, flags, plan)? {
                return Ok(created);
            }
            plan.check_change()?;
            match self.make(ctx, &dir, at.1, plan, &how) {
                // It has come meanwhile.
                Err(Errno::EEXIST) if !flags.contains(OpenFlags::EXCL) => {}
                Ok((known, Some((file, reply)))) => {
                    let opened = self.register(&known.node, file, flags, reply);
                    let entry = self.refer(&known);
                    return Ok(Created { entry, opened });
                }
                Ok((_, None)) => return Err(Errno::EIO),
                Err(error) => return Err(error),
            }
        }
    }

    /// The file that has the name already; owner and mode stay.
    fn open_existing(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        flags: OpenFlags,
        plan: &Plan,
    ) -> FsResult<Option<Created>> {
        self.check_new_name(dir, name)?;
        let known = {
            let _looking = dir.looking();
            let seen = self.look(ctx, dir, name, plan.view, Need::Seen)?;
            if seen.is_nothing() {
                return Ok(None);
            }
            self.known(ctx, dir, name, &seen)?
        };
        if flags.contains(OpenFlags::EXCL) {
            return Err(Errno::EEXIST);
        }
        match known.node.kind {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Errno::EISDIR),
            libc::S_IFLNK => return Err(Errno::ELOOP),
            _ => return Err(Errno::ENXIO),
        }
        if flags.writes() || flags.contains(OpenFlags::TRUNC) {
            plan.check_change()?;
        }
        let opened = self.open_node(ctx, &known.node, flags)?;
        Ok(Some(Created {
            entry: self.refer(&known),
            opened,
        }))
    }

    pub(super) fn do_tmpfile(
        &self,
        ctx: &Context<'_>,
        parent: Ino,
        mode: u32,
        flags: OpenFlags,
        umask: u32,
    ) -> FsResult<Created> {
        let dir = self.directory(parent)?;
        let a = self.raise(&dir, Keep::All)?;
        let created = a.fs.tmpfile(ctx, a.ino, mode, flags, umask)?;
        let there = a.adopt(&created.entry)?;
        let file = OpenFile::new(Arc::clone(&there.held), created.opened, flags);
        let node = self.table.know(NewNode {
            kind: there.kind(),
            number: shown_number(Side::A, there.attr.ino),
            parts: Parts {
                a: Some(Arc::clone(&there.held)),
                b: None,
            },
            place: None,
            links: 0,
        });
        let opened = self.register(&node, file, flags, created.opened.flags);
        self.table.refer(&node);
        Ok(Created {
            entry: Entry {
                ino: node.ino,
                generation: 0,
                attr: node.shown(there.attr),
                attr_timeout: there.attr_timeout,
                entry_timeout: there.entry_timeout,
            },
            opened,
        })
    }

    /// Makes something under a name that leads to nothing.
    fn make(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        plan: &Plan,
        how: &How<'_>,
    ) -> FsResult<(Known, Option<(OpenFile, OpenReplyFlags)>)> {
        let a = self.ready_for(ctx, dir, name, plan)?;
        let _names = dir.changing_live()?;
        let seen = self.look(ctx, dir, name, plan.view, Need::Both)?;
        if !seen.is_nothing() {
            return Err(Errno::EEXIST);
        }
        let (made, kept) = if seen.whiteout {
            self.make_over_whiteout(ctx, dir, &a, name, &seen, how)?
        } else {
            (how(&a, name)?, Kept::Not)
        };
        let known = self.known(ctx, dir, name, &seen_in_a(made.there.clone()))?;
        if seen.beneath() && kept == Kept::Not {
            self.remember_new(&known.node);
        }
        dir.memory().whiteouts.remove(name);
        Ok((known, made.file))
    }

    /// Where something may be made: the directory in A. `EEXIST` before anything is copied for nothing.
    pub(super) fn ready_for(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        name: &OsStr,
        plan: &Plan,
    ) -> FsResult<Arc<Held>> {
        self.check_new_name(dir, name)?;
        {
            let _looking = dir.looking();
            if !self.look(ctx, dir, name, plan.view, Need::Seen)?.is_nothing() {
                return Err(Errno::EEXIST);
            }
        }
        self.raise(dir, Keep::All)
    }

    /// Made in a directory in staging that hands down what this one does, then moved over the whiteout.
    fn make_over_whiteout(
        &self,
        ctx: &Context<'_>,
        dir: &Arc<Node>,
        a: &Held,
        name: &OsStr,
        seen: &Seen,
        how: &How<'_>,
    ) -> FsResult<(Made, Kept)> {
        let staging = self.staging()?;
        let (_nursery, nursery) = inherit_from(&staging, a)?;
        let first = OsStr::new("new");
        let mut made = how(&nursery.held, first)?;
        let number = shown_number(Side::A, made.there.attr.ino);
        let kept = self.hide_beneath(dir, &made.there, number, seen)?;
        crash_point("create: staged");
        let flags = if made.there.is_directory() {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::empty()
        };
        if flags.is_empty() || staging.able.exchange {
            a.fs.rename(ctx, nursery.held.ino, first, a.ino, name, flags)?;
        } else {
            a.fs.unlink(ctx, a.ino, name)?;
            a.fs.rename(ctx, nursery.held.ino, first, a.ino, name, RenameFlags::empty())?;
        }
        crash_point("create: in place");
        made.there.attr = made.there.held.attr(ctx)?;
        Ok((made, kept))
    }

    /// What is new hides what B has under its name, with the number that programs see of it.
    pub(super) fn hide_beneath(
        &self,
        dir: &Arc<Node>,
        new: &There,
        number: u64,
        seen: &Seen,
    ) -> FsResult<Kept> {
        if !seen.beneath() {
            return Ok(Kept::InA);
        }
        if new.is_directory() {
            return self.mark(&new.held, new.kind(), marks::OPAQUE, b"y");
        }
        self.becomes_impure(dir)?;
        self.mark_number(new, number)
    }

    /// The same, where A keeps no notes.
    pub(super) fn remember_new(&self, node: &Arc<Node>) {
        if node.is_directory() {
            self.remember(node, marks::OPAQUE, b"y");
        } else {
            self.remember(node, NUMBER, &format_number(node.number()));
        }
    }
}

fn made(dir: &Held, entry: Entry) -> FsResult<Made> {
    Ok(Made {
        there: dir.adopt(&entry)?,
        file: None,
    })
}

/// What was just put under a name in A.
pub(super) fn seen_in_a(there: There) -> Seen {
    Seen {
        shown: Shown::A,
        a: Some(there),
        b: None,
        whiteout: false,
        absent: std::time::Duration::ZERO,
    }
}
