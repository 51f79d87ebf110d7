//! Volumes as data: what is asked for when one is made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, InvalidName, VolumeName};

/// The least that a disk may have.
pub const SMALLEST_DISK: ByteSize = ByteSize::from_bytes(1 << 20);
/// The most that a disk may have: 16 TiB − 4 KiB, the largest file that ext4 holds.
pub const LARGEST_DISK: ByteSize = ByteSize::from_bytes((16 << 40) - 4096);
/// The most that a quota may allow: what the catalog can keep.
const LARGEST_QUOTA: u64 = i64::MAX as u64;
/// How long the name of a label may be, in bytes.
const LONGEST_KEY: usize = 128;
/// How long the value of a label may be, in bytes.
const LONGEST_VALUE: usize = 4096;

/// What a volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeKind {
    /// A directory of the host.
    Directory,
    /// An ext4 file system in a file of the host.
    Disk,
}

impl VolumeKind {
    /// As it is written on the command line and in the catalog.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Disk => "disk",
        }
    }
}

impl fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The most that a directory volume may hold. Nothing is limited that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
    /// Files, directories, links: everything that has an inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
}

impl Quota {
    /// Nothing is limited.
    pub const NONE: Self = Self {
        bytes: None,
        inodes: None,
    };

    /// Whether nothing is limited.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// A kind of volume with what belongs to it: a directory has no size, a disk has no quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum VolumeForm {
    /// A directory of the host.
    Directory {
        /// The most that it may hold.
        #[serde(default)]
        quota: Quota,
    },
    /// An ext4 file system in a file of the host.
    Disk {
        /// Its size; what has not been written takes no space.
        size: ByteSize,
    },
}

impl VolumeForm {
    /// Which kind it is.
    pub const fn kind(self) -> VolumeKind {
        match self {
            Self::Directory { .. } => VolumeKind::Directory,
            Self::Disk { .. } => VolumeKind::Disk,
        }
    }
}

/// A label: a name and a value, as in `team=storage`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label {
    key: String,
    value: String,
}

impl Label {
    /// # Errors
    /// [`VolumeProblem::Label`] for an empty or long key, one with `=` or a control character in it, a long value
    /// or one with NUL in it.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Result<Self, VolumeProblem> {
        let (key, value) = (key.into(), value.into());
        let is_key = !key.is_empty()
            && key.len() <= LONGEST_KEY
            && !key.contains(|c: char| c == '=' || c.is_control());
        if is_key && value.len() <= LONGEST_VALUE && !value.contains('\0') {
            Ok(Self { key, value })
        } else {
            Err(VolumeProblem::Label(format!("{key}={value}")))
        }
    }

    /// Its name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its value, which may be empty.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for Label {
    type Err = VolumeProblem;

    /// Reads `key=value`, and `key` alone with an empty value.
    fn from_str(text: &str) -> Result<Self, VolumeProblem> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        Self::new(key, value)
    }
}

impl TryFrom<String> for Label {
    type Error = VolumeProblem;

    fn try_from(text: String) -> Result<Self, VolumeProblem> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.to_string()
    }
}

/// A volume to be made: valid as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    name: VolumeName,
    form: VolumeForm,
    labels: Vec<Label>,
}

impl VolumeSpec {
    /// A volume called `name`: a directory without a quota, unless more is said.
    pub fn builder(name: impl Into<String>) -> VolumeSpecBuilder {
        VolumeSpecBuilder {
            name: name.into(),
            ..VolumeSpecBuilder::default()
        }
    }

    /// Its name.
    pub fn name(&self) -> &VolumeName {
        &self.name
    }

    /// Its kind, with quota or size.
    pub fn form(&self) -> VolumeForm {
        self.form
    }

    /// Its labels, in the order they were given.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }
}

/// A volume under construction. Every problem is reported at `build()`, all at once.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build()`"]
pub struct VolumeSpecBuilder {
    name: String,
    is_disk: bool,
    quota: Quota,
    size: Option<ByteSize>,
    labels: Vec<(String, String)>,
}

impl VolumeSpecBuilder {
    /// A directory of the host; the default.
    pub fn directory(mut self) -> Self {
        self.is_disk = false;
        self
    }

    /// An ext4 file system in a file; it takes a size.
    pub fn disk(mut self) -> Self {
        self.is_disk = true;
        self
    }

    /// The most bytes that a directory may hold; without it there is no limit. Fails for a disk, and for none at all.
    pub fn quota(mut self, bytes: impl Into<ByteSize>) -> Self {
        self.quota.bytes = Some(bytes.into());
        self
    }

    /// The most inodes that a directory may hold; without it there is no limit. Fails for a disk, and for 0.
    pub fn inodes(mut self, inodes: u64) -> Self {
        self.quota.inodes = Some(inodes);
        self
    }

    /// The size of a disk: 1 MiB to 16 TiB − 4 KiB. Fails for a directory.
    pub fn size(mut self, size: impl Into<ByteSize>) -> Self {
        self.size = Some(size.into());
        self
    }

    /// Adds a label. Fails when there are two of one key.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// # Errors
    /// [`InvalidVolume`] with everything that is wrong.
    pub fn build(self) -> Result<VolumeSpec, InvalidVolume> {
        let mut problems = Vec::new();
        let name = VolumeName::try_from(self.name.clone());
        let form = self.form(&mut problems);
        let labels = self.checked_labels(&mut problems);
        match name {
            Ok(name) if problems.is_empty() => Ok(VolumeSpec { name, form, labels }),
            Ok(_) => Err(InvalidVolume { problems }),
            Err(problem) => {
                problems.insert(0, VolumeProblem::Name(problem));
                Err(InvalidVolume { problems })
            }
        }
    }

    fn form(&self, problems: &mut Vec<VolumeProblem>) -> VolumeForm {
        if self.is_disk {
            if !self.quota.is_none() {
                problems.push(VolumeProblem::QuotaOnDisk);
            }
            let size = self.size.unwrap_or_default();
            if self.size.is_none() {
                problems.push(VolumeProblem::DiskWithoutSize);
            } else if !(SMALLEST_DISK..=LARGEST_DISK).contains(&size) {
                problems.push(VolumeProblem::DiskSize(size));
            }
            return VolumeForm::Disk { size };
        }
        if let Some(size) = self.size {
            problems.push(VolumeProblem::SizeOnDirectory(size));
        }
        problems.extend(check_quota(self.quota));
        VolumeForm::Directory { quota: self.quota }
    }

    fn checked_labels(&self, problems: &mut Vec<VolumeProblem>) -> Vec<Label> {
        let mut labels: Vec<Label> = Vec::new();
        for (key, value) in &self.labels {
            match Label::new(key, value) {
                Ok(label) if labels.iter().any(|other| other.key == label.key) => {
                    problems.push(VolumeProblem::DuplicateLabel(label.key));
                }
                Ok(label) => labels.push(label),
                Err(problem) => problems.push(problem),
            }
        }
        labels
    }
}

/// What is wrong with a quota.
pub fn check_quota(quota: Quota) -> Option<VolumeProblem> {
    match (quota.bytes, quota.inodes) {
        (Some(bytes), _) if bytes.bytes() == 0 => Some(VolumeProblem::ZeroQuota("bytes")),
        (_, Some(0)) => Some(VolumeProblem::ZeroQuota("inodes")),
        (Some(bytes), _) if bytes.bytes() > LARGEST_QUOTA => Some(VolumeProblem::QuotaTooLarge(bytes)),
        (_, Some(inodes)) if inodes > LARGEST_QUOTA => Some(VolumeProblem::TooManyInodes(inodes)),
        _ => None,
    }
}

/// A volume that cannot be: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVolume {
    /// What is wrong; never empty.
    pub problems: Vec<VolumeProblem>,
}

impl std::error::Error for InvalidVolume {}

impl fmt::Display for InvalidVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeProblem {
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A directory takes no size.
    #[error("size {0}: a directory has none; limit what it holds by a quota, or make a disk")]
    SizeOnDirectory(ByteSize),
    /// A disk takes no quota.
    #[error("a disk has no quota: its size is its limit")]
    QuotaOnDisk,
    /// A disk needs a size.
    #[error("a disk needs a size")]
    DiskWithoutSize,
    /// A disk of that size cannot be.
    #[error("size {0}: a disk has 1MiB to 16TiB less 4KiB")]
    DiskSize(ByteSize),
    /// Nothing would fit.
    #[error("a quota of 0 {0} allows nothing; leave it out for no limit")]
    ZeroQuota(&'static str),
    /// More than the catalog can keep.
    #[error("quota {0} is 8EiB or more")]
    QuotaTooLarge(ByteSize),
    /// More than the catalog can keep.
    #[error("{0} inodes are more than a file system has")]
    TooManyInodes(u64),
    /// No label.
    #[error(
        "{0:?} is no label: write KEY=VALUE, the key of at most 128 bytes without = and control characters"
    )]
    Label(String),
    /// Two labels of one key.
    #[error("label {0:?} is given twice")]
    DuplicateLabel(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SizeExt;

    fn problems(builder: VolumeSpecBuilder) -> Vec<VolumeProblem> {
        builder.build().unwrap_err().problems
    }

    #[test]
    fn a_directory_without_limits_is_the_default() {
        let spec = VolumeSpec::builder("data").build().unwrap();
        assert_eq!(spec.form(), VolumeForm::Directory { quota: Quota::NONE });
        let spec = VolumeSpec::builder("data")
            .quota(3.mib())
            .label("a", "")
            .build()
            .unwrap();
        assert_eq!(spec.labels()[0].to_string(), "a=");
    }

    #[test]
    fn what_cannot_be_is_refused_all_at_once() {
        let all = problems(
            VolumeSpec::builder("a/b")
                .size(3.mib())
                .quota(0.mib())
                .label("", "x")
                .label("k", "1")
                .label("k", "2"),
        );
        assert_eq!(all.len(), 5, "{all:?}");
        assert_eq!(
            problems(VolumeSpec::builder("d").disk()),
            [VolumeProblem::DiskWithoutSize]
        );
        assert_eq!(
            problems(VolumeSpec::builder("d").disk().size(8.mib()).quota(1.mib())),
            [VolumeProblem::QuotaOnDisk]
        );
        assert_eq!(
            problems(VolumeSpec::builder("d").disk().size(0.mib())),
            [VolumeProblem::DiskSize(0.mib())]
        );
        assert_eq!(
            problems(VolumeSpec::builder("d").quota(ByteSize::from_bytes(u64::MAX))),
            [VolumeProblem::QuotaTooLarge(ByteSize::from_bytes(u64::MAX))]
        );
    }

    #[test]
    fn names_that_could_be_paths_or_flags_are_refused() {
        for bad in ["", ".", "..", "a/b", ".x", "-x", "ä", "a\n", &"n".repeat(129)] {
            assert!(VolumeSpec::builder(bad).build().is_err(), "{bad:?}");
        }
        assert!(VolumeSpec::builder("n".repeat(128)).build().is_ok());
    }
}
