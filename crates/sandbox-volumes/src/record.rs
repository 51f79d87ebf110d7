//! What a backend says of volumes, snapshots and who uses them: plain data.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use sandbox_types::{Access, ByteSize, Label, SandboxName, VolumeForm, VolumeName};

/// A volume, as its backend knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeRecord {
    /// Its name.
    pub name: VolumeName,
    /// Its kind, with quota or size.
    pub form: VolumeForm,
    /// Its labels, in the order they were given.
    pub labels: Vec<Label>,
    /// When it was made.
    pub created_at: SystemTime,
    /// What was in it when that was last looked at; none where it never was.
    pub usage: Option<Usage>,
    /// What holds it on this machine; none on another.
    pub directory: Option<PathBuf>,
    /// Which place holds it: another one after `restore`.
    pub(crate) place: String,
}

/// What is in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes. Of a directory, as `du` counts them: holes take none, a file with two names is counted once. Of one with a
    /// quota, as the quota counts (`sandbox_types::quota`); of a disk, as its file system does: what `df` says inside.
    pub bytes: ByteSize,
    /// Files, directories, links; without the root where there is a quota, with ext4's own eleven in a disk.
    pub inodes: u64,
    /// When it was counted.
    pub measured_at: SystemTime,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotRecord {
    /// Its name, one of its volume's.
    pub name: VolumeName,
    /// When it was taken.
    pub created_at: SystemTime,
    pub(crate) place: String,
}

/// Somebody who has a volume attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HolderRecord {
    /// The sandbox, when it has a name.
    pub sandbox: Option<SandboxName>,
    /// The process that holds it, as it saw itself.
    pub pid: u32,
    /// What that was started as.
    pub command: String,
    /// Whether it writes.
    pub access: Access,
    /// Where it is inside.
    pub at: PathBuf,
    /// Since when.
    pub since: SystemTime,
}

impl fmt::Display for HolderRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sandbox) = &self.sandbox {
            write!(f, "sandbox {sandbox}, ")?;
        }
        write!(f, "process {}", self.pid)?;
        if !self.command.is_empty() {
            write!(f, " ({})", self.command)?;
        }
        f.write_str(match self.access {
            Access::Read => ", reading",
            Access::Write => ", writing",
        })
    }
}

/// Which volumes are meant: those that meet every condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeFilter {
    /// Have all of these labels.
    pub labels: Vec<Label>,
    /// Have labels of all of these keys, whatever their value.
    pub keys: Vec<String>,
    /// Were made before this.
    pub before: Option<SystemTime>,
}

impl VolumeFilter {
    /// All volumes.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those with this label.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        self.labels.push(label);
        self
    }

    /// Only those with a label of this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Only those made before `time`.
    #[must_use]
    pub fn before(mut self, time: SystemTime) -> Self {
        self.before = Some(time);
        self
    }

    /// Whether it is one of them.
    pub fn matches(&self, volume: &VolumeRecord) -> bool {
        let has_key = |key: &String| volume.labels.iter().any(|label| label.key() == key);
        self.labels.iter().all(|label| volume.labels.contains(label))
            && self.keys.iter().all(has_key)
            && self.before.is_none_or(|time| volume.created_at < time)
    }
}
