//! What git runs or reads of a workspace because the base says so.
//!
//! `core.hooksPath`, `include.path` and a link among the hooks name files that look like any others. Which these
//! are is asked of the base and of the user's configuration, never of the branch: what it changes there is held
//! already. Other repositories within the workspace are asked where something has changed in them, and submodules.

use std::path::{Path, PathBuf};

use sandbox_types::{NodeKind, RelPath};

use super::Interest;
use super::fold::Forms;
use crate::branch::git::{self, Named};

const HOOKS: &str = "git-hooks";
const CONFIG: &str = "git-config";
/// What `git init` puts among the hooks, and never runs.
const SAMPLE: &[u8] = b".sample";

/// Places of a workspace to which rules apply besides those that they name.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    hooks: Vec<Forms>,
    programs: Vec<Forms>,
    configs: Vec<Forms>,
}

impl Reached {
    /// Of the repository that `workspace` is or is in, and of those in it around what has changed; nothing where there
    /// is none.
    pub(crate) fn from_base<'a>(workspace: &Path, changed: impl Iterator<Item = &'a RelPath>) -> Self {
        let mut reached = Self::default();
        if let Ok(Some(layout)) = git::locate(workspace) {
            reached.add(workspace, &git::named(&layout));
        }
        for named in git::nested(workspace, changed) {
            reached.add(workspace, &named);
        }
        reached
    }

    fn add(&mut self, workspace: &Path, named: &Named) {
        let inside = |paths: &[PathBuf]| {
            let relative = paths.iter().filter_map(|path| path.strip_prefix(workspace).ok());
            let relative = relative.filter_map(|path| RelPath::new(path).ok());
            let inside = relative.filter(|path| !path.is_root());
            inside.map(|path| Forms::of(&path)).collect::<Vec<_>>()
        };
        self.hooks.extend(inside(&named.hook_directories));
        self.programs.extend(inside(&named.hook_targets));
        self.programs.extend(inside(&named.programs));
        self.configs.extend(inside(&named.configs));
    }

    /// What is to be asked of a change at `path` for the rule that is called `rule`.
    pub(super) fn by(&self, rule: &str, path: &Forms, node: NodeKind) -> Interest {
        let at = |places: &[Forms]| {
            let interests = places.iter().map(|place| interest(place, path, node));
            interests.max().unwrap_or(Interest::None)
        };
        match rule {
            HOOKS if is_sample(path) => at(&self.programs),
            HOOKS => at(&self.hooks).max(at(&self.programs)),
            CONFIG => at(&self.configs),
            _ => Interest::None,
        }
    }
}

/// A change at the place or beneath it counts, and a link in the place of a directory around it.
fn interest(place: &Forms, path: &Forms, node: NodeKind) -> Interest {
    let mut found = Interest::None;
    let pairs = place
        .all()
        .flat_map(|place| path.all().map(move |path| (place, path)));
    for (place, path) in pairs {
        if is_at_or_beneath(path, place) {
            found = found.max(Interest::Conditions);
        } else if node == NodeKind::Symlink && is_at_or_beneath(place, path) {
            found = Interest::Held;
        }
    }
    found
}

fn is_at_or_beneath(path: &[u8], place: &[u8]) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn is_sample(path: &Forms) -> bool {
    path.all().all(|form| form.ends_with(SAMPLE))
}
