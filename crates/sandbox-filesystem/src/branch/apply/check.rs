//! Whether a base is as a plan expects it, and may be written.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;
use sandbox_types::{BaseChange, RelPath};

use super::super::beneath::{Root, names};
use super::super::node::Meta;
use super::error::{ApplyError, Conflict};
use super::journal::Left;
use super::occupant::{change, is_same_entry};
use super::plan::{After, Step, find};
use super::stage::{old_attributes, stage_error};

/// Paths that are not as the plan expects them.
pub(super) fn conflicts(base: &Root, steps: &[Step]) -> Result<Vec<Conflict>, ApplyError> {
    conflicts_but_for(base, steps, &BTreeSet::new())
}

/// The same once everything is staged: what has got another name by that has another ctime, at each of its names.
pub(super) fn conflicts_when_staged<'a>(
    base: &Root,
    steps: &[Step],
    linked: impl Iterator<Item = &'a Meta>,
) -> Result<Vec<Conflict>, ApplyError> {
    let linked = linked.map(|meta| meta.ino).collect();
    conflicts_but_for(base, steps, &linked)
}

fn conflicts_but_for(
    base: &Root,
    steps: &[Step],
    linked: &BTreeSet<u64>,
) -> Result<Vec<Conflict>, ApplyError> {
    let mut found = Vec::new();
    for step in steps {
        let now = base.meta(&step.path).map_err(stage_error(&step.path))?;
        let is_linked = |before: &&Meta| linked.contains(&before.ino);
        let change = match change(step.before.as_ref(), now.as_ref()) {
            Some(_) if is_only_linked(step.before.as_ref().filter(is_linked), now.as_ref()) => None,
            None if step.alters_directory() => altered(base, step)?,
            change => change,
        };
        found.extend(change.map(|change| conflict(&step.path, change)));
        if step.removes_directory() && change.is_none() {
            found.extend(unexpected(base, &step.path, |path| goes_away(steps, path))?);
        }
    }
    Ok(found)
}

fn is_only_linked(before: Option<&Meta>, now: Option<&Meta>) -> bool {
    before
        .zip(now)
        .is_some_and(|(before, now)| !before.is_dir() && is_same_entry(before, now))
}

/// Paths that are not as a commit has left them.
pub(super) fn conflicts_with_left(
    base: &Root,
    steps: &[Step],
    left: &Left,
) -> Result<Vec<Conflict>, ApplyError> {
    let mut found = Vec::new();
    for (step, left) in steps.iter().zip(&left.steps) {
        let now = base.meta(&step.path).map_err(stage_error(&step.path))?;
        let change = change(left.as_ref(), now.as_ref());
        found.extend(change.map(|change| conflict(&step.path, change)));
        if step.makes_directory() && change.is_none() {
            found.extend(unexpected(base, &step.path, |path| comes(steps, path))?);
        }
    }
    Ok(found)
}

/// Whether the directories that entries are made in or removed from may be written, and are on one file system.
pub(super) fn writable(base: &Root, steps: &[Step]) -> Result<(), ApplyError> {
    enterable(steps)?;
    let root = Meta::of(base).map_err(stage_error(&RelPath::root()))?;
    let moved = steps.iter().filter(|step| !step.is_in_place());
    let parents: BTreeSet<_> = moved.filter_map(|step| step.path.parent()).collect();
    for path in parents {
        let dir = match base.dir(&path) {
            Ok(dir) => dir,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::XDEV) => return Err(ApplyError::OtherFileSystem { path }),
                // It will be made; or it has vanished, which is a conflict and not for here.
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                _ => return Err(ApplyError::NotWritable { path, source: error }),
            },
        };
        if Meta::of(&dir).map_err(stage_error(&path))?.dev != root.dev {
            return Err(ApplyError::OtherFileSystem { path });
        }
        let access = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::accessat(&dir, ".", access, AtFlags::EACCESS) {
            // The plan changes its mode, or removes it: then it may be opened first.
            Err(Errno::ACCESS) if find(steps, &path).is_some() => {}
            result => result.map_err(|errno| ApplyError::NotWritable {
                path,
                source: errno.into(),
            })?,
        }
    }
    Ok(())
}

/// Whether what is in directories can be looked at afterwards, which undo and recovery need.
fn enterable(steps: &[Step]) -> Result<(), ApplyError> {
    const SEARCH: u32 = 0o100;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for (index, step) in steps.iter().enumerate() {
        let is_directory = step.makes_directory() || step.alters_directory();
        let is_locked = is_directory && step.after.attributes().is_some_and(|new| new.mode & SEARCH == 0);
        // Steps are ordered by path: what is in a directory follows it.
        let next = steps.get(index + 1);
        if is_locked && next.is_some_and(|next| next.path.is_beneath(&step.path)) {
            let path = step.path.clone();
            return Err(ApplyError::Locked { path });
        }
    }
    Ok(())
}

fn altered(base: &Root, step: &Step) -> Result<Option<BaseChange>, ApplyError> {
    let After::Attributes { old, .. } = &step.after else {
        return Ok(None);
    };
    let now = old_attributes(base, &step.path).map_err(stage_error(&step.path))?;
    Ok((now.xattrs != old.xattrs).then_some(BaseChange::Modified))
}

/// What is in a directory and should not be, once it is removed.
fn unexpected(
    base: &Root,
    path: &RelPath,
    is_expected: impl Fn(&RelPath) -> bool,
) -> Result<Vec<Conflict>, ApplyError> {
    let dir = match base.list_dir(path) {
        // It cannot be listed before it is opened; that it is not empty will be noticed when it is removed.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
        dir => dir.map_err(stage_error(path))?,
    };
    let mut found = Vec::new();
    for name in names(dir.as_fd()).map_err(stage_error(path))? {
        let inner = path
            .join(&name)
            .map_err(|error| stage_error(path)(std::io::Error::other(error)))?;
        if !is_expected(&inner) {
            found.push(conflict(&inner, BaseChange::Appeared));
        }
    }
    Ok(found)
}

fn goes_away(steps: &[Step], path: &RelPath) -> bool {
    step(steps, path).is_some_and(Step::is_removal)
}

fn comes(steps: &[Step], path: &RelPath) -> bool {
    step(steps, path).is_some_and(|step| step.before.is_none())
}

fn step<'a>(steps: &'a [Step], path: &RelPath) -> Option<&'a Step> {
    find(steps, path).and_then(|index| steps.get(index))
}

fn conflict(path: &RelPath, change: BaseChange) -> Conflict {
    Conflict {
        path: path.clone(),
        change,
    }
}
