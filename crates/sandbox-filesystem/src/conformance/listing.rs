//! What has no oracle: listings of a directory that changes meanwhile.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::fs::{Context, DynFileSystem, Fit, FsResult, Handle, Ino, OpenFlags, Opened, ROOT_INO};

/// Lists a directory of `fs` while entries come and go, and says what is wrong: an entry that was there all the time was
/// given not once, one that was renamed was never given, one that came after the end of a listing began it anew, or a
/// listing that was begun anew did not show what is there.
pub fn check_listing(fs: &dyn DynFileSystem) -> FsResult<Vec<String>> {
    let mut problems = Vec::new();
    let ctx = Context::new(0, 0);
    let directory = fs.mkdir(&ctx, ROOT_INO, OsStr::new("listing"), 0o755, 0)?.ino;
    let names: Vec<OsString> = (0..200)
        .map(|number| format!("stays-{number:03}").into())
        .collect();
    for name in &names {
        touch(fs, directory, name)?;
        touch(fs, directory, &goes(name))?;
    }
    let opened = fs
        .opendir(&ctx, directory, OpenFlags::empty())
        .unwrap_or_else(|_| Opened::default());
    let listing = Listing {
        fs,
        directory,
        handle: opened.handle,
    };
    let seen = listing.while_it_changes(&names)?;
    for name in &names {
        if seen.get(name).copied().unwrap_or(0) != 1 {
            problems.push(format!(
                "{} was given {} times",
                name.display(),
                seen.get(name).unwrap_or(&0)
            ));
        }
    }
    if let Some((name, count)) = seen.iter().find(|(_, count)| **count > 1) {
        problems.push(format!("{} was given {count} times", name.display()));
    }
    problems.extend(listing.rewound()?);
    problems.extend(listing.with_renames()?);
    fs.releasedir(&ctx, directory, opened.handle)?;
    fs.forget(directory, 1);
    Ok(problems)
}

struct Listing<'a> {
    fs: &'a dyn DynFileSystem,
    directory: Ino,
    handle: Option<Handle>,
}

impl Listing<'_> {
    /// A few entries at a time; after each, some that were listed and some that were not are removed, and others made.
    fn while_it_changes(&self, names: &[OsString]) -> FsResult<BTreeMap<OsString, u32>> {
        let ctx = Context::new(0, 0);
        let mut seen = BTreeMap::new();
        let mut offset = 0;
        let mut victims = names.iter();
        loop {
            let (batch, next) = self.batch(offset, 7)?;
            if batch.is_empty() {
                return Ok(seen);
            }
            offset = next;
            for name in batch {
                *seen.entry(name).or_default() += 1;
            }
            for name in victims.by_ref().take(3) {
                self.fs.unlink(&ctx, self.directory, &goes(name))?;
                touch(self.fs, self.directory, &comes(name))?;
            }
        }
    }

    fn rewound(&self) -> FsResult<Vec<String>> {
        touch(self.fs, self.directory, OsStr::new("came-late"))?;
        let listed = self.all()?;
        let late = listed.iter().filter(|name| *name == "came-late").count();
        let mut problems = Vec::new();
        if late != 1 {
            problems.push(format!(
                "an entry made before the listing was begun anew was given {late} times"
            ));
        }
        Ok(problems)
    }

    /// Renames everything while it lists, which has to end.
    fn with_renames(&self) -> FsResult<Vec<String>> {
        let ctx = Context::new(0, 0);
        let most = 4 * self.all()?.len();
        let mut offset = 0;
        for round in 0..most {
            let (batch, next) = self.batch(offset, 1)?;
            let Some(name) = batch.first() else {
                return Ok(Vec::new());
            };
            offset = next;
            if name != "." && name != ".." {
                let new = OsString::from(format!("renamed-{round}"));
                self.fs.rename(
                    &ctx,
                    self.directory,
                    name,
                    self.directory,
                    &new,
                    crate::fs::RenameFlags::empty(),
                )?;
            }
        }
        Ok(vec![
            "a listing whose entries are renamed meanwhile does not end".to_owned(),
        ])
    }

    fn all(&self) -> FsResult<Vec<OsString>> {
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let (batch, next) = self.batch(offset, 50)?;
            if batch.is_empty() {
                return Ok(names);
            }
            offset = next;
            names.extend(batch);
        }
    }

    fn batch(&self, offset: u64, count: usize) -> FsResult<(Vec<OsString>, u64)> {
        let mut names = Vec::new();
        let mut next = offset;
        self.fs.readdir(
            &Context::new(0, 0),
            self.directory,
            self.handle,
            offset,
            &mut |entry| {
                if names.len() == count {
                    return Ok(Fit::Full);
                }
                names.push(entry.name.to_owned());
                next = entry.next_offset;
                Ok(Fit::Taken)
            },
        )?;
        Ok((names, next))
    }
}

fn touch(fs: &dyn DynFileSystem, directory: Ino, name: &OsStr) -> FsResult<()> {
    let made = fs.mknod(&Context::new(0, 0), directory, name, libc::S_IFREG | 0o644, 0, 0)?;
    fs.forget(made.ino, 1);
    Ok(())
}

fn goes(name: &OsStr) -> OsString {
    let mut new = OsString::from("goes-");
    new.push(name);
    new
}

fn comes(name: &OsStr) -> OsString {
    let mut new = OsString::from("comes-");
    new.push(name);
    new
}
