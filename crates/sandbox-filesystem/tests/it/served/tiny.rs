//! A filesystem of one directory, in which some names do what a backend should not.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use sandbox_filesystem::fs::{
    AddEntry, Attr, Capabilities, Context, Created, DataReader, DataWriter, DirEntry, DynFileSystem, Entry,
    Errno, Fit, FsResult, Handle, Ino, Invalidate, Lock, LockKind, LockOwner, OpenFlags, Opened, ROOT_INO,
    ReadRequest, SetAttr, WriteRequest,
};

/// Reading it takes until the reader is interrupted or the filesystem released.
pub(crate) const STUCK: &str = "stuck";
/// As `STUCK`, but nothing interrupts it.
pub(crate) const DEAF: &str = "deaf";
/// Reading it panics.
pub(crate) const PANIC: &str = "panic";

#[derive(Default)]
pub(crate) struct Tiny {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    released: Mutex<bool>,
    changed: Condvar,
    lock: Mutex<Option<LockOwner>>,
    pub(crate) waiting: AtomicU64,
    pub(crate) destroyed: AtomicU64,
    pub(crate) invalidate: OnceLock<Arc<dyn Invalidate>>,
    pub(crate) timeout: Duration,
    pub(crate) wanted: Capabilities,
}

impl Tiny {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::with(Duration::ZERO, Capabilities::USUAL))
    }

    pub(crate) fn with(timeout: Duration, wanted: Capabilities) -> Self {
        let tiny = Self {
            timeout,
            wanted,
            ..Self::default()
        };
        for name in [STUCK, DEAF, PANIC] {
            tiny.put(name, b"something");
        }
        tiny
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let mut files = self.files.lock().unwrap();
        files.insert(name.to_owned(), content.to_owned());
    }

    pub(crate) fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().get(name).cloned()
    }

    /// Lets go whoever is stuck.
    pub(crate) fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// The number of a file: its place in the alphabet of all that ever were, which is enough here.
    pub(crate) fn ino(name: &str) -> Ino {
        name.bytes()
            .fold(7, |ino, byte| (ino * 257 + u64::from(byte)) % (1 << 40))
            + 2
    }

    fn name(&self, ino: Ino) -> FsResult<String> {
        let files = self.files.lock().unwrap();
        let name = files.keys().find(|name| Self::ino(name) == ino);
        name.cloned().ok_or(Errno::ENOENT)
    }

    fn attr(&self, ino: Ino) -> FsResult<Attr> {
        let (mode, size) = if ino == ROOT_INO {
            (libc::S_IFDIR | 0o777, 0)
        } else {
            let files = self.files.lock().unwrap();
            let file = files.iter().find(|(name, _)| Self::ino(name) == ino);
            let (_, content) = file.ok_or(Errno::ENOENT)?;
            (libc::S_IFREG | 0o666, content.len() as u64)
        };
        Ok(Attr {
            ino,
            size,
            mode,
            nlink: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            blksize: 4096,
            ..Attr::default()
        })
    }

    fn entry(&self, ino: Ino) -> FsResult<Entry> {
        Ok(Entry {
            ino,
            generation: 0,
            attr: self.attr(ino)?,
            attr_timeout: self.timeout,
            entry_timeout: self.timeout,
        })
    }

    fn stay(&self, ctx: &Context<'_>, deaf: bool) -> FsResult<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut released = self.released.lock().unwrap();
        while !*released {
            if !deaf && ctx.interrupt.is_raised() {
                return Err(Errno::EINTR);
            }
            released = self
                .changed
                .wait_timeout(released, Duration::from_millis(5))
                .unwrap()
                .0;
        }
        Ok(())
    }
}

impl DynFileSystem for Tiny {
    fn init(&self, offered: Capabilities) -> FsResult<Capabilities> {
        Ok(offered & self.wanted)
    }

    fn destroy(&self) {
        self.destroyed.fetch_add(1, Ordering::SeqCst);
    }

    fn attach_invalidate(&self, channel: Arc<dyn Invalidate>) {
        let _ = self.invalidate.set(channel);
    }

    fn lookup(&self, _: &Context<'_>, _: Ino, name: &OsStr) -> FsResult<Entry> {
        let name = name.to_str().ok_or(Errno::ENOENT)?;
        if !self.files.lock().unwrap().contains_key(name) {
            return Err(Errno::ENOENT);
        }
        self.entry(Self::ino(name))
    }

    fn getattr(&self, _: &Context<'_>, ino: Ino, _: Option<Handle>) -> FsResult<(Attr, Duration)> {
        Ok((self.attr(ino)?, self.timeout))
    }

    fn setattr(&self, _: &Context<'_>, ino: Ino, change: &SetAttr) -> FsResult<(Attr, Duration)> {
        if let Some(size) = change.size {
            let name = self.name(ino)?;
            let mut files = self.files.lock().unwrap();
            let content = files.get_mut(&name).ok_or(Errno::ENOENT)?;
            content.resize(usize::try_from(size).map_err(|_| Errno::EFBIG)?, 0);
        }
        Ok((self.attr(ino)?, self.timeout))
    }

    fn open(&self, _: &Context<'_>, ino: Ino, _: OpenFlags) -> FsResult<Opened> {
        self.attr(ino)?;
        Ok(Opened {
            handle: Some(0),
            ..Opened::default()
        })
    }

    fn create(
        &self,
        _: &Context<'_>,
        _: Ino,
        name: &OsStr,
        _: u32,
        _: OpenFlags,
        _: u32,
    ) -> FsResult<Created> {
        let name = name.to_str().ok_or(Errno::EINVAL)?;
        self.put(name, b"");
        Ok(Created {
            entry: self.entry(Self::ino(name))?,
            opened: Opened::default(),
        })
    }

    fn unlink(&self, _: &Context<'_>, _: Ino, name: &OsStr) -> FsResult<()> {
        let name = name.to_str().ok_or(Errno::ENOENT)?;
        let removed = self.files.lock().unwrap().remove(name);
        removed.map(drop).ok_or(Errno::ENOENT)
    }

    fn read(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        _: Option<Handle>,
        request: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        let name = self.name(ino)?;
        match &*name {
            STUCK => self.stay(ctx, false)?,
            DEAF => self.stay(ctx, true)?,
            PANIC => panic!("a backend that panics"),
            _ => {}
        }
        let content = self.content(&name).ok_or(Errno::ENOENT)?;
        let start = usize::try_from(request.offset).unwrap().min(content.len());
        data.write(&content[start..])
    }

    fn write(
        &self,
        _: &Context<'_>,
        ino: Ino,
        _: Option<Handle>,
        request: &WriteRequest,
        data: &mut dyn DataReader,
    ) -> FsResult<usize> {
        let name = self.name(ino)?;
        let mut files = self.files.lock().unwrap();
        let content = files.get_mut(&name).ok_or(Errno::ENOENT)?;
        let start = usize::try_from(request.offset).unwrap();
        let end = start + data.remaining();
        if content.len() < end {
            content.resize(end, 0);
        }
        let mut written = start;
        while written < end {
            written += data.read(&mut content[written..end])?;
        }
        Ok(end - start)
    }

    fn readdir(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        let files = self.files.lock().unwrap();
        let names = [".", ".."].into_iter().chain(files.keys().map(String::as_str));
        for (position, name) in (1..).zip(names).skip(usize::try_from(offset).unwrap()) {
            let entry = DirEntry {
                ino: Self::ino(name),
                next_offset: position,
                kind: libc::DT_UNKNOWN,
                name: OsStr::new(name),
            };
            if add(entry)? == Fit::Full {
                break;
            }
        }
        Ok(())
    }

    fn setlk(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        let mut held = self.lock.lock().unwrap();
        match (*held, lock.kind) {
            (Some(holder), LockKind::Unlocked) if holder == owner => *held = None,
            (_, LockKind::Unlocked) => {}
            (Some(holder), _) if holder != owner => return Err(Errno::EAGAIN),
            _ => *held = Some(owner),
        }
        Ok(())
    }

    fn setlkw(
        &self,
        ctx: &Context<'_>,
        ino: Ino,
        handle: Option<Handle>,
        owner: LockOwner,
        lock: Lock,
    ) -> FsResult<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        loop {
            match self.setlk(ctx, ino, handle, owner, lock) {
                Err(Errno::EAGAIN) if ctx.interrupt.wait(Duration::from_millis(2)) => {
                    return Err(Errno::EINTR);
                }
                Err(Errno::EAGAIN) => {}
                result => return result,
            }
        }
    }

    fn flush(&self, ctx: &Context<'_>, ino: Ino, handle: Option<Handle>, owner: LockOwner) -> FsResult<()> {
        let all = Lock {
            start: 0,
            end: u64::MAX,
            kind: LockKind::Unlocked,
            pid: 0,
        };
        self.setlk(ctx, ino, handle, owner, all)
    }
}
