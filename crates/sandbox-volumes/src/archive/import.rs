//! Making volumes of archives.

use std::io::{BufReader, Read};
use std::path::Path;

use sandbox_types::{Label, VolumeForm};

use super::digest::HashingReader;
use super::error::ArchiveError;
use super::meter::Meter;
use super::unpack::{Allowed, Owners, unpack_data, unpack_disk};
use super::{ImportOptions, manifest_entry};
use crate::copy::Progress;
use crate::error::blocking;
use crate::local::{LocalBackend, content_of, sync_file_system};
use crate::manifest::Manifest;
use crate::record::VolumeRecord;

/// What is read of an archive once it is decompressed.
pub(super) type Decompressed =
    HashingReader<zstd::stream::read::Decoder<'static, BufReader<Box<dyn Read + Send>>>>;

/// The most memory that an archive may ask for, as a power of two: what `zstd --ultra` uses at most without `--long`.
const WINDOW_LOG: u32 = 27;

impl LocalBackend {
    pub(crate) async fn import_volume(
        &self,
        from: Box<dyn Read + Send>,
        options: &ImportOptions,
        progress: &Progress,
    ) -> Result<VolumeRecord, ArchiveError> {
        let (manifest, archive) = blocking(move || begin(from)).await?;
        let name = options.name.clone().unwrap_or_else(|| manifest.name.clone());
        let labels = labels(&manifest, options);
        let (form, allowed, progress) = (manifest.form, allowed(&manifest, options), progress.clone());
        self.make(&name, form, &labels, move |place| {
            unpack(archive, place, form, allowed, &progress)
        })
        .await
    }
}

fn begin(from: Box<dyn Read + Send>) -> Result<(Manifest, Decompressed), ArchiveError> {
    let mut zstd = zstd::stream::read::Decoder::new(from).map_err(ArchiveError::Read)?;
    zstd.window_log_max(WINDOW_LOG).map_err(ArchiveError::Read)?;
    let mut archive = HashingReader::new(zstd);
    let manifest = manifest_entry::read(&mut archive)?;
    Ok((manifest, archive))
}

fn unpack(
    archive: Decompressed,
    place: &Path,
    form: VolumeForm,
    allowed: Allowed,
    progress: &Progress,
) -> Result<(), ArchiveError> {
    let content = content_of(place, form);
    match form {
        VolumeForm::Directory { .. } => unpack_data(archive, place, &content, allowed, progress)?,
        VolumeForm::Disk { size } => unpack_disk(archive, &content, size, allowed.meter, progress)?,
    }
    Ok(sync_file_system(place)?)
}

/// Those of the archive, and those that are given in the place of those of the same keys.
fn labels(manifest: &Manifest, options: &ImportOptions) -> Vec<Label> {
    let is_given = |label: &&Label| options.labels.iter().any(|given| given.key() == label.key());
    let kept = manifest.labels.iter().filter(|label| !is_given(label));
    kept.chain(&options.labels).cloned().collect()
}

fn allowed(manifest: &Manifest, options: &ImportOptions) -> Allowed {
    let quota = match manifest.form {
        VolumeForm::Directory { quota } => quota,
        VolumeForm::Disk { .. } => sandbox_types::Quota::NONE,
    };
    let keeps_owners = options.owners && rustix::process::geteuid().is_root();
    Allowed {
        meter: Meter::new(quota, options.limit),
        owners: if keeps_owners {
            Owners::OfArchive
        } else {
            Owners::Caller
        },
    }
}
