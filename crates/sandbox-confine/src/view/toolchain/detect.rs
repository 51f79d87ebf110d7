//! The search itself. All work is bounded: elements, directories looked through, entries of each.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::super::credentials::{holds_in, text_holds_secret};
use super::super::hidden::{is_hidden, is_system};
use super::super::lookup;
use super::super::names::Names;
use super::super::trace::{Trace, Tracer};
use super::managers::{Installed, MANAGERS, Manager, PLACES, installed, is_catch_all};
use super::{Grant, GrantKind, SkipReason, Skipped, Toolchains, Why};

/// Elements of `PATH` and directories behind links that are looked through.
const MAX_DIRS: usize = 128;
/// Entries of one directory that are looked at.
const MAX_ENTRIES: usize = 4096;
/// A configuration file larger than this is not one.
const MAX_CONFIG: u64 = 1 << 20;

/// System directories where an administrator links programs from elsewhere, such as `/opt`.
const LOCAL: &[&str] = &["/usr/local/bin", "/usr/local/sbin"];

/// What stands beside the `bin` of an installation.
const BESIDE_BIN: &[&str] = &[
    "lib",
    "lib64",
    "libexec",
    "share",
    "include",
    "pkg",
    "jmods",
    "resources",
];

/// A search in progress.
pub(super) struct Detector<'a> {
    /// The home directory as the caller spells it, and resolved.
    spelled_home: PathBuf,
    home: PathBuf,
    env: &'a [(OsString, OsString)],
    /// The managers that this home has, with their roots and markers.
    managers: Vec<Installed>,
    grants: BTreeMap<PathBuf, (GrantKind, Why)>,
    skipped: Vec<Skipped>,
    variables: BTreeMap<OsString, OsString>,
    used: BTreeSet<&'static str>,
    /// Directories whose links are to be followed, and those that were.
    pending: VecDeque<PathBuf>,
    seen: BTreeSet<PathBuf>,
    tracer: Tracer,
}

impl<'a> Detector<'a> {
    pub(super) fn new(home: &Path, env: &'a [(OsString, OsString)]) -> Self {
        let real_home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let names = Names::of(&real_home);
        Self {
            spelled_home: home.to_owned(),
            managers: MANAGERS
                .iter()
                .filter_map(|manager| installed(manager, &real_home, &names, env))
                .collect(),
            home: real_home,
            env,
            grants: BTreeMap::new(),
            skipped: Vec::new(),
            variables: BTreeMap::new(),
            used: BTreeSet::new(),
            pending: VecDeque::new(),
            seen: BTreeSet::new(),
            tracer: Tracer::default(),
        }
    }

    pub(super) fn detect(mut self, path_env: &OsStr) -> Toolchains {
        if let Ok(found) = self.tracer.trace(&self.spelled_home) {
            self.links_to(found, &Why::Home);
        }
        let mut elements = BTreeSet::new();
        for element in std::env::split_paths(path_env) {
            if elements.len() == MAX_DIRS {
                self.skip(&element, SkipReason::TooLarge);
                break;
            }
            if elements.insert(element.clone()) {
                self.element(&element);
            }
        }
        while let Some(dir) = self.pending.pop_front() {
            self.follow_links_in(&dir);
        }
        self.finish()
    }

    /// One element of `PATH`.
    fn element(&mut self, element: &Path) {
        if !element.is_absolute() {
            return self.skip(element, SkipReason::Relative);
        }
        if is_system(element) {
            if LOCAL.iter().any(|local| element == Path::new(local)) {
                self.enqueue(element);
            }
            return;
        }
        let Some(found) = self.resolve(element) else {
            return;
        };
        if !found.real.is_dir() {
            return;
        }
        if is_system(&found.real) {
            return self.add_links(found, element);
        }
        let managed = self.managers_of(element, &found.real);
        let root = if managed {
            None
        } else {
            self.installation(&found.real)
        };
        let granted = match root {
            Some(root) => self.grant_tree(&root, Why::NeededBy(element.to_owned())),
            None => self.grant_tree(&found.real, Why::OnPath),
        };
        match granted {
            Ok(()) => {
                self.enqueue(&found.real);
                self.add_links(found, element);
            }
            Err(reason) => self.skip(element, reason),
        }
    }

    /// Grants what the managers need to whom the element belongs; whether it is in the root of one.
    fn managers_of(&mut self, element: &Path, real: &Path) -> bool {
        let beneath = |dir: &Path| element.starts_with(dir) || real.starts_with(dir);
        let in_use: Vec<(&'static Manager, PathBuf)> = self
            .managers
            .iter()
            .filter(|installed| installed.signs.iter().any(|sign| beneath(sign)))
            .map(|installed| (installed.manager, installed.root.clone()))
            .collect();
        let inside = in_use
            .iter()
            .any(|(_, root)| !is_catch_all(root, &self.home) && beneath(root));
        for (manager, root) in in_use {
            if self.used.insert(manager.name) {
                self.grant_manager(manager, &root);
            }
        }
        inside
    }

    fn grant_manager(&mut self, manager: &Manager, root: &Path) {
        for part in manager.grants {
            let path = if part.is_empty() {
                root.to_owned()
            } else {
                root.join(part)
            };
            let Some(found) = self.resolve(&path) else {
                continue;
            };
            match self.grant_tree(&found.real, Why::Manager(manager.name)) {
                Ok(()) => self.add_links(found, &path),
                Err(reason) => self.skip(&path, reason),
            }
        }
        if let Some(variable) = manager.variable {
            // A variable for a place that no policy shows, as `PYTHONUSERBASE=~/.local`, is passed only if set.
            if lookup(self.env, variable).is_some() || !is_catch_all(root, &self.home) {
                self.variables
                    .insert(variable.into(), root.as_os_str().to_owned());
            }
        }
    }

    /// Follows the links among the entries of `dir`, which is how managers link programs from their stores.
    fn follow_links_in(&mut self, dir: &Path) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => return self.skip(dir, SkipReason::Unreadable(error.kind())),
        };
        for (count, entry) in entries.flatten().enumerate() {
            if count == MAX_ENTRIES {
                return self.skip(dir, SkipReason::TooLarge);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.follow(&entry.path());
            }
        }
    }

    fn follow(&mut self, link: &Path) {
        let Ok(target) = link.read_link() else { return };
        // The most common link of all: another name for a neighbor.
        let mut components = target.components();
        if matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return;
        }
        // A dangling link or a loop among hundreds of programs is none of the user's concern.
        let Ok(found) = self.tracer.trace(link) else {
            return;
        };
        if is_system(&found.real) || self.is_granted(&found.real) {
            return self.add_links(found, link);
        }
        // `/usr/local/bin` may link to what is covered by nothing else, such as `/etc/alternatives`.
        if found.real.starts_with("/etc") {
            return;
        }
        // Only programs: a link to a directory or a document is a convenience that nothing on `PATH` needs.
        if !is_program(&found.real) {
            return;
        }
        let tree = self
            .installation_of_program(&found.real)
            .unwrap_or_else(|| found.real.clone());
        match self.grant_tree(&tree, Why::NeededBy(link.to_owned())) {
            Ok(()) => {
                if let Some(parent) = found.real.parent().filter(|parent| parent.starts_with(&tree)) {
                    self.enqueue(parent);
                }
                self.add_links(found, link);
            }
            Err(reason) => self.skip(link, reason),
        }
    }

    /// The tree that a program needs around it: a `node_modules` or an installation.
    fn installation_of_program(&self, program: &Path) -> Option<PathBuf> {
        let modules = program
            .ancestors()
            .filter(|dir| dir.file_name() == Some(OsStr::new("node_modules")))
            .last();
        if let Some(modules) = modules {
            return Some(modules.to_owned());
        }
        program.parent().and_then(|dir| self.installation(dir))
    }

    /// The installation whose programs are in `dir`, if it looks like one and may be granted whole.
    fn installation(&self, dir: &Path) -> Option<PathBuf> {
        let name = dir.file_name()?;
        let root = dir.parent()?;
        let programs = ["bin", "sbin", "condabin", "libexec"]
            .iter()
            .any(|programs| name == *programs);
        let installed = || BESIDE_BIN.iter().any(|beside| root.join(beside).is_dir());
        // A checkout with `bin` and `lib` is somebody's work, not an installation.
        let checkout = || root.join(".git").exists();
        let fine = programs
            && !is_catch_all(root, &self.home)
            && self.refusal(root).is_none()
            && installed()
            && !checkout();
        fine.then(|| root.to_owned())
    }

    /// Grants what is at `real`, which has no link in it.
    fn grant_tree(&mut self, real: &Path, why: Why) -> Result<(), SkipReason> {
        if is_system(real) || self.is_granted(real) {
            return Ok(());
        }
        if let Some(reason) = self.refusal(real) {
            return Err(reason);
        }
        let kind = if real.is_dir() {
            GrantKind::Dir
        } else {
            GrantKind::File
        };
        if kind == GrantKind::File && is_config(real) {
            let small = real
                .metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_CONFIG);
            if !small || fs::read(real).map_or(true, |text| text_holds_secret(&text)) {
                return Err(SkipReason::Secret);
            }
        }
        self.grants.insert(real.to_owned(), (kind, why));
        Ok(())
    }

    /// Why `real` must not be shown, if it must not.
    fn refusal(&self, real: &Path) -> Option<SkipReason> {
        if self.home.starts_with(real) {
            return Some(SkipReason::Home);
        }
        if is_hidden(real) && !real.starts_with(&self.home) {
            return Some(SkipReason::Hidden);
        }
        if let Some(what) = holds_in(real, &self.home) {
            return Some(SkipReason::Credentials(what));
        }
        match real.metadata() {
            Err(error) => Some(SkipReason::Unreadable(error.kind())),
            Ok(metadata) => (metadata.permissions().mode() & 0o002 != 0).then_some(SkipReason::WorldWritable),
        }
    }

    fn is_granted(&self, path: &Path) -> bool {
        path.ancestors()
            .any(|dir| self.grants.get(dir).is_some_and(|(kind, _)| !is_link(kind)))
    }

    /// Resolves `path`; says so when that fails for another reason than its absence.
    fn resolve(&mut self, path: &Path) -> Option<Trace> {
        match self.tracer.trace(path) {
            Ok(found) => Some(found),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => {
                self.skip(path, SkipReason::Unreadable(error.kind()));
                None
            }
        }
    }

    /// Shows the links that were followed on the way to something visible.
    fn add_links(&mut self, found: Trace, for_whom: &Path) {
        self.links_to(found, &Why::NeededBy(for_whom.to_owned()));
    }

    fn links_to(&mut self, found: Trace, why: &Why) {
        for (path, target) in found.links {
            if !is_system(&path) && !path.starts_with("/etc") {
                self.grants
                    .entry(path)
                    .or_insert_with(|| (GrantKind::Link { target }, why.clone()));
            }
        }
    }

    fn enqueue(&mut self, dir: &Path) {
        if self.seen.contains(dir) {
            return;
        }
        if self.seen.len() == MAX_DIRS {
            return self.skip(dir, SkipReason::TooLarge);
        }
        self.seen.insert(dir.to_owned());
        self.pending.push_back(dir.to_owned());
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        let skipped = Skipped {
            path: path.to_owned(),
            reason,
        };
        if !self.skipped.contains(&skipped) {
            self.skipped.push(skipped);
        }
    }

    fn finish(mut self) -> Toolchains {
        for name in PLACES {
            let Some(value) = lookup(self.env, name) else {
                continue;
            };
            let traced = self.tracer.trace(Path::new(value));
            let visible = traced.is_ok_and(|found| is_system(&found.real) || self.is_granted(&found.real));
            if visible {
                self.variables.insert(name.into(), value.to_owned());
            }
        }
        let mut grants: Vec<Grant> = Vec::new();
        // Ordered by path, so a tree comes directly before what is in it.
        for (path, (kind, why)) in self.grants {
            let covered = grants
                .iter()
                .rev()
                .any(|outer| !is_link(&outer.kind) && path.starts_with(&outer.path));
            if !covered {
                grants.push(Grant { path, kind, why });
            }
        }
        Toolchains {
            grants,
            skipped: self.skipped,
            env: self.variables.into_iter().collect(),
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn is_link(kind: &GrantKind) -> bool {
    matches!(kind, GrantKind::Link { .. })
}

/// Whether a granted file is one that people write, rather than a program.
fn is_config(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    ["config", "config.toml", ".tool-versions"]
        .iter()
        .any(|config| name == *config)
}
