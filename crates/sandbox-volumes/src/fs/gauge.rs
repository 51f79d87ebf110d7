//! A quota that is held from outside a sandbox: what is written is charged before it is there.
//!
//! The figure that whoever serves the tree has left is taken away before the first change, and nothing takes its
//! place: the next to need it counts. Between, what is charged is a bound, and counted anew where it is in the way.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use sandbox_types::quota::{INODE_WEIGHT, QuotaRecord, name_weight};
use sandbox_types::{Quota, VolumeName};

use super::error::FsError;
use super::path::Inner;
use super::{Files, VolumeFs};
use crate::lock::{Lock, Share};
use crate::usage::weigh::{read_record, record_path, weigh};

/// Data is allocated in blocks; those of host file systems are no larger as a rule.
const BLOCK: u64 = 4096;

/// Who charges.
#[derive(Debug, Clone)]
pub(super) struct Gauge(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    data: PathBuf,
    state: PathBuf,
    quota: Quota,
    name: VolumeName,
    used: Mutex<Option<QuotaRecord>>,
}

/// Something is charged, and nobody else counts or serves the tree while this lives.
#[derive(Debug)]
pub(super) struct Charged {
    inside: Arc<Inside>,
    _alone: Lock,
    /// Bytes of the last block that are charged already.
    ahead: u64,
    /// Bytes and inodes that it is for.
    taken: (u64, u64),
    /// Whether no count finds what it is for: it has no name yet.
    is_nameless: bool,
}

impl Gauge {
    pub(super) fn new(data: PathBuf, state: PathBuf, quota: Quota, name: VolumeName) -> Self {
        Self(Arc::new(Inside {
            data,
            state,
            quota,
            name,
            used: Mutex::new(None),
        }))
    }

    /// Charges for something new at `path`, its content apart.
    pub(super) fn entry(&self, what: &'static str, path: &Inner) -> Result<Charged, FsError> {
        self.charge(what, path, INODE_WEIGHT + of_name(path), 1)
    }

    fn charge(&self, what: &'static str, path: &Inner, bytes: u64, inodes: u64) -> Result<Charged, FsError> {
        let inside = &self.0;
        let failed = FsError::new(what, path);
        let alone = Lock::try_directory(&inside.data, Share::Exclusive).map_err(&failed)?;
        let alone = alone.ok_or_else(|| FsError::InUse {
            name: inside.name.clone(),
        })?;
        inside.begin().map_err(&failed)?;
        inside.take((bytes, inodes), (0, 0)).map_err(&failed)?;
        Ok(Charged {
            inside: Arc::clone(inside),
            _alone: alone,
            ahead: 0,
            taken: (bytes, inodes),
            is_nameless: false,
        })
    }
}

impl Charged {
    /// What it is for has no name until it is finished.
    pub(super) fn for_nameless(&mut self) {
        self.is_nameless = true;
    }

    /// Charges for more content.
    pub(super) fn more(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.ahead {
            let blocks = (bytes - self.ahead).next_multiple_of(BLOCK);
            let unseen = if self.is_nameless { self.taken } else { (0, 0) };
            self.inside.take((blocks, 0), unseen)?;
            self.taken.0 += blocks;
            self.ahead += blocks;
        }
        self.ahead -= bytes;
        Ok(())
    }
}

impl Inside {
    fn used(&self) -> MutexGuard<'_, Option<QuotaRecord>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out how much is there, unless that is known and nobody was there since.
    fn begin(&self) -> io::Result<()> {
        let path = record_path(&self.data, &self.state)?;
        match read_record(&path)? {
            Some(record) => {
                std::fs::remove_file(&path)?;
                let found = if record.exact { record } else { weigh(&self.data)? };
                *self.used() = Some(found);
            }
            None if self.used().is_none() => *self.used() = Some(weigh(&self.data)?),
            None => {}
        }
        Ok(())
    }

    /// Charges bytes and inodes. Where that is too much it is counted first; a count does not find what is `unseen`.
    fn take(&self, (bytes, inodes): (u64, u64), unseen: (u64, u64)) -> io::Result<()> {
        if self.try_take(bytes, inodes) {
            return Ok(());
        }
        let mut counted = weigh(&self.data)?;
        counted.bytes = counted.bytes.saturating_add(unseen.0);
        counted.inodes = counted.inodes.saturating_add(unseen.1);
        *self.used() = Some(counted);
        if self.try_take(bytes, inodes) {
            Ok(())
        } else {
            Err(Errno::DQUOT.into())
        }
    }

    fn try_take(&self, bytes: u64, inodes: u64) -> bool {
        let mut used = self.used();
        let Some(used) = used.as_mut() else { return false };
        let after = (
            used.bytes.saturating_add(bytes),
            used.inodes.saturating_add(inodes),
        );
        let too_many =
            |limit: Option<u64>, after: u64, more: u64| more > 0 && limit.is_some_and(|limit| after > limit);
        if too_many(
            self.quota.bytes.map(sandbox_types::ByteSize::bytes),
            after.0,
            bytes,
        ) || too_many(self.quota.inodes, after.1, inodes)
        {
            return false;
        }
        (used.bytes, used.inodes) = after;
        true
    }
}

fn of_name(path: &Inner) -> u64 {
    name_weight(path.split().map_or(0, |(_, name)| name.len()))
}

impl VolumeFs {
    fn gauge(&self) -> Option<&Gauge> {
        match &self.files {
            Files::Host { gauge, .. } => gauge.as_ref(),
            Files::Disk(_) => None,
        }
    }

    /// Charges for something new, and `content` bytes that take what they are.
    pub(super) fn charge_entry(
        &self,
        what: &'static str,
        path: &Inner,
        content: u64,
    ) -> Result<Option<Charged>, FsError> {
        let charge = |gauge: &Gauge| gauge.charge(what, path, INODE_WEIGHT + of_name(path) + content, 1);
        self.gauge().map(charge).transpose()
    }

    /// Charges for a tree that is to come in.
    pub(super) fn charge_tree(
        &self,
        what: &'static str,
        path: &Inner,
        weight: QuotaRecord,
    ) -> Result<Option<Charged>, FsError> {
        let charge = |gauge: &Gauge| gauge.charge(what, path, weight.bytes, weight.inodes);
        self.gauge().map(charge).transpose()
    }

    pub(super) fn has_quota(&self) -> bool {
        self.gauge().is_some()
    }

    /// Charges for a file, whether it is there or not, and for content that starts anywhere in it.
    pub(super) fn charge_content(
        &self,
        what: &'static str,
        path: &Inner,
        content: usize,
    ) -> Result<Option<Charged>, FsError> {
        let blocks = (content as u64).next_multiple_of(BLOCK) + BLOCK;
        let bytes = INODE_WEIGHT + of_name(path) + blocks;
        self.gauge()
            .map(|gauge| gauge.charge(what, path, bytes, u64::from(!self.exists(path.shown())?)))
            .transpose()
    }

    /// Charges for a name.
    pub(super) fn charge_name(&self, what: &'static str, path: &Inner) -> Result<Option<Charged>, FsError> {
        self.gauge()
            .map(|gauge| gauge.charge(what, path, of_name(path), 0))
            .transpose()
    }

    /// Something becomes less, or another.
    pub(super) fn charge_nothing(
        &self,
        what: &'static str,
        path: &Inner,
    ) -> Result<Option<Charged>, FsError> {
        self.gauge()
            .map(|gauge| gauge.charge(what, path, 0, 0))
            .transpose()
    }
}
