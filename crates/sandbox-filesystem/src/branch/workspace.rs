//! A directory that has branches.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandbox_types::{BranchName, RelPath};
use serde::{Deserialize, Serialize};

use super::beside::Records;
use super::create::CreateOptions;
use super::error::BranchError;
use super::genuine;
use super::handle::Branch;
use super::layer::LayerDir;
use super::lock::{self, Asked, Held};
use super::manifest::{self, Durability, FileError, Manifest};
use super::moved::DirectoryId;
use super::place::{self, Places, Storage, resolve};
use super::remove::remove_tree;
use super::submounts;

/// A directory that has branches, and where they are kept. Opening it changes nothing.
///
/// ```
/// use sandbox_filesystem::branch::Workspace;
/// # let place = tempfile::tempdir()?;
/// # let storage = sandbox_filesystem::branch::Storage::At(place.path().join("state"));
/// # std::fs::create_dir(place.path().join("app"))?;
/// # let workspace = Workspace::open_in(place.path().join("app"), &storage)?;
/// let branch = workspace.branch("fix-42")?;
/// assert_eq!(workspace.list()?.len(), 1);
/// branch.discard()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Workspace {
    base: PathBuf,
    places: Places,
}

/// `workspace.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkspaceFile {
    pub(crate) version: u32,
    pub(crate) path: PathBuf,
    /// To be known when it has another path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<DirectoryId>,
}

impl Workspace {
    /// The workspace at `directory`, with its branches where they are found, see [`Storage::Found`].
    ///
    /// # Errors
    /// It is not a directory, is `/`, or nothing says where branches are kept; [`BranchError::Distrusted`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, BranchError> {
        Self::open_in(directory, &Storage::Found)
    }

    /// The workspace at `directory`, with its branches in `storage`.
    ///
    /// # Errors
    /// See [`Workspace::open`].
    pub fn open_in(directory: impl AsRef<Path>, storage: &Storage) -> Result<Self, BranchError> {
        let directory = directory.as_ref();
        let problem = |source| BranchError::Workspace {
            path: directory.to_owned(),
            source,
        };
        let base = directory.canonicalize().map_err(problem)?;
        if !base.metadata().map_err(problem)?.is_dir() {
            return Err(BranchError::NotADirectory {
                path: directory.to_owned(),
            });
        }
        if base == Path::new("/") {
            return Err(BranchError::Root);
        }
        let place = storage.directory(&base)?;
        // Whether it is inside the workspace is decided by this path.
        let place = resolve(&place).map_err(BranchError::io("find", &place))?;
        let workspace = Self {
            places: Places::new(place),
            base,
        };
        genuine::without_links(workspace.places.root())?;
        workspace.check_owner()?;
        Ok(workspace)
    }

    /// Every workspace in the state directory, and those that it knows to be kept beside a workspace, also those whose directory is gone or elsewhere, see
    /// [`Workspace::is_there`].
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub fn all() -> Result<Vec<Self>, BranchError> {
        let directory = Places::all().ok_or(BranchError::NoStateDirectory)?;
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(BranchError::io("read", &directory))?,
        };
        let mut workspaces: Vec<Self> = entries
            .flatten()
            .filter_map(|entry| {
                let file = WorkspaceFile::load(&entry.path())?;
                match Self::open_in(&file.path, &Storage::State) {
                    Err(BranchError::Workspace { .. } | BranchError::NotADirectory { .. }) => {
                        Some(Self::at(file.path, entry.path()))
                    }
                    result => result.ok(),
                }
            })
            .collect();
        workspaces.extend(Self::all_beside());
        let key = |workspace: &Self| (workspace.base.clone(), workspace.places.root().to_owned());
        workspaces.sort_by_key(key);
        workspaces.dedup_by_key(|workspace| key(workspace));
        Ok(workspaces)
    }

    fn all_beside() -> Vec<Self> {
        let Some(records) = Records::of_user() else {
            return Vec::new();
        };
        let mut known = records.paths();
        known.retain(|place| records.has(place));
        let known = known.into_iter().filter_map(|place| {
            let file = WorkspaceFile::load(&place)?;
            (place::beside(&file.path)? == place).then(|| Self::at(file.path, place))
        });
        known.collect()
    }

    /// The other one of the two places where branches are found without being told, if some are there as well.
    pub fn also_in(&self) -> Option<PathBuf> {
        let state = place::in_state(&self.base).ok()?;
        (self.is_beside() && Places::new(state.clone()).has_branches()).then_some(state)
    }

    fn is_beside(&self) -> bool {
        place::beside(&self.base).is_some_and(|beside| beside == self.places.root())
    }

    /// The workspace that was at `base`, of which nothing but its branches is left.
    pub(crate) fn at(base: PathBuf, place: PathBuf) -> Self {
        Self {
            base,
            places: Places::new(place),
        }
    }

    /// Whether its directory is there. What has become of one that is not, [`Workspace::attach`] is told.
    pub fn is_there(&self) -> bool {
        self.base.is_dir()
    }

    /// The directory, without links.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where its branches are kept.
    pub fn storage(&self) -> &Path {
        self.places.root()
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The branch of that name, made with the defaults where there is none.
    ///
    /// # Errors
    /// See [`Workspace::get`] and [`Workspace::create`].
    pub fn branch(&self, name: &str) -> Result<Branch, BranchError> {
        let name: BranchName = name.parse()?;
        match self.get(&name) {
            Err(BranchError::NotFound { .. }) => match self.create(&name, &CreateOptions::default()) {
                // Somebody was faster.
                Err(BranchError::Exists { .. }) => self.get(&name),
                result => result,
            },
            result => result,
        }
    }

    /// The branch of that name.
    ///
    /// # Errors
    /// There is none, or its manifest cannot be read.
    pub fn get(&self, name: &BranchName) -> Result<Branch, BranchError> {
        let file = self.places.branch(name).join("branch.json");
        match manifest::load::<Manifest>(&file) {
            Ok(manifest) => {
                genuine::check(&self.places, name, &manifest)?;
                Ok(Branch::new(self.clone(), name.clone(), manifest))
            }
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(BranchError::NotFound {
                    name: name.clone(),
                    workspace: self.base.clone(),
                    known: self.names()?,
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Its branches, by name. One whose manifest is damaged is an error in its place.
    ///
    /// # Errors
    /// The directory of branches cannot be read.
    pub fn list(&self) -> Result<Vec<Result<Branch, BranchError>>, BranchError> {
        let branches = self.names()?.into_iter().map(|name| self.get(&name));
        // One that is discarded meanwhile is none.
        let is_there = |found: &Result<_, _>| !matches!(found, Err(BranchError::NotFound { .. }));
        Ok(branches.filter(is_there).collect())
    }

    /// The names of its branches.
    ///
    /// # Errors
    /// The directory of branches cannot be read.
    pub fn names(&self) -> Result<Vec<BranchName>, BranchError> {
        let directory = self.places.branches();
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result.map_err(BranchError::io("read", &directory))?,
        };
        let mut names: Vec<BranchName> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Removes layers that no branch uses and what interrupted commands have left; bytes that are free again.
    ///
    /// # Errors
    /// A branch's manifest cannot be read: then nothing is removed, since what it uses is not known.
    pub fn collect_garbage(&self) -> Result<u64, BranchError> {
        let directory = self.places.layers();
        if !directory.is_dir() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        // While a branch is being made, nobody knows yet whose its layers are: then they are left for the next time.
        let Asked::Held(_nobody_makes) =
            lock::try_hold_directory(&directory).map_err(BranchError::io("lock", &directory))?
        else {
            return Ok(0);
        };
        let mut used = Vec::new();
        for name in self.names()? {
            let branch = self.get(&name)?;
            used.extend(branch.manifest().layers.iter().cloned());
            used.extend(branch.manifest().snapshot.iter().cloned());
        }
        let mut freed = 0;
        for entry in std::fs::read_dir(&directory)
            .map_err(BranchError::io("read", &directory))?
            .flatten()
        {
            if !used.iter().any(|id| entry.file_name() == id.as_str()) {
                let layer = LayerDir::new(&directory, &entry.file_name().to_string_lossy());
                freed += size_of_tree(layer.path());
                layer.remove().map_err(BranchError::io("remove", layer.path()))?;
            }
        }
        self.forget_empty_commits()?;
        let branches = self.places.branches();
        for entry in std::fs::read_dir(&branches).into_iter().flatten().flatten() {
            // Half made or half removed: names of branches do not begin with a dot.
            if entry.file_name().as_encoded_bytes().first() == Some(&b'.') {
                remove_tree(&entry.path()).map_err(BranchError::io("remove", &entry.path()))?;
            }
        }
        Ok(freed)
    }

    /// Removes the places of commits that came to nothing before anything was written down.
    fn forget_empty_commits(&self) -> Result<(), BranchError> {
        let commits = self.places.commits();
        for entry in std::fs::read_dir(&commits).into_iter().flatten().flatten() {
            let place = entry.path();
            if !place.join("commit.json").exists() {
                remove_tree(&place).map_err(BranchError::io("remove", &place))?;
            }
        }
        Ok(())
    }

    /// Held while layers come, are shared or go, and while the base is written.
    pub(crate) fn lock(&self) -> Result<Held, BranchError> {
        let path = self.places.lock_file();
        lock::hold(&path).map_err(BranchError::io("lock", &path))
    }

    /// Held while a branch is made, until its manifest says which layers are its own; nobody waits for another.
    pub(crate) fn making(&self) -> Result<Held, BranchError> {
        self.establish()?;
        let layers = self.places.layers();
        lock::share_directory(&layers).map_err(BranchError::io("lock", &layers))
    }

    /// Makes the directories where they are missing.
    fn establish(&self) -> Result<(), BranchError> {
        self.remember_beside()?;
        let file = self.places.workspace_file();
        let content = WorkspaceFile::of(&self.base);
        if file.exists() && !self.is_of_another(&content) {
            return Ok(());
        }
        self.places
            .create()
            .map_err(BranchError::io("make directories in", self.places.root()))?;
        Ok(manifest::store(&file, &content, Durability::Machine)?)
    }

    /// Whether what is known here was another directory at the same path, of which no branch is left: those of the one
    /// that is there now would not follow it.
    fn is_of_another(&self, now: &WorkspaceFile) -> bool {
        let known = WorkspaceFile::load(self.places.root());
        known.is_some_and(|known| known.directory != now.directory) && !self.places.has_branches()
    }

    /// Where branches are kept beside the workspace, makes the directory and writes down that it is for them.
    pub(crate) fn remember_beside(&self) -> Result<(), BranchError> {
        if !self.is_beside() {
            return Ok(());
        }
        let records = Records::of_user().ok_or(BranchError::NoStateDirectory)?;
        records.establish(self.places.root())
    }

    /// Where branches are kept inside the workspace itself: never a part of any view or difference.
    pub(crate) fn excluded(&self) -> Option<RelPath> {
        let inside = self.places.root().strip_prefix(&self.base).ok()?;
        RelPath::new(inside).ok()
    }

    /// What is mounted inside it: no part of any view or difference either.
    pub(crate) fn mounted(&self) -> BTreeSet<RelPath> {
        let inside = submounts::beneath(&self.base);
        let inside = inside
            .iter()
            .filter_map(|path| path.strip_prefix(&self.base).ok());
        inside.filter_map(|path| RelPath::new(path).ok()).collect()
    }

    /// All that is left out of views and differences.
    pub(crate) fn left_out(&self) -> BTreeSet<RelPath> {
        let mut left_out = self.mounted();
        left_out.extend(self.excluded());
        left_out
    }

    fn check_owner(&self) -> Result<(), BranchError> {
        let file = self.places.workspace_file();
        match manifest::load::<WorkspaceFile>(&file) {
            Ok(known) if known.path == self.base => Ok(()),
            Ok(known) => Err(BranchError::Foreign {
                directory: self.places.root().to_owned(),
                of: known.path,
            }),
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Bytes that the files of a tree take on the disk; what cannot be read counts nothing.
pub(crate) fn size_of_tree(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut left = vec![path.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            use std::os::unix::fs::MetadataExt;
            if let Ok(metadata) = entry.metadata() {
                bytes += metadata.blocks() * 512;
                if metadata.is_dir() {
                    left.push(entry.path());
                }
            }
        }
    }
    bytes
}
