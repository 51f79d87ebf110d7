//! Where a symbolic link leads.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use sandbox_types::RelPath;

/// As many links as the kernel follows.
const LINK_LIMIT: u32 = 40;

/// Whether what is at `link`, pointing at `target`, leads out of the workspace at `root`.
///
/// `link_at` says where a path of the workspace points, if it is a link: without it `dir/..` would be taken for
/// inside while `dir` is a link to somewhere else. What cannot be decided, such as a loop, leads outside.
pub(super) fn leaves_workspace(
    link: &RelPath,
    target: &OsStr,
    root: &Path,
    link_at: &mut dyn FnMut(&RelPath) -> io::Result<Option<OsString>>,
) -> io::Result<bool> {
    let mut place = link.parent().unwrap_or_default();
    let mut ahead = VecDeque::new();
    let mut links = LINK_LIMIT;
    let mut next = Some(target.to_owned());
    loop {
        if let Some(target) = next.take() {
            let Some(steps) = Steps::of(Path::new(&target), root) else {
                return Ok(true);
            };
            if steps.from_root {
                place = RelPath::root();
            }
            for step in steps.steps.into_iter().rev() {
                ahead.push_front(step);
            }
        }
        let Some(step) = ahead.pop_front() else {
            return Ok(false);
        };
        let Some(name) = step else {
            match place.parent() {
                Some(parent) => place = parent,
                None => return Ok(true),
            }
            continue;
        };
        let Ok(path) = place.join(&name) else {
            return Ok(true);
        };
        next = link_at(&path)?;
        if next.is_none() {
            place = path;
        } else if links == 0 {
            return Ok(true);
        } else {
            links -= 1;
        }
    }
}

/// A target, step by step.
struct Steps {
    /// Whether it starts at the workspace's root.
    from_root: bool,
    /// Names to enter; none to go up.
    steps: Vec<Option<OsString>>,
}

impl Steps {
    /// None where the target is absolute and not beneath `root`.
    fn of(target: &Path, root: &Path) -> Option<Self> {
        let (relative, from_root) = if target.is_absolute() {
            (target.strip_prefix(root).ok()?, true)
        } else {
            (target, false)
        };
        let steps = relative.components().filter_map(|component| match component {
            Component::Normal(name) => Some(Some(name.to_owned())),
            Component::ParentDir => Some(None),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        });
        Some(Self {
            from_root,
            steps: steps.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(link: &str, target: &str, others: &[(&str, &str)]) -> bool {
        let mut link_at = |path: &RelPath| {
            let found = others.iter().find(|(name, _)| path.as_path() == Path::new(name));
            Ok(found.map(|(_, target)| OsString::from(target)))
        };
        let link = RelPath::new(link).unwrap();
        leaves_workspace(&link, OsStr::new(target), Path::new("/work/app"), &mut link_at).unwrap()
    }

    #[test]
    fn a_link_within_the_workspace_stays() {
        for (link, target) in [
            ("a", "b"),
            ("a", "."),
            ("d/a", ".."),
            ("d/e/a", "../../b"),
            ("a", "/work/app/b"),
            ("a", "/work/app"),
            ("d/a", "e/../../b"),
            ("a", "missing"),
        ] {
            assert!(!leaves(link, target, &[]), "{link} -> {target}");
        }
    }

    #[test]
    fn a_link_out_of_the_workspace_leaves() {
        for (link, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("d/a", "../.."),
            ("a", "b/../../c"),
            ("a", "/work/apple"),
            ("a", "/work/app/../other"),
            ("a", "/"),
        ] {
            assert!(leaves(link, target, &[]), "{link} -> {target}");
        }
    }

    #[test]
    fn a_link_leaves_through_another_one() {
        assert!(leaves("a", "here/..", &[("here", ".")]));
        assert!(leaves("a", "etc/passwd", &[("etc", "/etc")]));
        assert!(!leaves("a", "sub/..", &[("sub", "d/e")]));
        assert!(leaves("a", "sub/../../..", &[("sub", "d/e")]));
        assert!(leaves("a", "b", &[("a", "b"), ("b", "a")]));
    }
}
