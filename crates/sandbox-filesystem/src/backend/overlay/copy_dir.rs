//! Directories that are copied up, alone or with everything that is in them.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::Mode;

use super::attributes::{Source, mark};
use super::content::Content;
use super::copy_file::is_at;
use super::crash::crash_point;
use super::staging::clear_whiteouts;
use super::{OverlayFs, kept, parts};
use crate::backend::passthrough::host;
use crate::backend::passthrough::inode::{Identity, Inode, Part};
use crate::backend::passthrough::resolve::STAND_IN;
use crate::backend::union::{Listed, marks};
use crate::fs::{Errno, FsResult};

/// An inode, referred to for as long as this lives.
struct Referred<'a> {
    overlay: &'a OverlayFs,
    inode: Arc<Inode>,
}

impl<'a> Referred<'a> {
    fn again(overlay: &'a OverlayFs, inode: &Arc<Inode>) -> Self {
        overlay.host.table.refer_again(inode);
        Self {
            overlay,
            inode: Arc::clone(inode),
        }
    }
}

impl Drop for Referred<'_> {
    fn drop(&mut self) {
        self.overlay.host.do_forget(self.inode.number, 1);
    }
}

impl OverlayFs {
    /// Makes a directory in the upper, with nothing in it, that is merged with those that it has in lower layers.
    pub(super) fn copy_directory(&self, inode: &Arc<Inode>) -> FsResult<()> {
        let staging = &self.upper()?.staging;
        // A directory without a name holds nothing, and nothing can come into it.
        let place = inode.place().ok_or(Errno::ENOENT)?;
        let lower = self.host.descriptor(inode)?;
        let (stat, attr) = self.host.look(lower.as_fd())?;
        let staged = staging.name();
        rustix::fs::mkdirat(staging.fd(), &staged.name, Mode::RWXU)?;
        let open = || rustix::fs::openat(staging.fd(), &staged.name, STAND_IN, Mode::empty());
        let file = self.host.with_descriptors(open)?;
        let source = Source {
            file: lower.as_fd(),
            stat: &stat,
            attr: &attr,
        };
        kept::note_origin(inode, file.as_fd(), false)?;
        self.copy_attributes(&source, file.as_fd())?;
        crash_point("copy: dir staged");

        let _outer = parts(&place.parent).changing();
        if !is_at(inode, Some(&place)) {
            return Err(Errno::ESTALE);
        }
        self.put_in_place(&place, staged, file.as_fd())?;
        crash_point("copy: dir renamed");
        // Nobody looks at its parts while they change.
        let _inner = parts(inode).changing();
        let before = Arc::new(Part::new(inode.identity(), None));
        *before.path() = Some(Arc::clone(&lower));
        self.host.cache.keep_again(&before);
        parts(inode).push_down(before);
        let identity = Identity::of(&host::stat(file.as_fd())?);
        self.host.table.became(inode, identity, Arc::new(file));
        self.host.cache.queue(inode);
        Ok(())
    }

    /// Copies up a directory with everything in it, in place, and makes it hide what is beneath. Nobody can tell that from
    /// outside, so it takes no lock for long, others work in it meanwhile, and a crash in between does no harm.
    pub(super) fn complete(&self, dir: &Arc<Inode>) -> FsResult<()> {
        // No recursion: a tree can be deeper than a thread's stack.
        let mut under_way = vec![self.begin(Referred::again(self, dir))?];
        while let Some((dir, names)) = under_way.last_mut() {
            if let Some(name) = names.pop() {
                let inner = match self.complete_entry(&dir.inode, &name) {
                    // Gone meanwhile.
                    Err(Errno::ENOENT) => None,
                    other => other?,
                };
                if let Some(inner) = inner {
                    let inner = self.begin(inner)?;
                    under_way.push(inner);
                }
            } else {
                self.seal(&dir.inode)?;
                under_way.pop();
            }
        }
        Ok(())
    }

    /// A directory that is in the upper by now, and the names of what is to follow.
    fn begin<'a>(&self, dir: Referred<'a>) -> FsResult<(Referred<'a>, Vec<OsString>)> {
        self.raise(&dir.inode, Content::All)?;
        let entries = {
            let _looking = parts(&dir.inode).looking();
            self.merged(&dir.inode)?
        };
        let names = entries.into_iter().map(|entry| entry.name);
        let names = names.filter(|name| !Listed::is_dots(name)).collect();
        Ok((dir, names))
    }

    /// Copies up what has a name; a directory of which that is not all is the answer.
    fn complete_entry(&self, dir: &Arc<Inode>, name: &OsStr) -> FsResult<Option<Referred<'_>>> {
        let found = {
            let _looking = parts(dir).looking();
            let seen = self.look(dir, name)?;
            Referred {
                overlay: self,
                inode: self.known(dir, name, &seen)?.0,
            }
        };
        let inode = &found.inode;
        if inode.type_bits() != libc::S_IFDIR {
            self.raise_name(dir, name)?;
            return Ok(None);
        }
        // One without anything beneath is the upper's own, like everything in it.
        let own = inode.layer() == 0 && !parts(inode).is_merged();
        Ok((!own).then_some(found))
    }

    /// Makes a directory opaque of which everything is in the upper.
    fn seal(&self, dir: &Arc<Inode>) -> FsResult<()> {
        let _changing = parts(dir).changing();
        if !parts(dir).is_merged() {
            return Ok(());
        }
        let fd = self.host.part_descriptor(dir, 0)?;
        if let Some(left) = self.not_in_upper(dir)? {
            tracing::warn!(name = %left.display(), "came into a directory while it was copied up");
            return Err(Errno::EBUSY);
        }
        let before = host::stat(fd.as_fd())?;
        mark(fd.as_fd(), marks::OPAQUE, b"y")?;
        crash_point("complete: opaque");
        parts(dir).became_opaque();
        let listed = self.open_listing(fd.as_fd(), 0)?;
        clear_whiteouts(listed.as_fd(), self.upper()?.staging.means().whiteouts)?;
        crash_point("complete: cleared");
        super::attributes::copy_times(&before, fd.as_fd())
    }

    /// Something that is seen in a directory and not in the upper. Its names are locked.
    fn not_in_upper(&self, dir: &Arc<Inode>) -> FsResult<Option<OsString>> {
        let fd = self.host.part_descriptor(dir, 0)?;
        let entries = self.merged(dir)?;
        let mut names = entries.into_iter().map(|entry| entry.name);
        Ok(names.find(|name| !Listed::is_dots(name) && host::stat_in(fd.as_fd(), name).is_err()))
    }
}
