//! Directories that are listed.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, PoisonError};

use super::DualFs;
use super::look::Need;
use super::lookup::shown_number;
use super::node::{DirMarks, Node};
use super::notes::{NUMBER, parse_number};
use super::open::OpenDir;
use super::policy::{Partial, Plan, View};
use super::side::{Held, Side, ourselves};
use super::staging::{Item, is_whiteout, list};
use crate::backend::union::{Listed, Merge, Snapshot};
use crate::fs::{AddEntry, AddEntryPlus, Context, DirEntry, Entry, FsResult, Handle, SyncScope};

impl DualFs {
    pub(super) fn do_readdir(
        &self,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
        plan: &Plan,
    ) -> FsResult<()> {
        let open = self.handles.dir(handle)?;
        self.snapshot(&open, offset, plan)?.give(offset, add)
    }

    pub(super) fn do_readdirplus(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        offset: u64,
        add: &mut AddEntryPlus<'_>,
        plan: &Plan,
    ) -> FsResult<()> {
        let open = self.handles.dir(handle)?;
        let snapshot = self.snapshot(&open, offset, plan)?;
        snapshot.give(offset, &mut |entry: DirEntry<'_>| {
            let name = entry.name;
            add(entry, &mut || Ok(self.entry_listed(ctx, &open, name, plan)))
        })
    }

    /// None for "." and "..", and for what is gone by now or cannot be looked at: the kernel asks again by name.
    fn entry_listed(&self, ctx: &Context<'_>, open: &OpenDir, name: &OsStr, plan: &Plan) -> Option<Entry> {
        if Listed::is_dots(name) {
            return None;
        }
        let _looking = open.node.looking();
        let seen = self.look(ctx, &open.node, name, plan.view, Need::Seen).ok()?;
        let known = self.known(ctx, &open.node, name, &seen).ok()?;
        Some(self.refer(&known))
    }

    /// What the directory showed when this listing was begun.
    fn snapshot(&self, open: &OpenDir, offset: u64, plan: &Plan) -> FsResult<Arc<Snapshot>> {
        let mut snapshot = open.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*snapshot {
            Some(snapshot) if offset > 0 => Ok(Arc::clone(snapshot)),
            _ => {
                let new = Arc::new(Snapshot::new(self.listing(&open.node, plan)?));
                *snapshot = Some(Arc::clone(&new));
                Ok(new)
            }
        }
    }

    fn listing(&self, dir: &Arc<Node>, plan: &Plan) -> FsResult<Vec<Listed>> {
        let above = dir.place().map_or(dir.number(), |place| place.parent.number());
        let _looking = dir.looking();
        let mut entries = vec![
            Listed::new(b".", dir.number(), libc::DT_DIR),
            Listed::new(b"..", above, libc::DT_DIR),
        ];
        entries.extend(self.entries(dir, plan)?);
        Ok(entries)
    }

    /// All that a directory shows, whose names are locked.
    pub(super) fn entries(&self, dir: &Node, plan: &Plan) -> FsResult<Vec<Listed>> {
        let parts = dir.parts();
        let beneath = match parts.b.filter(|_| plan.view != View::BackendAOnly) {
            None => Vec::new(),
            Some(b) => match list(&b) {
                Err(error) if plan.partial == Partial::Listed && parts.a.is_some() => {
                    tracing::warn!(%error, "the second backend cannot be listed, and the first is alone");
                    Vec::new()
                }
                items => items?,
            },
        };
        let mut merge = Merge::default();
        if let Some(a) = parts.a.filter(|_| plan.view != View::BackendBOnly) {
            self.list_above(dir, &a, plan.view, &beneath, &mut merge)?;
            for name in &dir.memory().whiteouts {
                merge.hide(name.as_bytes());
            }
        }
        merge.next_layer();
        for item in beneath {
            // B may have been somebody's A.
            if self.is_hidden(dir, &item.name)? {
                continue;
            }
            let number = shown_number(Side::B, item.number);
            merge.add(Listed::new(item.name.as_bytes(), number, item.kind), false);
        }
        Ok(merge.finish())
    }

    fn list_above(
        &self,
        dir: &Node,
        a: &Held,
        view: View,
        beneath: &[Item],
        merge: &mut Merge,
    ) -> FsResult<()> {
        let marks = self.marks(dir)?;
        let first: HashSet<&OsString> = if view == View::BackendBFirst {
            let others = beneath.iter().filter(|item| item.kind != libc::DT_DIR);
            others.map(|item| &item.name).collect()
        } else {
            HashSet::new()
        };
        for item in list(a)? {
            if self.is_hidden(dir, &item.name)? {
                continue;
            }
            let may_give_way = first.contains(&item.name);
            match self.item_above(dir, a, marks, &item, may_give_way)? {
                InListing::Entry(number, kind) => {
                    merge.add(Listed::new(item.name.as_bytes(), number, kind), false);
                }
                InListing::Whiteout => merge.hide(item.name.as_bytes()),
                InListing::Beneath => {}
            }
        }
        Ok(())
    }

    /// What an entry of A is in the listing; it is looked up only where that can make a difference.
    fn item_above(
        &self,
        dir: &Node,
        a: &Held,
        marks: DirMarks,
        item: &Item,
        may_give_way: bool,
    ) -> FsResult<InListing> {
        let plain = InListing::Entry(shown_number(Side::A, item.number), item.kind);
        let looks = marks.impure
            || matches!(item.kind, libc::DT_CHR | libc::DT_UNKNOWN)
            || item.kind == libc::DT_REG && (marks.attributes || may_give_way);
        if !looks {
            return Ok(plain);
        }
        let Some(there) = a.look(&ourselves(), &item.name)?.there() else {
            return Ok(plain);
        };
        if is_whiteout(&there.attr)
            || there.kind() == libc::S_IFREG && self.is_attribute_whiteout(dir, &there)?
        {
            return Ok(InListing::Whiteout);
        }
        let noted = self.note_of(&there, NUMBER)?;
        if noted.is_none() && may_give_way && there.kind() == libc::S_IFREG {
            return Ok(InListing::Beneath);
        }
        let number = noted.as_deref().and_then(parse_number);
        let kind = u8::try_from(there.kind() >> 12).unwrap_or(libc::DT_UNKNOWN);
        let own = shown_number(Side::A, there.attr.ino);
        Ok(InListing::Entry(number.unwrap_or(own), kind))
    }

    pub(super) fn do_fsyncdir(
        &self,
        ctx: &Context<'_>,
        handle: Option<Handle>,
        scope: SyncScope,
    ) -> FsResult<()> {
        let Some(a) = self.handles.dir(handle)?.node.a() else {
            // Nothing was changed.
            return Ok(());
        };
        let opened = match a.fs.opendir(ctx, a.ino, crate::fs::OpenFlags::DIRECTORY) {
            Err(crate::fs::Errno::ENOSYS) => crate::fs::Opened::default(),
            opened => opened?,
        };
        let synced = super::side::if_known(a.fs.fsyncdir(ctx, a.ino, opened.handle, scope));
        let released = super::side::if_known(a.fs.releasedir(ctx, a.ino, opened.handle));
        synced.and(released)
    }

    /// Whether what is beneath the directory and A's own whiteouts is all that there is in it.
    pub(super) fn is_empty(&self, dir: &Node, plan: &Plan) -> FsResult<bool> {
        let whole = Plan {
            partial: Partial::Refused,
            ..*plan
        };
        Ok(self.entries(dir, &whole)?.is_empty())
    }
}

/// What an entry of A is.
enum InListing {
    /// With this number and type.
    Entry(u64, u8),
    /// It hides B's.
    Whiteout,
    /// B's is seen instead.
    Beneath,
}
