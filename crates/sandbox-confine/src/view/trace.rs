//! Resolution of a path that remembers each symbolic link it went through.
//!
//! A sandbox that shows `~/.nix-profile/bin` needs the links on the way as well as the directory at the end,
//! or `realpath` and `$ORIGIN` inside disagree with the host. This does what the kernel does when it follows
//! a path (`path_resolution(7)`), one `readlink` a component, and gives up after as many links as the kernel.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// `MAXSYMLINKS` of the kernel.
const MAX_LINKS: usize = 40;

/// How a path resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    /// The links followed, in order: where each is (with no link in its parents) and its target as written.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// What the path names, without a link in it.
    pub(super) real: PathBuf,
}

/// Resolves paths, and remembers what on their way is no link: many of them begin alike.
#[derive(Debug, Default)]
pub(super) struct Tracer {
    plain: BTreeSet<OsString>,
}

impl Tracer {
    /// Resolves the absolute `path`.
    ///
    /// `ENOENT` for a dangling link, `ELOOP` for too many, `EINVAL` for a path that is not absolute.
    pub(super) fn trace(&mut self, path: &Path) -> io::Result<Trace> {
        resolve(path, |real| {
            if self.plain.contains(real.as_os_str()) {
                return Ok(false);
            }
            let is_link = real.symlink_metadata()?.file_type().is_symlink();
            if !is_link {
                self.plain.insert(real.as_os_str().to_owned());
            }
            Ok(is_link)
        })
    }
}

fn resolve(path: &Path, mut is_link: impl FnMut(&Path) -> io::Result<bool>) -> io::Result<Trace> {
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut links = Vec::new();
    let mut real = PathBuf::from("/");
    let mut pending: VecDeque<Step> = steps(path).collect();
    while let Some(step) = pending.pop_front() {
        let name = match step {
            Step::Root => {
                real = PathBuf::from("/");
                continue;
            }
            Step::Up => {
                real.pop();
                continue;
            }
            Step::Down(name) => name,
        };
        real.push(name);
        if !is_link(&real)? {
            continue;
        }
        if links.len() == MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = real.read_link()?;
        for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
            pending.push_front(step);
        }
        links.push((real.clone(), target));
        real.pop();
    }
    Ok(Trace { links, real })
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> impl Iterator<Item = Step> {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn trace(path: &Path) -> io::Result<Trace> {
        Tracer::default().trace(path)
    }

    #[test]
    fn what_is_remembered_changes_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a", root.join("link")).unwrap();
        let mut tracer = Tracer::default();
        for path in ["link/b", "a/b", "link/b", "a/none", "link/../a"] {
            let path = root.join(path);
            assert_eq!(tracer.trace(&path).ok(), trace(&path).ok(), "{path:?}");
        }
    }

    #[test]
    fn every_link_on_the_way_is_reported_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("store/v2/bin")).unwrap();
        symlink("v2", root.join("store/current")).unwrap();
        symlink(root.join("store/current"), root.join("profile")).unwrap();

        let trace = trace(&root.join("profile/bin")).unwrap();

        assert_eq!(trace.real, root.join("store/v2/bin"));
        assert_eq!(
            trace.links,
            [
                (root.join("profile"), root.join("store/current")),
                (root.join("store/current"), PathBuf::from("v2")),
            ]
        );
    }

    #[test]
    fn dotdot_after_a_link_leaves_the_target_not_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        assert_eq!(trace(&root.join("link/..")).unwrap().real, root.join("a"));
    }

    #[test]
    fn a_loop_is_an_error_and_not_a_hang() {
        let dir = tempfile::tempdir().unwrap();
        symlink("two", dir.path().join("one")).unwrap();
        symlink("one", dir.path().join("two")).unwrap();
        let error = trace(&dir.path().join("one")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_dangling_link_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        symlink("nowhere", dir.path().join("one")).unwrap();
        assert_eq!(
            trace(&dir.path().join("one")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
