//! A branch: what it is, how it is mounted, how it goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::{Access, BranchName, Mount, MountSource, Overlay};

use super::create::lock_of;
use super::error::BranchError;
use super::kept::Which;
use super::layer::LayerDir;
use super::lock::{self, Asked, Held, Holder};
use super::manifest::{self, Durability, LastRun, Manifest, Mode};
use super::stack::{LayerFormat, Stack};
use super::submounts;
use super::workspace::{Workspace, size_of_tree};

/// A copy-on-write view of a workspace. Dropping it changes nothing: branches stay until they are discarded.
#[derive(Debug, Clone)]
pub struct Branch {
    workspace: Workspace,
    name: BranchName,
    manifest: Manifest,
}

/// Whether a branch can be used right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// Nobody uses it.
    Free,
    /// It is mounted in a sandbox, or being committed, by this process as far as it can be told.
    By(Option<Holder>),
}

impl Branch {
    pub(crate) fn new(workspace: Workspace, name: BranchName, manifest: Manifest) -> Self {
        Self {
            workspace,
            name,
            manifest,
        }
    }

    /// Its name.
    pub fn name(&self) -> &BranchName {
        &self.name
    }

    /// The workspace it is a branch of.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The branch it was made from; none for one of the workspace as it was.
    pub fn parent(&self) -> Option<&BranchName> {
        self.manifest.parent.as_ref()
    }

    /// How it keeps what differs.
    pub fn mode(&self) -> Mode {
        self.manifest.mode
    }

    /// When it was made, in seconds since the epoch.
    pub fn created(&self) -> u64 {
        self.manifest.created
    }

    /// The last run on it.
    pub fn last_run(&self) -> Option<&LastRun> {
        self.manifest.last_run.as_ref()
    }

    /// Bytes that it takes on the disk, without what it shares with other branches.
    pub fn disk_usage(&self) -> u64 {
        size_of_tree(self.top().path())
    }

    /// Whether somebody uses it.
    ///
    /// # Errors
    /// The lock cannot be looked at.
    pub fn in_use(&self) -> Result<Use, BranchError> {
        let path = self.lock_file();
        let asked = lock::try_hold(&path).map_err(BranchError::io("lock", &path));
        match asked.map_err(|error| self.or_discarded(error))? {
            Asked::Held(_held) => self.server(),
            Asked::By(holder) => Ok(Use::By(holder)),
        }
    }

    /// Who uses it, as far as that can be told without asking for its lock.
    pub fn holder(&self) -> Option<Holder> {
        lock::holder_of(&self.directory().join("lock"))
    }

    /// Where a sandbox that has it mounted can be joined: the path of a socket.
    pub fn control_socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    /// What has to be mounted for a command to work on the branch, after making it ready: the workspace, and
    /// of its git repository what is elsewhere. In mode `copy` it is the copy that is shown at the workspace's
    /// place, in mode `exact` what whoever starts the sandbox serves there: [`Branch::views`].
    ///
    /// The sandbox that mounts it holds the branch's lock; a second one that tries fails.
    ///
    /// # Errors
    /// [`BranchError::InUse`]; [`BranchError::NotSettled`] after the machine went down.
    pub fn mounts(&self) -> Result<Vec<Mount>, BranchError> {
        let _held = self.hold()?;
        self.current()?.mounts_of_held()
    }

    fn mounts_of_held(&self) -> Result<Vec<Mount>, BranchError> {
        self.check_settled()?;
        self.check_submounts()?;
        self.complete_links()?;
        self.make_places()?;
        let base = self.workspace.base();
        let found = self.surroundings()?;
        let visible = found.visible.iter().map(|path| Mount {
            at: path.clone(),
            source: MountSource::Bind(path.clone()),
            access: Access::Read,
        });
        let mut mounts: Vec<_> = visible.collect();
        for index in self.parts() {
            let at = index.and_then(|index| self.manifest.extras.get(index));
            let at = at.map_or(base, PathBuf::as_path);
            mounts.push(Mount {
                at: at.to_owned(),
                source: self.source(index, at)?,
                access: Access::Write,
            });
        }
        self.mark_used()?;
        Ok(mounts)
    }

    /// Something may have been mounted since the branch was made. Overlayfs would show what it hides, or nothing.
    fn check_submounts(&self) -> Result<(), BranchError> {
        if self.manifest.mode != Mode::Kernel || self.manifest.snapshot.is_some() {
            return Ok(());
        }
        match submounts::beneath(self.workspace.base()).into_iter().next() {
            None => Ok(()),
            Some(path) => Err(BranchError::MountedInside {
                name: self.name.clone(),
                path,
            }),
        }
    }

    /// What git needs of the surroundings as they are now: what of the host is shown is never taken from the manifest,
    /// which is a file.
    fn surroundings(&self) -> Result<Manifest, BranchError> {
        let mut found = self.manifest.clone();
        found.extras.clear();
        found.visible.clear();
        self.workspace.find_repository(&mut found);
        if found.extras == self.manifest.extras {
            return Ok(found);
        }
        Err(BranchError::Repository {
            name: self.name.clone(),
            workspace: self.workspace.base().to_owned(),
            recorded: self.manifest.extras.clone(),
            found: found.extras,
        })
    }

    /// Directories outside the workspace that it has layers of.
    ///
    /// # Errors
    /// [`BranchError::Repository`].
    pub(crate) fn extras(&self) -> Result<Vec<PathBuf>, BranchError> {
        if self.manifest.extras.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.surroundings()?.extras)
    }

    /// Variables that a command needs for git to find its repository.
    pub fn environment(&self) -> &[(String, String)] {
        &self.manifest.environment
    }

    /// The copy that a command works on where nothing can be mounted; none but in mode `copy`.
    pub fn working_copy(&self) -> Option<PathBuf> {
        (self.manifest.mode == Mode::Copy).then(|| self.top().part(None).tree())
    }

    /// Paths beneath the workspace that a view of it must not show: where the branches themselves are kept.
    pub fn hidden(&self) -> Option<PathBuf> {
        let storage = self.workspace.storage();
        storage
            .starts_with(self.workspace.base())
            .then(|| storage.to_owned())
    }

    /// Puts everything on the disk that commands have written, and remembers the last of them.
    ///
    /// # Errors
    /// [`BranchError::InUse`] while a sandbox lives that has it mounted; [`BranchError::File`] when everything is on
    /// the disk but the memory of the run.
    pub fn settle(&mut self, run: Option<LastRun>) -> Result<(), BranchError> {
        let _held = self.hold()?;
        *self = self.current()?;
        self.complete_links()?;
        // Without them less can be merged later; what the command has done is not less done for it.
        if let Err(error) = self.keep_texts(Which::Modified) {
            tracing::warn!(branch = %self.name, %error, "texts are not kept");
        }
        self.top().settle_parts(&self.manifest.extras)?;
        self.forget_use()?;
        if let Some(run) = run {
            self.manifest.last_run = Some(run);
            manifest::store(&self.file(), &self.manifest, Durability::Machine)?;
        }
        Ok(())
    }

    /// Accepts what is left on the branch after the machine went down while it was in use.
    ///
    /// # Errors
    /// [`BranchError::InUse`].
    pub fn accept_unsettled(&mut self) -> Result<(), BranchError> {
        self.settle(None)
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// [`BranchError::InUse`], [`BranchError::Exists`].
    pub fn rename(&mut self, name: &BranchName) -> Result<(), BranchError> {
        let _held = self.hold()?;
        let _lock = self.workspace.lock()?;
        let to = self.workspace.places().branch(name);
        fs::rename(self.directory(), &to).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => BranchError::Exists {
                name: name.clone(),
                workspace: self.workspace.base().to_owned(),
            },
            _ => BranchError::io("rename to", &to)(source),
        })?;
        self.rename_in_commits(name)?;
        self.name = name.clone();
        Ok(())
    }

    /// The branch as it is on the disk, which is to be asked for with its lock held: somebody may have made a branch
    /// of it since this handle was opened, and what was its topmost layer is never written again then.
    pub(crate) fn current(&self) -> Result<Self, BranchError> {
        self.workspace.get(&self.name)
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its own directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.workspace.places().branch(&self.name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory().join("branch.json")
    }

    /// The layer that is written.
    pub(crate) fn top(&self) -> LayerDir {
        // A manifest without layers names a directory that is not there.
        self.layer(self.manifest.layers.first().map_or("missing", String::as_str))
    }

    pub(crate) fn layer(&self, id: &str) -> LayerDir {
        LayerDir::new(&self.workspace.places().layers(), id)
    }

    /// Takes its lock. [`BranchError::Discarded`] where it is gone, or another one has its name.
    pub(crate) fn hold(&self) -> Result<Held, BranchError> {
        let held = lock_of(&self.name, &self.directory())?;
        let there = self.current().map_err(|error| self.or_discarded(error))?;
        // Whoever made a branch of it has put layers on those that it had.
        let is_another = |top: &String| !there.manifest.layers.contains(top);
        if self.manifest.layers.first().is_some_and(is_another) {
            return Err(BranchError::Discarded {
                name: self.name.clone(),
            });
        }
        match self.server()? {
            Use::Free => Ok(held),
            Use::By(holder) => Err(BranchError::InUse {
                name: self.name.clone(),
                holder,
            }),
        }
    }

    /// What it looks like, read without mounting it.
    pub(crate) fn stack(&self) -> Result<Stack, BranchError> {
        self.stack_of(None)
    }

    /// The same with a layer on top.
    pub(crate) fn stack_beneath(&self, layer: &Path) -> Result<Stack, BranchError> {
        let mut layers = vec![(layer.to_owned(), LayerFormat::Overlay)];
        layers.extend(self.layers_of(None));
        let stack = Stack::open(&layers, &self.base_of(None)).map_err(BranchError::io("open", layer))?;
        Ok(stack.exclude(self.workspace.left_out()))
    }

    /// Counts as born when the first of `others` was: what the base has changed since may be in their way.
    pub(crate) fn born_with(mut self, others: &[Self]) -> Result<(), BranchError> {
        let births = others.iter().map(|branch| branch.manifest.birth);
        if let Some(birth) = births.min() {
            self.manifest.birth = birth;
            // A copy no longer is what it was when it was made.
            self.manifest.copied_at = None;
            manifest::store(&self.file(), &self.manifest, Durability::Machine)?;
        }
        Ok(())
    }

    /// The same of a directory that belongs to the workspace.
    pub(crate) fn stack_of(&self, extra: Option<usize>) -> Result<Stack, BranchError> {
        let layers = self.layers_of(extra);
        let base = self.base_of(extra);
        let stack = Stack::open(&layers, &base).map_err(BranchError::io("open", self.top().path()))?;
        Ok(match extra {
            None => stack.exclude(self.workspace.left_out()),
            Some(_) => stack,
        })
    }

    fn layers_of(&self, extra: Option<usize>) -> Vec<(PathBuf, LayerFormat)> {
        let layers = self.manifest.layers.iter().map(|id| {
            let part = self.layer(id).part(extra);
            match self.manifest.mode {
                Mode::Kernel | Mode::Exact => (part.upper(), LayerFormat::Overlay),
                Mode::Copy => (part.tree(), LayerFormat::Complete),
            }
        });
        layers.collect()
    }

    /// The base as the branch sees it: frozen where that was asked for.
    pub(crate) fn base_of(&self, extra: Option<usize>) -> PathBuf {
        match (extra, &self.manifest.snapshot) {
            (None, Some(id)) => self.layer(id).part(None).tree(),
            (None, None) => self.workspace.base().to_owned(),
            (Some(index), _) => self.manifest.extras.get(index).cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        std::iter::once(None).chain((0..self.manifest.extras.len()).map(Some))
    }

    fn source(&self, part: Option<usize>, at: &Path) -> Result<MountSource, BranchError> {
        let top = self.top().part(part);
        if self.manifest.mode == Mode::Copy {
            return Ok(MountSource::Bind(top.tree()));
        }
        top.ready().map_err(BranchError::io("make ready", &top.work()))?;
        if self.manifest.mode == Mode::Exact {
            return Ok(MountSource::Served(self.served_name(part)?));
        }
        let lowers = self.lowers_of(part);
        tracing::debug!(at = %at.display(), layers = lowers.len(), "overlay");
        Ok(MountSource::Overlay(Overlay {
            lowers,
            upper: top.upper(),
            work: top.work(),
            // One lock for all parts.
            lock: part.is_none().then(|| self.lock_file()),
        }))
    }

    /// What is beneath the layer that is written, the topmost first.
    pub(crate) fn lowers_of(&self, part: Option<usize>) -> Vec<PathBuf> {
        let below = self.manifest.layers.iter().skip(1);
        let mut lowers: Vec<_> = below.map(|id| self.layer(id).part(part).upper()).collect();
        lowers.push(self.base_of(part));
        lowers
    }

    /// What is locked by whoever has it mounted, or changes it.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.directory().join("lock")
    }

    /// The file that says in which boot of the machine it was last mounted.
    pub(crate) fn boot_file(&self) -> PathBuf {
        self.directory().join("mounted")
    }

    pub(crate) fn mark_used(&self) -> Result<(), BranchError> {
        let path = self.boot_file();
        fs::write(&path, boot_id()).map_err(BranchError::io("write", &path))
    }

    fn forget_use(&self) -> Result<(), BranchError> {
        let path = self.boot_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BranchError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// A volatile mount that ended with the machine may have lost anything.
    pub(crate) fn check_settled(&self) -> Result<(), BranchError> {
        match fs::read_to_string(self.boot_file()) {
            Ok(boot) if boot != boot_id() => Err(BranchError::NotSettled {
                name: self.name.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// proc_sys_kernel(5): another one after every start of the machine.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}
