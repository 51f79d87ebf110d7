//! A hidden directory in A's root for what is not finished, and what A is able to keep.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::DualFs;
use super::node::Node;
use super::side::{Held, Looked, There, if_known, ourselves};
use crate::backend::union::marks;
use crate::fs::{
    Attr, Context, Errno, Fit, FsResult, Ino, OpenFlags, Opened, ROOT_INO, RenameFlags, XattrFlags,
};

/// The name that the root does not show, or how it begins where A has such a directory itself.
const NAME: &str = ".sandbox-dual";
/// How many filesystems like this can have each other as A.
const DEEPEST: usize = 64;

/// What A can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Able {
    /// Attributes of overlayfs can be set.
    pub(super) attributes: bool,
    /// How something can be hidden.
    pub(super) whiteout: Option<Form>,
    /// Two names can change places.
    pub(super) exchange: bool,
    /// A rename can leave a whiteout.
    pub(super) leaves_whiteout: bool,
    /// A file can have several names.
    pub(super) links: bool,
}

/// What a whiteout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A device 0/0.
    Device,
    /// A file with an attribute.
    Attribute,
}

impl Able {
    /// Whether all that has to survive can be kept in A.
    pub(super) fn keeps(self) -> bool {
        self.attributes && self.whiteout.is_some() && self.exchange
    }
}

#[derive(Debug)]
pub(super) struct Staging {
    name: OsString,
    home: Arc<Held>,
    pub(super) stage: Arc<Held>,
    /// Copies of files that have several names in B.
    pub(super) index: Arc<Held>,
    next: AtomicU64,
    pub(super) able: Able,
}

/// A name in staging. What is there is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) staging: Arc<Staging>,
    pub(super) name: OsString,
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.staging.stage, &self.name) {
            tracing::debug!(%error, "something is left in staging");
        }
    }
}

/// An entry of a directory of a backend.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: OsString,
    pub(super) number: u64,
    pub(super) kind: u8,
}

impl DualFs {
    /// The staging directory of A, which is made where there is none.
    pub(super) fn staging(&self) -> FsResult<Arc<Staging>> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = &*staging {
            return Ok(Arc::clone(staging));
        }
        let root = self.table.get(ROOT_INO)?.raised()?;
        let opened = Arc::new(Staging::open(&root, self.hidden_name()?)?);
        *staging = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// What the staging directory is called. Where A is one like this, it answers `EPERM` to the name of its own.
    fn hidden_name(&self) -> FsResult<&OsStr> {
        if let Some(name) = self.hidden.get() {
            return Ok(name);
        }
        let root = self.table.get(ROOT_INO)?.raised()?;
        let names = (1..DEEPEST).map(|number| format!("{NAME}-{number}"));
        for name in std::iter::once(NAME.to_owned()).chain(names) {
            let name = OsString::from(name);
            match root.look(&ourselves(), &name) {
                Err(Errno::EPERM) => {}
                Err(error) => return Err(error),
                Ok(_) => return Ok(self.hidden.get_or_init(|| name)),
            }
        }
        Err(Errno::ELOOP)
    }

    /// Whether the name is the staging directory's, which nobody sees.
    pub(super) fn is_hidden(&self, dir: &Node, name: &OsStr) -> FsResult<bool> {
        let may_be = dir.ino == ROOT_INO && name.as_bytes().starts_with(NAME.as_bytes());
        Ok(may_be && name == self.hidden_name()?)
    }

    /// The index, without making one where there is none.
    pub(super) fn index_if_any(&self, ctx: &Context<'_>) -> FsResult<Option<Arc<Held>>> {
        let open = self
            .staging
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(staging) = open {
            return Ok(Some(Arc::clone(&staging.index)));
        }
        let root = self.table.get(ROOT_INO)?.raised()?;
        let Some(home) = root.look(ctx, self.hidden_name()?)?.there() else {
            return Ok(None);
        };
        let index = home.held.look(ctx, OsStr::new("index"))?.there();
        Ok(index.filter(There::is_directory).map(|index| index.held))
    }

    /// What is left in staging goes, and all of it where nothing is kept in it.
    pub(super) fn end_staging(&self) {
        let staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(staging) = staging
            && let Err(error) = staging.end()
        {
            tracing::debug!(%error, "the staging directory stays");
        }
    }
}

impl Staging {
    fn open(root: &Held, name: &OsStr) -> FsResult<Self> {
        let home = directory(root, name)?;
        let stage = directory(&home, OsStr::new("stage"))?;
        clear(&stage)?;
        let able = probe(&stage)?;
        clear(&stage)?;
        tracing::debug!(?able, "what the writable backend can keep");
        Ok(Self {
            index: directory(&home, OsStr::new("index"))?,
            name: name.to_owned(),
            home,
            stage,
            next: AtomicU64::new(0),
            able,
        })
    }

    /// A name that nobody else has.
    pub(super) fn name(self: &Arc<Self>) -> Staged {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Staged {
            staging: Arc::clone(self),
            name: OsString::from(number.to_string()),
        }
    }

    fn end(&self) -> FsResult<()> {
        let ctx = ourselves();
        let Held { fs, ino, .. } = &*self.home;
        clear(&self.stage)?;
        fs.rmdir(&ctx, *ino, OsStr::new("stage"))?;
        fs.rmdir(&ctx, *ino, OsStr::new("index"))?;
        fs.rmdir(&ctx, ROOT_INO, &self.name)
    }

    /// Makes a whiteout in staging.
    pub(super) fn whiteout(self: &Arc<Self>) -> FsResult<Staged> {
        let staged = self.name();
        make_whiteout(
            &self.stage,
            &staged.name,
            self.able.whiteout.ok_or(Errno::ENOTSUP)?,
        )?;
        Ok(staged)
    }
}

/// Makes a whiteout under a name that is free. One that is an attribute is seen before it has it.
pub(super) fn make_whiteout(dir: &Held, name: &OsStr, form: Form) -> FsResult<()> {
    let ctx = ourselves();
    match form {
        Form::Device => {
            let entry = dir.fs.mknod(&ctx, dir.ino, name, libc::S_IFCHR, 0, 0)?;
            dir.adopt(&entry).map(drop)
        }
        Form::Attribute => {
            let entry = dir.fs.mknod(&ctx, dir.ino, name, libc::S_IFREG | 0o600, 0, 0)?;
            let file = dir.adopt(&entry)?.held;
            let key = OsStr::new(marks::WHITEOUT);
            dir.fs.setxattr(&ctx, file.ino, key, b"y", XattrFlags::empty())
        }
    }
}

/// Whether that is a whiteout which is a device.
pub(super) fn is_whiteout(attr: &Attr) -> bool {
    attr.mode & libc::S_IFMT == libc::S_IFCHR && attr.rdev == 0
}

fn directory(parent: &Held, name: &OsStr) -> FsResult<Arc<Held>> {
    let ctx = ourselves();
    let there = match parent.look(&ctx, name)? {
        Looked::There(there) => there,
        Looked::Nothing(_) => {
            let entry = parent.fs.mkdir(&ctx, parent.ino, name, 0o700, 0)?;
            parent.adopt(&entry)?
        }
    };
    if there.is_directory() {
        Ok(there.held)
    } else {
        Err(Errno::ENOTDIR)
    }
}

/// Tries what A can do, in an empty directory of it.
fn probe(stage: &Held) -> FsResult<Able> {
    let ctx = ourselves();
    let (file, moved, whiteout) = (OsStr::new("file"), OsStr::new("moved"), OsStr::new("whiteout"));
    let entry = stage
        .fs
        .mknod(&ctx, stage.ino, file, libc::S_IFREG | 0o600, 0, 0)?;
    let made = stage.adopt(&entry)?;
    let key = OsStr::new(marks::IMPURE);
    let set = |ino: Ino| stage.fs.setxattr(&ctx, ino, key, b"y", XattrFlags::empty());
    let attributes = able(set(made.held.ino))? && able(set(stage.ino))?;
    let device = able(make_whiteout(stage, whiteout, Form::Device))? && shows_whiteout(stage, whiteout)?;
    let form = match (device, attributes) {
        (true, _) => Some(Form::Device),
        (false, true) => Some(Form::Attribute),
        (false, false) => None,
    };
    let linked = stage
        .fs
        .link(&ctx, made.held.ino, stage.ino, OsStr::new("linked"));
    let links = able(linked.and_then(|entry| stage.adopt(&entry)).map(drop))?;
    let rename = |name, new, flags| stage.fs.rename(&ctx, stage.ino, name, stage.ino, new, flags);
    let leaves = able(rename(file, moved, RenameFlags::WHITEOUT))? && shows_whiteout(stage, file)?;
    let (one, other) = (OsStr::new("one"), OsStr::new("other"));
    for name in [one, other] {
        let entry = stage.fs.mkdir(&ctx, stage.ino, name, 0o700, 0)?;
        drop(stage.adopt(&entry)?);
    }
    Ok(Able {
        attributes,
        whiteout: form,
        exchange: able(rename(one, other, RenameFlags::EXCHANGE))?,
        leaves_whiteout: leaves && form == Some(Form::Device),
        links,
    })
}

fn shows_whiteout(stage: &Held, name: &OsStr) -> FsResult<bool> {
    let there = stage.look(&ourselves(), name)?.there();
    Ok(there.is_some_and(|there| is_whiteout(&there.attr)))
}

/// Whether it was done, or there is no such thing; other errors say nothing about that.
fn able(result: FsResult<()>) -> FsResult<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::ENOSYS | Errno::ENOTSUP | Errno::EPERM | Errno::EINVAL | Errno::EACCES | Errno::EXDEV) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes everything in a directory of a backend.
pub(super) fn clear(dir: &Held) -> FsResult<()> {
    let ctx = ourselves();
    // No recursion: a tree can be deeper than a thread's stack.
    let mut rest = list(dir)?;
    let mut below: Vec<Emptied> = Vec::new();
    loop {
        let (here, items) = match below.last_mut() {
            Some(emptied) => (&*emptied.dir, &mut emptied.rest),
            None => (dir, &mut rest),
        };
        if let Some(item) = items.pop() {
            match here.look(&ctx, &item.name)?.there() {
                None => {}
                Some(there) if there.is_directory() => below.push(Emptied {
                    rest: list(&there.held)?,
                    dir: there.held,
                    name: item.name,
                }),
                Some(_) => here.fs.unlink(&ctx, here.ino, &item.name)?,
            }
        } else if let Some(emptied) = below.pop() {
            let above = below.last().map_or(dir, |above| &*above.dir);
            above.fs.rmdir(&ctx, above.ino, &emptied.name)?;
        } else {
            return Ok(());
        }
    }
}

/// A directory that is being emptied: its name, and what is still in it.
struct Emptied {
    dir: Arc<Held>,
    name: OsString,
    rest: Vec<Item>,
}

/// Removes what has a name, if there is something, with everything in it.
pub(super) fn remove(dir: &Held, name: &OsStr) -> FsResult<()> {
    let ctx = ourselves();
    let Some(there) = dir.look(&ctx, name)?.there() else {
        return Ok(());
    };
    if there.is_directory() {
        clear(&there.held)?;
        dir.fs.rmdir(&ctx, dir.ino, name)
    } else {
        dir.fs.unlink(&ctx, dir.ino, name)
    }
}

/// The entries of a directory of a backend, without "." and "..".
pub(super) fn list(dir: &Held) -> FsResult<Vec<Item>> {
    let ctx = ourselves();
    let opened = match dir.fs.opendir(&ctx, dir.ino, OpenFlags::DIRECTORY) {
        Err(Errno::ENOSYS) => Opened::default(),
        opened => opened?,
    };
    let items = list_open(dir, opened);
    let released = if_known(dir.fs.releasedir(&ctx, dir.ino, opened.handle));
    if let Err(error) = released {
        tracing::debug!(%error, "a release");
    }
    items
}

fn list_open(dir: &Held, opened: Opened) -> FsResult<Vec<Item>> {
    let mut items = Vec::new();
    let mut offset = 0;
    loop {
        let before = offset;
        dir.fs
            .readdir(&ourselves(), dir.ino, opened.handle, before, &mut |entry| {
                offset = entry.next_offset;
                if !matches!(entry.name.as_bytes(), b"." | b"..") {
                    items.push(Item {
                        name: entry.name.to_owned(),
                        number: entry.ino,
                        kind: entry.kind,
                    });
                }
                Ok(Fit::Taken)
            })?;
        if before == offset {
            return Ok(items);
        }
    }
}

/// Moves what is in staging to a name in A, over what is there and may be replaced.
pub(super) fn move_out(staged: &Staged, dir: &Held, name: &OsStr, flags: RenameFlags) -> FsResult<()> {
    let stage = staged.staging.stage.ino;
    dir.fs
        .rename(&ourselves(), stage, &staged.name, dir.ino, name, flags)
}

/// What is in staging.
pub(super) fn staged(there: FsResult<crate::fs::Entry>, stage: &Held) -> FsResult<There> {
    stage.adopt(&there?)
}
