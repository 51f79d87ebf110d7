//! A volume, and how to come by one.

mod builder;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sandbox_types::{ByteSize, Label, VolumeForm, VolumeKind, VolumeName, VolumeSpec};

pub use builder::VolumeBuilder;

use crate::archive::ArchiveError;
use crate::backend::{Backend, BackendKind, CloneSource, Resize, Snapshots, default_backend};
use crate::copy::Progress;
use crate::error::VolumeError;
use crate::fs::VolumeFs;
use crate::record::{HolderRecord, SnapshotRecord, Usage, VolumeFilter, VolumeRecord};

/// A volume of a backend. What it says of itself is what was so when it was got.
#[derive(Clone)]
pub struct Volume {
    record: VolumeRecord,
    backend: Arc<dyn Backend>,
}

/// The same by its other name.
pub type VolumeHandle = Volume;

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("name", &self.record.name.as_str())
            .field("backend", &self.backend.kind())
            .finish()
    }
}

impl Volume {
    /// A volume to be made: a directory without a quota, unless more is said.
    pub fn builder(name: impl Into<String>) -> VolumeBuilder {
        VolumeBuilder::new(name.into())
    }

    /// Makes a volume on the default backend.
    ///
    /// # Errors
    /// [`VolumeError::AlreadyExists`], and what the backend refuses.
    pub async fn create(spec: &VolumeSpec) -> Result<Self, VolumeError> {
        Self::create_on(default_backend().await?, spec).await
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// As [`Volume::create`].
    pub async fn create_on(backend: Arc<dyn Backend>, spec: &VolumeSpec) -> Result<Self, VolumeError> {
        let record = backend.create(spec).await?;
        Ok(Self { record, backend })
    }

    /// Makes a volume on the default backend, unless there is one like it already.
    ///
    /// # Errors
    /// [`VolumeError::Differs`] where there is one of that name with another kind, quota or size. Labels may differ.
    pub async fn ensure(spec: &VolumeSpec) -> Result<Self, VolumeError> {
        Self::ensure_on(default_backend().await?, spec).await
    }

    /// Makes a volume, unless there is one like it already.
    ///
    /// # Errors
    /// As [`Volume::ensure`].
    pub async fn ensure_on(backend: Arc<dyn Backend>, spec: &VolumeSpec) -> Result<Self, VolumeError> {
        let record = match backend.get(spec.name()).await {
            Err(VolumeError::NotFound { .. }) => match backend.create(spec).await {
                // Somebody else was faster.
                Err(VolumeError::AlreadyExists { .. }) => backend.get(spec.name()).await?,
                result => result?,
            },
            result => result?,
        };
        let differs = |what| VolumeError::Differs {
            name: spec.name().clone(),
            what,
        };
        if record.form.kind() != spec.form().kind() {
            return Err(differs("kind"));
        }
        if record.form != spec.form() {
            return Err(differs(match record.form {
                VolumeForm::Directory { .. } => "quota",
                VolumeForm::Disk { .. } => "size",
            }));
        }
        Ok(Self { record, backend })
    }

    /// The volume of that name, on the default backend.
    ///
    /// # Errors
    /// [`VolumeError::NotFound`], also for what is no name of a volume.
    pub async fn get(name: &str) -> Result<Self, VolumeError> {
        Self::get_on(default_backend().await?, name).await
    }

    /// The volume of that name.
    ///
    /// # Errors
    /// As [`Volume::get`].
    pub async fn get_on(backend: Arc<dyn Backend>, name: &str) -> Result<Self, VolumeError> {
        let record = backend.get(&name.parse()?).await?;
        Ok(Self { record, backend })
    }

    /// All volumes of the default backend, newest first.
    ///
    /// # Errors
    /// What the backend refuses.
    pub async fn list() -> Result<Vec<Self>, VolumeError> {
        Self::list_on(default_backend().await?, &VolumeFilter::all()).await
    }

    /// Those that are meant, newest first.
    ///
    /// # Errors
    /// What the backend refuses.
    pub async fn list_on(backend: Arc<dyn Backend>, filter: &VolumeFilter) -> Result<Vec<Self>, VolumeError> {
        let records = backend.list(filter).await?.into_iter();
        let volume = |record| Self {
            record,
            backend: Arc::clone(&backend),
        };
        Ok(records.map(volume).collect())
    }

    /// Removes those that are meant, unless they are used or have snapshots. Says of each what became of it.
    ///
    /// # Errors
    /// Where the volumes cannot be listed.
    pub async fn prune_on(
        backend: Arc<dyn Backend>,
        filter: &VolumeFilter,
    ) -> Result<Vec<(VolumeName, Result<(), VolumeError>)>, VolumeError> {
        let mut done = Vec::new();
        for record in backend.list(filter).await? {
            let result = backend.remove(&record.name, Snapshots::Refuse).await;
            done.push((record.name, result));
        }
        Ok(done)
    }

    /// Its name.
    pub fn name(&self) -> &VolumeName {
        &self.record.name
    }

    /// What keeps it.
    pub fn backend_kind(&self) -> BackendKind {
        self.backend.kind()
    }

    /// Whether it is a directory or a disk.
    pub fn kind(&self) -> VolumeKind {
        self.record.form.kind()
    }

    /// Its kind, with quota or size.
    pub fn form(&self) -> VolumeForm {
        self.record.form
    }

    /// Everything that is known of it.
    pub fn record(&self) -> &VolumeRecord {
        &self.record
    }

    /// Where its files are; of a disk, the directory that holds the image.
    ///
    /// # Errors
    /// [`VolumeError::Unsupported`] where it is not on this machine.
    pub fn path(&self) -> Result<PathBuf, VolumeError> {
        let directory = self.directory("a path")?;
        Ok(match self.kind() {
            VolumeKind::Directory => directory.join("data"),
            VolumeKind::Disk => directory,
        })
    }

    fn directory(&self, feature: &'static str) -> Result<PathBuf, VolumeError> {
        self.record.directory.clone().ok_or(VolumeError::Unsupported {
            feature,
            available_when: "the volume is on this machine",
        })
    }

    /// The most bytes it may hold, in whole MiB, rounded up; none where there is no limit, and for disks.
    pub fn quota_mib(&self) -> Option<u64> {
        match self.record.form {
            VolumeForm::Directory { quota } => quota.bytes.map(|bytes| bytes.bytes().div_ceil(1 << 20)),
            VolumeForm::Disk { .. } => None,
        }
    }

    /// What is in it, counted just now, in bytes on the disk.
    ///
    /// # Errors
    /// Where it cannot be looked into.
    pub async fn used_bytes(&self) -> Result<u64, VolumeError> {
        Ok(self.usage(Duration::ZERO).await?.bytes.bytes())
    }

    /// What is in it, counted at most `age` ago, and when that was.
    ///
    /// # Errors
    /// Where it cannot be looked into.
    pub async fn usage(&self, age: Duration) -> Result<Usage, VolumeError> {
        self.backend.usage(self.name(), age).await
    }

    /// The most that it can hold: its quota or its size; none where there is no limit.
    pub fn capacity_bytes(&self) -> Option<u64> {
        match self.record.form {
            VolumeForm::Directory { quota } => quota.bytes.map(ByteSize::bytes),
            VolumeForm::Disk { size } => Some(size.bytes()),
        }
    }

    /// How the image of a disk is kept: `raw`.
    pub fn disk_format(&self) -> Option<&'static str> {
        (self.kind() == VolumeKind::Disk).then_some("raw")
    }

    /// What is in the image of a disk: `ext4`.
    pub fn disk_fstype(&self) -> Option<&'static str> {
        (self.kind() == VolumeKind::Disk).then_some("ext4")
    }

    /// Where the image of a disk is; none for directories.
    ///
    /// # Errors
    /// [`VolumeError::Unsupported`] where it is not on this machine.
    pub fn disk_path(&self) -> Result<Option<PathBuf>, VolumeError> {
        match self.kind() {
            VolumeKind::Directory => Ok(None),
            VolumeKind::Disk => Ok(Some(self.directory("a path")?.join("disk.raw"))),
        }
    }

    /// Its labels, in the order they were given.
    pub fn labels(&self) -> &[Label] {
        &self.record.labels
    }

    /// When it was made.
    pub fn created_at(&self) -> SystemTime {
        self.record.created_at
    }

    /// Its files.
    ///
    /// # Errors
    /// [`VolumeError::Missing`] where its directory is gone.
    pub fn fs(&self) -> Result<VolumeFs, VolumeError> {
        self.backend.fs(&self.record)
    }

    /// Removes it, unless somebody uses it or it has snapshots.
    ///
    /// # Errors
    /// [`VolumeError::InUse`], which names who; [`VolumeError::HasSnapshots`].
    pub async fn remove(self) -> Result<(), VolumeError> {
        self.backend.remove(&self.record.name, Snapshots::Refuse).await
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// [`VolumeError::AlreadyExists`].
    pub async fn rename(&mut self, to: &str) -> Result<(), VolumeError> {
        self.record = self.backend.rename(&self.record.name, &to.parse()?).await?;
        Ok(())
    }

    /// Changes how much it holds.
    ///
    /// # Errors
    /// Where more is in it, or it is the wrong kind.
    pub async fn resize(&mut self, to: Resize) -> Result<(), VolumeError> {
        self.record = self.backend.resize(&self.record.name, to).await?;
        Ok(())
    }

    /// Makes a volume of what is in it.
    ///
    /// # Errors
    /// [`VolumeError::InUse`] where somebody writes to it; [`VolumeError::AlreadyExists`].
    pub async fn clone_as(
        &self,
        name: &str,
        labels: &[Label],
        progress: &Progress,
    ) -> Result<Self, VolumeError> {
        let source = CloneSource {
            volume: &self.record.name,
            snapshot: None,
        };
        let made = self
            .backend
            .clone_volume(source, &name.parse()?, labels, progress)
            .await?;
        Ok(Self {
            record: made,
            backend: Arc::clone(&self.backend),
        })
    }

    /// Keeps what is in it now.
    ///
    /// # Errors
    /// [`VolumeError::InUse`] where somebody writes to it; [`VolumeError::SnapshotExists`].
    pub async fn snapshot(&self, name: &str) -> Result<SnapshotRecord, VolumeError> {
        let name = name.parse()?;
        self.backend
            .snapshot(&self.record.name, &name, &Progress::none())
            .await
    }

    /// What was kept of it, newest first.
    ///
    /// # Errors
    /// Where it is gone.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotRecord>, VolumeError> {
        self.backend.snapshots(&self.record.name).await
    }

    /// Makes it hold what it held when the snapshot was taken; what is in it now is gone.
    ///
    /// # Errors
    /// [`VolumeError::InUse`]; [`VolumeError::NoSnapshot`].
    pub async fn restore(&mut self, snapshot: &str) -> Result<(), VolumeError> {
        let name = snapshot.parse()?;
        self.backend
            .restore(&self.record.name, &name, &Progress::none())
            .await?;
        self.record = self.backend.get(&self.record.name).await?;
        Ok(())
    }

    /// Who has it attached.
    ///
    /// # Errors
    /// Where it is gone.
    pub async fn holders(&self) -> Result<Vec<HolderRecord>, VolumeError> {
        self.backend.holders(&self.record.name).await
    }

    /// Writes it as an archive.
    ///
    /// # Errors
    /// [`VolumeError::InUse`] where somebody writes to it, and what cannot be read or written.
    pub async fn export(&self, to: impl Write + Send + 'static) -> Result<(), ArchiveError> {
        self.backend
            .export(&self.record.name, Box::new(to), &Progress::none())
            .await
    }
}
