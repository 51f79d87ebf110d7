//! What a repository's configuration and hooks name: files anywhere that git runs or reads.
//!
//! Which settings name programs is not listed, because dozens do: every word of a setting that is known not to name any
//! counts, where it could be a file of the working tree.

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
    /// Files that other settings name: monitors, pagers, filters, what aliases run.
    pub(crate) programs: Vec<PathBuf>,
    /// Configuration that is read, there or not.
    pub(crate) configs: Vec<PathBuf>,
}

/// Where a repository is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repository<'a> {
    /// The directory that programs are started in, and paths start at.
    pub(super) top: &'a Path,
    pub(super) git_dir: &'a Path,
    pub(super) common_dir: &'a Path,
}

/// What the configuration of a base's repository, the user's and the hooks name. What cannot be read names nothing.
pub(crate) fn named(layout: &Layout) -> Named {
    named_by(Repository {
        top: &layout.worktree_top,
        git_dir: &layout.git_dir,
        common_dir: &layout.common_dir,
    })
}

pub(super) fn named_by(repository: Repository<'_>) -> Named {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut configs = Configs {
        top: repository.top,
        home: home.as_deref(),
        read: BTreeSet::new(),
        hooks: BTreeSet::from([repository.common_dir.join("hooks")]),
        programs: BTreeSet::new(),
    };
    configs.read(&repository.common_dir.join("config"), 0);
    configs.read(&repository.git_dir.join("config.worktree"), 0);
    configs.read_users();
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
        programs: followed(configs.programs),
        configs: followed(configs.read),
    }
}

/// Configuration, followed through what it includes.
struct Configs<'a> {
    top: &'a Path,
    home: Option<&'a Path>,
    read: BTreeSet<PathBuf>,
    hooks: BTreeSet<PathBuf>,
    programs: BTreeSet<PathBuf>,
}

impl Configs<'_> {
    /// The user's own.
    fn read_users(&mut self) {
        if let Some(home) = self.home {
            self.read(&home.join(".gitconfig"), 0);
            let general =
                std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
            self.read(&general.join("git/config"), 0);
        }
    }

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
            } else if section == "init" && key.eq_ignore_ascii_case("templatedir") {
                // They are copied to every new repository.
                self.hooks.insert(self.place(self.top, &value).join("hooks"));
            } else if !is_no_program(&section, &key) {
                let files = words(&value).map(|word| self.place(self.top, word));
                // What is a directory is not run, and all that is in it need not be held.
                let files: Vec<_> = files.filter(|path| !path.is_dir()).collect();
                self.programs.extend(files);
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

/// Whether a setting is known to say something else than what to run: addresses, names, places.
fn is_no_program(section: &str, key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let (section, of) = section.split_once(' ').unwrap_or((section, ""));
    match section {
        "branch" | "user" | "author" | "committer" | "color" | "submodule" | "safe" | "url" | "fetch"
        | "push" => true,
        "core" => matches!(key.as_str(), "worktree" | "bare" | "excludesfile"),
        "remote" => !of.is_empty() && matches!(key.as_str(), "url" | "pushurl" | "fetch" | "push"),
        _ => false,
    }
}

/// What could be a file in a command, however it is quoted.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let between = |character: char| character.is_whitespace() || "\"'`;|&<>()${}=!,".contains(character);
    command
        .split(between)
        .filter(|word| !word.is_empty() && !word.starts_with('-'))
}

/// `path`, each place that links at its end lead through, and where it is in the end.
pub(crate) fn ways(path: &Path) -> Vec<PathBuf> {
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
pub(super) fn plain(path: &Path) -> PathBuf {
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
