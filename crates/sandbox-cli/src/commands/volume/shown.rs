//! Volumes as they are printed.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use sandbox::volume::{HolderRecord, SnapshotRecord, Usage, VolumeRecord};
use sandbox::{Access, ByteSize, VolumeForm, VolumeName};
use serde::Serialize;

/// A volume in JSON. Times are seconds since the epoch, sizes are bytes.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    name: &'a VolumeName,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_inodes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    labels: serde_json::Map<String, serde_json::Value>,
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ShownUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshots: Option<Vec<ShownSnapshot>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holders: Option<Vec<ShownHolder>>,
}

#[derive(Serialize)]
pub(super) struct ShownUsage {
    bytes: u64,
    inodes: u64,
    measured: u64,
}

#[derive(Serialize)]
struct ShownSnapshot {
    name: String,
    created: u64,
}

#[derive(Serialize)]
struct ShownHolder {
    sandbox: Option<String>,
    pid: u32,
    command: String,
    access: &'static str,
    at: PathBuf,
}

impl<'a> Shown<'a> {
    pub(super) fn of(volume: &'a VolumeRecord, path: Option<PathBuf>) -> Self {
        let (quota_bytes, quota_inodes, size) = match volume.form {
            VolumeForm::Directory { quota } => (quota.bytes, quota.inodes, None),
            VolumeForm::Disk { size } => (None, None, Some(size)),
        };
        let labels = volume.labels.iter();
        Self {
            name: &volume.name,
            kind: volume.form.kind().name(),
            quota_bytes: quota_bytes.map(ByteSize::bytes),
            quota_inodes,
            size_bytes: size.map(ByteSize::bytes),
            labels: labels
                .map(|label| (label.key().to_owned(), label.value().into()))
                .collect(),
            created: seconds(volume.created_at),
            usage: volume.usage.map(ShownUsage::of),
            path,
            snapshots: None,
            holders: None,
        }
    }

    pub(super) fn with(mut self, snapshots: &[SnapshotRecord], holders: &[HolderRecord]) -> Self {
        let snapshot = |snapshot: &SnapshotRecord| ShownSnapshot {
            name: snapshot.name.to_string(),
            created: seconds(snapshot.created_at),
        };
        let holder = |holder: &HolderRecord| ShownHolder {
            sandbox: holder.sandbox.as_ref().map(ToString::to_string),
            pid: holder.pid,
            command: holder.command.clone(),
            access: access(holder.access),
            at: holder.at.clone(),
        };
        self.snapshots = Some(snapshots.iter().map(snapshot).collect());
        self.holders = Some(holders.iter().map(holder).collect());
        self
    }
}

impl ShownUsage {
    pub(super) fn of(usage: Usage) -> Self {
        Self {
            bytes: usage.bytes.bytes(),
            inodes: usage.inodes,
            measured: seconds(usage.measured_at),
        }
    }
}

pub(super) fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The most that a volume holds.
pub(super) fn capacity(form: VolumeForm) -> String {
    match form {
        VolumeForm::Directory { quota } => match (quota.bytes, quota.inodes) {
            (None, None) => "-".to_owned(),
            (Some(bytes), None) => bytes.to_string(),
            (None, Some(inodes)) => format!("{inodes} inodes"),
            (Some(bytes), Some(inodes)) => format!("{bytes}, {inodes} inodes"),
        },
        VolumeForm::Disk { size } => size.to_string(),
    }
}

/// One a line.
pub(super) fn lines(all: impl IntoIterator<Item = impl ToString>) -> String {
    let mut text = String::new();
    for one in all {
        text.push_str(&one.to_string());
        text.push('\n');
    }
    text
}

/// Lines in columns, the first one their titles.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}
