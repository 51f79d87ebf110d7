//! Files that a link leads to from a place that a rule names.
//!
//! `.envrc` may be a link to `dev/environment`, and `~/.bashrc` one into a workspace of such files: what is changed there
//! runs as if it were where the link is. Links of the base are looked for, and those of the user's home; never the
//! branch's own, which are held as what they are. A directory that cannot be read, or is of another file system, has none.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sandbox_types::{NodeKind, RelPath};

use super::Rules;
use super::fold::Forms;
use crate::branch::git;

/// Directories that are looked through; more than a workspace of a million files has.
const MOST: usize = 500_000;
/// So deep in the user's home the rules look: `.config/fish/conf.d/x.fish`.
const DEEPEST_AT_HOME: usize = 4;

/// Links from places that rules name to what is in the workspace.
#[derive(Debug)]
pub(crate) struct Links {
    found: Vec<Link>,
    /// Whether everything was looked through.
    pub(crate) is_complete: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Link {
    /// Where it is, as rules see it.
    place: RelPath,
    /// For people.
    pub(super) shown: String,
    /// Where in the workspace it leads.
    target: Forms,
}

/// What a change is, seen through a link.
pub(super) enum Seen {
    /// It has this name there.
    As(Forms),
    /// It is a link in the place of a directory on the way from this name to what that leads to.
    OnTheWay(Forms),
}

impl Default for Links {
    fn default() -> Self {
        Self {
            found: Vec::new(),
            is_complete: true,
        }
    }
}

impl Links {
    /// Of the base `workspace`, a path without links, and of `home`, at the places of `rules`.
    pub(crate) fn find(rules: &Rules, workspace: &Path, home: Option<&Path>) -> Self {
        let mut search = Search {
            rules,
            workspace,
            found: Vec::new(),
            left: MOST,
        };
        search.through_workspace();
        if let Some(home) = home.filter(|home| home.is_absolute() && *home != workspace) {
            search.through_home(home);
        }
        Self {
            found: search.found,
            is_complete: search.left > 0,
        }
    }

    /// As what a change at `path` is seen where links lead to it.
    pub(super) fn to(&self, path: &Forms, node: NodeKind) -> impl Iterator<Item = (&Link, Seen)> {
        self.found
            .iter()
            .filter_map(move |link| Some((link, link.seen(path, node)?)))
    }
}

impl Link {
    fn seen(&self, path: &Forms, node: NodeKind) -> Option<Seen> {
        let mut pairs = self
            .target
            .all()
            .flat_map(|target| path.all().map(move |path| (target, path)));
        pairs.find_map(|(target, path)| {
            if let Some(rest) = rest_beneath(path, target) {
                self.place_of(rest).map(Seen::As)
            } else if node == NodeKind::Symlink && rest_beneath(target, path).is_some() {
                Some(Seen::OnTheWay(Forms::of(&self.place)))
            } else {
                None
            }
        })
    }

    fn place_of(&self, rest: &[u8]) -> Option<Forms> {
        let mut path = self.place.as_bytes().to_vec();
        if !rest.is_empty() {
            path.push(b'/');
            path.extend_from_slice(rest);
        }
        let path = RelPath::new(OsStr::from_bytes(&path)).ok()?;
        Some(Forms::of(&path))
    }
}

/// What of `path` comes after `directory`, if it is that or beneath it.
fn rest_beneath<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    if directory.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(directory)? {
        [] => Some(&[]),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

struct Search<'a> {
    rules: &'a Rules,
    workspace: &'a Path,
    found: Vec<Link>,
    left: usize,
}

impl Search<'_> {
    fn through_workspace(&mut self) {
        let device = device(self.workspace);
        let mut ahead = vec![RelPath::root()];
        while let Some(directory) = ahead.pop() {
            let place = self.workspace.join(directory.as_path());
            // What git's hooks lead to is found with its configuration.
            if directory.name() == Some(OsStr::new(".git")) || self::device(&place) != device {
                continue;
            }
            ahead.extend(self.through(self.workspace, &directory, ""));
        }
    }

    /// Only where rules look.
    fn through_home(&mut self, home: &Path) {
        let mut ahead = vec![RelPath::root()];
        while let Some(directory) = ahead.pop() {
            let within = self.through(home, &directory, "~/");
            let may_hold = |within: &RelPath| within.depth() < DEEPEST_AT_HOME && self.rules.look_at(within);
            ahead.extend(within.into_iter().filter(may_hold));
        }
    }

    /// Notes the links in a directory, and gives the directories in it.
    fn through(&mut self, root: &Path, directory: &RelPath, shown: &str) -> Vec<RelPath> {
        let mut within = Vec::new();
        if self.left == 0 {
            return within;
        }
        self.left -= 1;
        let entries = fs::read_dir(root.join(directory.as_path()));
        for entry in entries.into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if !kind.is_dir() && !kind.is_symlink() {
                continue;
            }
            let Ok(path) = directory.join(entry.file_name()) else {
                continue;
            };
            if kind.is_dir() {
                within.push(path);
            } else if self.rules.look_at(&path) {
                self.note(root, &path, shown);
            }
        }
        within
    }

    fn note(&mut self, root: &Path, place: &RelPath, shown: &str) {
        for way in git::ways(&root.join(place.as_path())).into_iter().skip(1) {
            let Ok(inside) = way.strip_prefix(self.workspace) else {
                continue;
            };
            let Ok(target) = RelPath::new(inside) else {
                continue;
            };
            self.found.push(Link {
                place: place.clone(),
                shown: format!("{shown}{place}"),
                target: Forms::of(&target),
            });
        }
    }
}

fn device(directory: &Path) -> Option<u64> {
    fs::symlink_metadata(directory).ok().map(|found| found.dev())
}
