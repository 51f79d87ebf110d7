//! What a repository's configuration and hooks name: files anywhere that git runs or reads.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::config;
use super::locate::Layout;
use super::repository::read_text;

/// Files that include one another; git's own limit.
const MAX_DEPTH: usize = 10;
/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// What is named, as it is written and as it is without links.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Where hooks are looked for.
    pub(crate) hook_directories: Vec<PathBuf>,
    /// What links among the hooks lead to.
    pub(crate) hook_targets: Vec<PathBuf>,
    /// Configuration that is read, there or not.
    pub(crate) configs: Vec<PathBuf>,
}

/// What the configuration of a base's repository, the user's and the hooks name. What cannot be read names nothing.
pub(crate) fn named(layout: &Layout) -> Named {
    named_for(layout, std::env::var_os("HOME").map(PathBuf::from).as_deref())
}

fn named_for(layout: &Layout, home: Option<&Path>) -> Named {
    let mut configs = Configs {
        top: &layout.worktree_top,
        home,
        read: BTreeSet::new(),
        hooks: BTreeSet::from([layout.common_dir.join("hooks")]),
    };
    configs.read(&layout.common_dir.join("config"), 0);
    configs.read(&layout.git_dir.join("config.worktree"), 0);
    if let Some(home) = home {
        configs.read(&home.join(".gitconfig"), 0);
        let general = std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        configs.read(&general.join("git/config"), 0);
    }
    let mut targets = BTreeSet::new();
    for directory in &configs.hooks {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                targets.extend(ways(&entry.path()).into_iter().skip(1));
            }
        }
    }
    let followed = |paths: BTreeSet<PathBuf>| paths.iter().flat_map(|path| ways(path)).collect();
    Named {
        hook_directories: followed(configs.hooks),
        hook_targets: targets.into_iter().collect(),
        configs: followed(configs.read),
    }
}

/// Configuration, followed through what it includes.
struct Configs<'a> {
    top: &'a Path,
    home: Option<&'a Path>,
    read: BTreeSet<PathBuf>,
    hooks: BTreeSet<PathBuf>,
}

impl Configs<'_> {
    fn read(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH || !self.read.insert(path.to_owned()) {
            return;
        }
        let text = read_text(path).unwrap_or_default();
        let beside = path.parent().unwrap_or(path).to_owned();
        for (section, key, value) in config::settings(&text) {
            let section = section.to_ascii_lowercase();
            let is_include = section == "include" || section.starts_with("includeif");
            // A condition may be met at any time.
            if is_include && key.eq_ignore_ascii_case("path") {
                self.read(&self.place(&beside, &value), depth + 1);
            } else if section == "core" && key.eq_ignore_ascii_case("hookspath") && !value.is_empty() {
                self.hooks.insert(self.place(self.top, &value));
            }
        }
    }

    fn place(&self, from: &Path, value: &str) -> PathBuf {
        match (value.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => plain(&home.join(rest)),
            _ => plain(&from.join(value)),
        }
    }
}

/// `path`, each place that links at its end lead through, and where it is in the end.
fn ways(path: &Path) -> Vec<PathBuf> {
    let mut ways = vec![path.to_owned()];
    let mut at = path.to_owned();
    while let Ok(target) = std::fs::read_link(&at)
        && ways.len() < MAX_LINKS
    {
        let directory = at.parent().unwrap_or(&at);
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        at = plain(&directory.join(target));
        ways.push(at.clone());
    }
    ways.extend(at.canonicalize());
    ways
}

/// Without `.` and `..`, by the names alone: what is not there yet cannot be asked.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
