//! A filesystem of one's own: a directory whose one file says how often it was read.
//!
//! The backend is the part between the two lines; everything else is how it is used. It is served by FUSE in a mount that
//! stands in no mount table, so neither root nor a mount point is needed.

use std::ffi::OsStr;
use std::io::{Write, stdout};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbox::fs::{
    AddEntry, Attr, Context, DataWriter, DirEntry, DynFileSystem, Entry, Errno, Fit, FsResult, Handle, Ino,
    OpenFlags, Opened, ROOT_INO, ReadRequest,
};
use sandbox::serve::fuse::{MountError, Session};

// ---------------------------------------------------------------------------------------------------------------------

const COUNT_INO: Ino = 2;

#[derive(Default)]
struct Counting(AtomicU64);

fn attr(ino: Ino) -> FsResult<Attr> {
    match ino {
        ROOT_INO => Ok(Attr::new(ino, 0o40_555)),
        COUNT_INO => Ok(Attr::new(ino, 0o100_444)),
        _ => Err(Errno::ENOENT),
    }
}

impl DynFileSystem for Counting {
    fn lookup(&self, _: &Context<'_>, _: Ino, name: &OsStr) -> FsResult<Entry> {
        attr(if name == "count" { COUNT_INO } else { 0 }).map(Entry::new)
    }

    fn getattr(&self, _: &Context<'_>, ino: Ino, _: Option<Handle>) -> FsResult<(Attr, Duration)> {
        Ok((attr(ino)?, Duration::ZERO))
    }

    fn open(&self, _: &Context<'_>, _: Ino, flags: OpenFlags) -> FsResult<Opened> {
        (!flags.writes()).then(Opened::uncached).ok_or(Errno::EACCES)
    }

    fn read(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        read: &ReadRequest,
        data: &mut dyn DataWriter,
    ) -> FsResult<usize> {
        if read.offset > 0 {
            return Ok(0);
        }
        let reads = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        data.write(format!("{reads}\n").as_bytes())
    }

    fn readdir(
        &self,
        _: &Context<'_>,
        _: Ino,
        _: Option<Handle>,
        offset: u64,
        add: &mut AddEntry<'_>,
    ) -> FsResult<()> {
        let names = [(ROOT_INO, "."), (ROOT_INO, ".."), (COUNT_INO, "count")];
        for (next_offset, (ino, name)) in (1..).zip(names).skip(usize::try_from(offset).unwrap_or(3)) {
            let name = OsStr::new(name);
            let entry = DirEntry {
                ino,
                next_offset,
                kind: 0,
                name,
            };
            if add(entry)? == Fit::Full {
                break;
            }
        }
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------------------------------

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let session = match Session::builder(Arc::new(Counting::default())).mount_detached() {
        Ok(session) => session,
        Err(
            error @ (MountError::NoDevice
            | MountError::DevicePermission { .. }
            | MountError::Namespaces { .. }),
        ) => {
            writeln!(
                stdout(),
                "not here: {error}; {}",
                error.hint().unwrap_or_default()
            )?;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let root = session.root().ok_or("a detached mount has a root")?;
    let root = format!("/proc/self/fd/{}", root.as_raw_fd());
    for entry in std::fs::read_dir(&root)? {
        writeln!(stdout(), "it has: {}", entry?.file_name().display())?;
    }
    for _ in 0..3 {
        write!(
            stdout(),
            "read: {}",
            std::fs::read_to_string(format!("{root}/count"))?
        )?;
    }
    assert_eq!(std::fs::read_to_string(format!("{root}/count"))?, "4\n");
    let error = std::fs::write(format!("{root}/new"), "x").unwrap_err();
    writeln!(stdout(), "writing: {error}")?;
    Ok(())
}
