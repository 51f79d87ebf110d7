//! Making a branch: of the workspace, or of another branch.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sandbox_types::BranchName;

use super::copied::CopyIndex;
use super::copy::{self, Reflink, TreeOptions, TreeReport};
use super::error::BranchError;
use super::git;
use super::handle::Branch;
use super::layer::{self, LayerDir, Look, Model};
use super::lock::{self, Asked};
use super::manifest::{self, Durability, Manifest, Mode, VERSION};
use super::moved::DirectoryId;
use super::progress::Progress;
use super::remove::remove_tree;
use super::suitable::{self, Unsuitable};
use super::workspace::Workspace;

/// How a branch is to keep what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModeChoice {
    /// The kernel's overlayfs where it works, else one that is served through FUSE, else a copy.
    #[default]
    Auto,
    /// This one, or an error.
    Only(Mode),
}

/// Whether the base is frozen as it is when the branch is made, so that later changes do not show in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Snapshot {
    /// It is not.
    #[default]
    Off,
    /// By reflink where the file system can, else not.
    Auto,
    /// By reflink, or an error.
    Reflink,
    /// By reflink or by copying: takes time and space.
    Copy,
}

/// How a branch is made.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// How it keeps what differs.
    pub mode: ModeChoice,
    /// Whether the base is frozen.
    pub snapshot: Snapshot,
    /// The branch it starts from, instead of the workspace as it is.
    pub from: Option<BranchName>,
    /// Known not to work: set where namespaces are not to be had.
    pub no_kernel: Option<Unsuitable>,
    /// The same of mode `exact`.
    pub no_exact: Option<Unsuitable>,
}

impl CreateOptions {
    /// Why a mode is known not to work.
    fn known(&self, mode: Mode) -> Option<&Unsuitable> {
        match mode {
            Mode::Kernel => self.no_kernel.as_ref(),
            // Without namespaces nothing is mounted at all.
            Mode::Exact => self.no_exact.as_ref().or_else(|| {
                self.no_kernel
                    .as_ref()
                    .filter(|why| **why == Unsuitable::NoNamespaces)
            }),
            Mode::Copy => None,
        }
    }
}

impl Workspace {
    /// Makes a branch. Constant in the size of the base, unless it is copied.
    ///
    /// # Errors
    /// There is one of that name; the mode or the snapshot that was asked for is not to be had; the branch to
    /// start from is in use.
    pub fn create(&self, name: &BranchName, options: &CreateOptions) -> Result<Branch, BranchError> {
        self.create_with(name, options, &mut |_| {})
    }

    /// [`Workspace::create`], telling how far a copy has come.
    ///
    /// # Errors
    /// See [`Workspace::create`].
    pub fn create_with(
        &self,
        name: &BranchName,
        options: &CreateOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Branch, BranchError> {
        let _making = self.making()?;
        if self.places().branch(name).symlink_metadata().is_ok() {
            return Err(self.exists(name));
        }
        let parent = options.from.as_ref().map(|parent| self.get(parent)).transpose()?;
        // Until all of it is taken over: it may be discarded at any time.
        let _held = parent.as_ref().map(Branch::hold).transpose()?;
        let manifest = match &parent {
            None => self.fresh(options, progress)?,
            Some(parent) => {
                let mode = self.inherited(parent, options)?;
                self.branched(parent, mode, progress)?
            }
        };
        self.publish(name, &manifest)
            .inspect_err(|_| self.drop_layer(&manifest))?;
        let branch = Branch::new(self.clone(), name.clone(), manifest);
        if let Some(parent) = parent {
            branch
                .take_over(&parent)
                .map_err(|error| branch.or_discarded(error))?;
        }
        Ok(branch)
    }

    /// Makes a branch under a name nobody has: `PREFIX-1`, `PREFIX-2` and so on.
    ///
    /// # Errors
    /// See [`Workspace::create`].
    pub fn create_numbered(&self, prefix: &str, options: &CreateOptions) -> Result<Branch, BranchError> {
        self.create_numbered_with(prefix, options, &mut |_| {})
    }

    /// [`Workspace::create_numbered`], telling how far a copy has come.
    ///
    /// # Errors
    /// See [`Workspace::create`].
    pub fn create_numbered_with(
        &self,
        prefix: &str,
        options: &CreateOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Branch, BranchError> {
        let taken = self.names()?;
        let mut number = 1;
        loop {
            let name: BranchName = format!("{prefix}-{number}").parse()?;
            if !taken.contains(&name) {
                match self.create_with(&name, options, progress) {
                    Err(BranchError::Exists { .. }) => {}
                    result => return result,
                }
            }
            number += 1;
        }
    }

    /// A branch of the workspace as it is.
    fn fresh(
        &self,
        options: &CreateOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Manifest, BranchError> {
        let mode = self.choose(options)?;
        let layers = self.places().layers();
        let (id, dir) = LayerDir::create(&layers).map_err(BranchError::io("make a directory in", &layers))?;
        let mut manifest = Manifest {
            version: VERSION,
            mode,
            layers: vec![id],
            parent: None,
            snapshot: None,
            workspace: DirectoryId::of(self.base()),
            birth: layer::birth(self.base(), dir.path()).map_err(BranchError::io("stamp", dir.path()))?,
            copied_at: None,
            created: now(),
            extras: Vec::new(),
            visible: Vec::new(),
            environment: Vec::new(),
            last_run: None,
            notes: Vec::new(),
        };
        self.find_repository(&mut manifest);
        let made = match mode {
            Mode::Kernel | Mode::Exact => {
                self.snapshot(options.snapshot, &mut manifest, progress)
                    .and_then(|()| {
                        let roots =
                            std::iter::once(self.base()).chain(manifest.extras.iter().map(PathBuf::as_path));
                        make_overlay(&dir, roots.map(Model::Plain))
                    })
            }
            Mode::Copy => self.copy_base(&dir, &mut manifest, progress),
        };
        made.inspect_err(|_| self.drop_layer(&manifest))
            .map(|()| manifest)
    }

    /// What git needs of the surroundings. A repository that is not trusted is none: the branch works, git in it
    /// does not, and whoever looks at it is told.
    pub(crate) fn find_repository(&self, manifest: &mut Manifest) {
        match git::locate(self.base()) {
            Ok(Some(layout)) => {
                let environment = layout.environment();
                manifest.environment = environment
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into_iter()
                    .collect();
                manifest.visible = layout.read_only;
                manifest.visible.extend(layout.alternates);
                // A copy of a git directory elsewhere could not be shown in its place everywhere.
                if manifest.mode.has_layers() {
                    manifest.extras = layout.extra;
                }
            }
            Ok(None) => {}
            Err(error) => {
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                manifest
                    .notes
                    .push(format!("git will not work on it: {error}{hint}"));
            }
        }
    }

    /// The mode of a branch of a branch: that of the parent; of what is in layers, the other one that is.
    fn inherited(&self, parent: &Branch, options: &CreateOptions) -> Result<Mode, BranchError> {
        let mode = parent.mode();
        let other = |asked: Mode| asked != mode && !(asked.has_layers() && mode.has_layers());
        let is_other = matches!(options.mode, ModeChoice::Only(asked) if other(asked));
        if is_other || options.snapshot != Snapshot::Off {
            return Err(BranchError::Inherited {
                parent: parent.name().clone(),
                mode,
            });
        }
        match (options.mode, options.known(mode)) {
            (ModeChoice::Only(asked), _) if asked != mode => self.check(asked, options).map(|()| asked),
            (_, None) => Ok(mode),
            (ModeChoice::Auto, Some(_)) if mode == Mode::Kernel && self.has_exact(options) => Ok(Mode::Exact),
            (_, Some(reason)) => Err(self.no_mode(mode, reason.clone())),
        }
    }

    /// A branch of a branch, whose lock is held: what it has written until now becomes a layer of both.
    fn branched(
        &self,
        parent: &Branch,
        mode: Mode,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Manifest, BranchError> {
        parent.check_settled()?;
        let parent = self.get(parent.name())?;
        // What is shared stands for itself.
        parent.complete_links()?;
        let _lock = self.lock()?;
        let mut manifest = parent.manifest().clone();
        manifest.mode = mode;
        manifest.parent = Some(parent.name().clone());
        manifest.created = now();
        manifest.last_run = None;
        match manifest.mode {
            Mode::Copy => {
                let layers = self.places().layers();
                let (id, dir) =
                    LayerDir::create(&layers).map_err(BranchError::io("make a directory in", &layers))?;
                let tree = parent.top().part(None).tree();
                self.copy(&tree, &dir, Reflink::Try, progress)?;
                manifest.layers = vec![id];
                // What differs from the base in a copy of a branch, nobody has to have touched since.
                manifest.copied_at = None;
            }
            Mode::Kernel | Mode::Exact => {
                let mut parents = manifest.clone();
                parents.mode = parent.mode();
                parents.parent.clone_from(&parent.manifest().parent);
                parents.created = parent.manifest().created;
                parents.last_run.clone_from(&parent.manifest().last_run);
                let making = self.making_over(&parent)?;
                parents.layers.insert(0, making.layer()?.0);
                manifest.layers.insert(0, making.layer()?.0);
                // From here on the shared layer is never written again.
                parent.top().settle_parts(&parents.extras)?;
                manifest::store(&parent.file(), &parents, Durability::Machine)?;
            }
        }
        Ok(manifest)
    }

    /// New layers over the topmost one of `parent`, in mode `kernel`.
    pub(crate) fn making_over(&self, parent: &Branch) -> Result<Making, BranchError> {
        let uppers = parent.parts().map(|part| parent.top().part(part).upper());
        let looks =
            uppers.map(|upper| Look::of(&Model::Upper(&upper)).map_err(BranchError::io("look at", &upper)));
        Ok(Making {
            layers: self.places().layers(),
            looks: looks.collect::<Result<_, _>>()?,
        })
    }

    /// A branch whose layer is there already.
    pub(crate) fn adopt(&self, name: &BranchName, manifest: Manifest) -> Result<Branch, BranchError> {
        self.publish(name, &manifest)?;
        Ok(Branch::new(self.clone(), name.clone(), manifest))
    }

    fn publish(&self, name: &BranchName, manifest: &Manifest) -> Result<(), BranchError> {
        let place = self.places().branch(name);
        let temporary = self
            .places()
            .branches()
            .join(format!(".{name}.{}", std::process::id()));
        let problem = BranchError::io("make", &temporary);
        super::place::make_private(&temporary).map_err(problem)?;
        let write = || {
            manifest::store(&temporary.join("branch.json"), manifest, Durability::Process)?;
            let lock = temporary.join("lock");
            fs::File::create(&lock).map_err(BranchError::io("make", &lock))?;
            // A directory that is there and not empty is not replaced (rename(2)).
            fs::rename(&temporary, &place).map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => self.exists(name),
                _ => BranchError::io("make", &place)(source),
            })
        };
        write().inspect_err(|_| {
            if let Err(error) = remove_tree(&temporary) {
                tracing::warn!(path = %temporary.display(), %error, "left behind");
            }
        })
    }

    /// Why its branches cannot be in mode `kernel`, as far as that is known without trying.
    pub fn why_no_kernel(&self) -> Option<Unsuitable> {
        suitable::check(self.base(), self.places().root()).err()
    }

    fn choose(&self, options: &CreateOptions) -> Result<Mode, BranchError> {
        if let ModeChoice::Only(mode) = options.mode {
            return self.check(mode, options).map(|()| mode);
        }
        let Some(reason) = self.why_not(Mode::Kernel, options) else {
            return Ok(Mode::Kernel);
        };
        let mode = if self.has_exact(options) {
            Mode::Exact
        } else {
            Mode::Copy
        };
        tracing::info!(%reason, mode = mode.name(), "no overlayfs of the kernel's");
        Ok(mode)
    }

    fn has_exact(&self, options: &CreateOptions) -> bool {
        self.why_not(Mode::Exact, options).is_none()
    }

    /// For what cannot be a copy: mode `kernel`, or `exact` where only that is to be had.
    pub(crate) fn layered_mode(&self) -> Mode {
        match self.choose(&CreateOptions::default()) {
            Ok(Mode::Exact) => Mode::Exact,
            _ => Mode::Kernel,
        }
    }

    /// An error where its branches cannot be in that mode.
    pub(crate) fn check_mode(&self, mode: Mode) -> Result<(), BranchError> {
        self.check(mode, &CreateOptions::default())
    }

    fn check(&self, mode: Mode, options: &CreateOptions) -> Result<(), BranchError> {
        match self.why_not(mode, options) {
            None => Ok(()),
            Some(reason) => Err(self.no_mode(mode, reason)),
        }
    }

    fn no_mode(&self, mode: Mode, reason: Unsuitable) -> BranchError {
        BranchError::Mode {
            workspace: self.base().to_owned(),
            mode,
            reason,
        }
    }

    fn why_not(&self, mode: Mode, options: &CreateOptions) -> Option<Unsuitable> {
        let found = || match mode {
            Mode::Kernel => self.why_no_kernel(),
            Mode::Exact => self.why_no_exact(),
            Mode::Copy => None,
        };
        options.known(mode).cloned().or_else(found)
    }

    fn snapshot(
        &self,
        snapshot: Snapshot,
        manifest: &mut Manifest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BranchError> {
        let layers = self.places().layers();
        let can_reflink =
            || copy::can_reflink(self.base(), &layers).map_err(BranchError::io("probe", &layers));
        let reflink = match snapshot {
            Snapshot::Off => return Ok(()),
            Snapshot::Auto if !can_reflink()? => return Ok(()),
            Snapshot::Reflink if !can_reflink()? => {
                return Err(BranchError::NoReflink {
                    workspace: self.base().to_owned(),
                    storage: self.places().root().to_owned(),
                });
            }
            Snapshot::Auto | Snapshot::Reflink => Reflink::Only,
            Snapshot::Copy => Reflink::Try,
        };
        let (id, dir) = LayerDir::create(&layers).map_err(BranchError::io("make a directory in", &layers))?;
        manifest.snapshot = Some(id);
        let report = self.copy(self.base(), &dir, reflink, progress)?;
        manifest.notes.extend(notes(&report));
        Ok(())
    }

    fn copy_base(
        &self,
        dir: &LayerDir,
        manifest: &mut Manifest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BranchError> {
        let report = self.copy(self.base(), dir, Reflink::Try, progress)?;
        manifest.notes.extend(notes(&report));
        let index = dir.index_file();
        let write = || {
            let mut file = io::BufWriter::new(fs::File::create(&index)?);
            let mut copied = CopyIndex::of(&dir.part(None).tree())?;
            copied.note_sources(self.base(), manifest.birth)?;
            copied.write_to(&mut file)?;
            io::Write::flush(&mut file)
        };
        write().map_err(BranchError::io("write", &index))?;
        manifest.copied_at = Some(layer::stamp(dir.path()).map_err(BranchError::io("stamp", dir.path()))?);
        Ok(())
    }

    fn copy(
        &self,
        from: &Path,
        to: &LayerDir,
        reflink: Reflink,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<TreeReport, BranchError> {
        let mut options = TreeOptions {
            reflink,
            exclude: self.excluded().into_iter().collect(),
            hollow: BTreeSet::new(),
        };
        if from == self.base() {
            options.hollow = self.mounted();
        }
        copy::tree(from, &to.part(None).tree(), &options, progress).map_err(|source| BranchError::Copy {
            from: from.to_owned(),
            source,
        })
    }

    fn exists(&self, name: &BranchName) -> BranchError {
        BranchError::Exists {
            name: name.clone(),
            workspace: self.base().to_owned(),
        }
    }

    /// Of a branch that did not come about.
    fn drop_layer(&self, manifest: &Manifest) {
        for id in manifest.layers.iter().take(1).chain(&manifest.snapshot) {
            let dir = LayerDir::new(&self.places().layers(), id);
            if let Err(error) = dir.remove() {
                tracing::warn!(path = %dir.path().display(), %error, "left behind");
            }
        }
    }
}

impl Branch {
    /// What is known of the branch that it was made of.
    fn take_over(&self, parent: &Self) -> Result<(), BranchError> {
        // What its commits have left in the base is in this one's layers too.
        self.remember_ours(parent.ours()?)?;
        self.inherit_texts(parent)
    }

    /// `error`, or what is behind it: that somebody has discarded the branch meanwhile.
    pub(crate) fn or_discarded(&self, error: BranchError) -> BranchError {
        match self.file().symlink_metadata() {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => BranchError::Discarded {
                name: self.name().clone(),
            },
            _ => error,
        }
    }
}

/// New, empty layers in mode `kernel`, all of which look alike.
#[derive(Debug)]
pub(crate) struct Making {
    layers: PathBuf,
    looks: Vec<Look>,
}

impl Making {
    /// One more, and its name.
    pub(crate) fn layer(&self) -> Result<(String, LayerDir), BranchError> {
        let problem = |source| BranchError::io("make a directory in", &self.layers)(source);
        let (id, dir) = LayerDir::create(&self.layers).map_err(problem)?;
        for (index, look) in self.looks.iter().enumerate() {
            dir.part(index.checked_sub(1))
                .create_overlay(look)
                .map_err(BranchError::io("make", dir.path()))?;
        }
        Ok((id, dir))
    }
}

/// What a copy is missing, for whoever looks at the branch.
fn notes(report: &TreeReport) -> Vec<String> {
    let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let hollow = report
        .hollow
        .iter()
        .map(|path| format!("{path} is a mount of its own inside the workspace, and no part of the branch"));
    let notes = [
        some(report.skipped.len(), "sockets were not copied"),
        some(report.refused.len(), "owners or attributes could not be copied"),
        some(
            report.unsteady.len(),
            "files were being written while they were copied and may be mixtures",
        ),
    ];
    hollow.chain(notes.into_iter().flatten()).collect()
}

/// Makes an empty layer: its parts look like `models`, the workspace's first.
fn make_overlay<'a>(dir: &LayerDir, models: impl Iterator<Item = Model<'a>>) -> Result<(), BranchError> {
    for (index, model) in models.enumerate() {
        let look = Look::of(&model);
        look.and_then(|look| dir.part(index.checked_sub(1)).create_overlay(&look))
            .map_err(BranchError::io("make", dir.path()))?;
    }
    Ok(())
}

impl LayerDir {
    /// Puts everything on the disk that was written to it.
    pub(crate) fn settle_parts(&self, extras: &[PathBuf]) -> Result<(), BranchError> {
        for index in std::iter::once(None).chain((0..extras.len()).map(Some)) {
            let part = self.part(index);
            if part.is_unsettled() {
                part.settle().map_err(BranchError::io("sync", &part.upper()))?;
            }
        }
        Ok(())
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// The lock of the branch in `directory`.
pub(crate) fn lock_of(name: &BranchName, directory: &Path) -> Result<lock::Held, BranchError> {
    let path = directory.join("lock");
    let discarded = || BranchError::Discarded { name: name.clone() };
    let asked = lock::try_hold(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => discarded(),
        _ => BranchError::io("lock", &path)(error),
    })?;
    match asked {
        Asked::Held(held) => {
            let is_its_own = held.is_at(&path).map_err(BranchError::io("lock", &path))?;
            is_its_own.then_some(held).ok_or_else(discarded)
        }
        Asked::By(holder) => Err(BranchError::InUse {
            name: name.clone(),
            holder,
        }),
    }
}
