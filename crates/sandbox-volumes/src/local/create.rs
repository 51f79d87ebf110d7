//! Making volumes.

use std::path::Path;

use sandbox_types::{Label, VolumeForm, VolumeName, VolumeSpec};

use super::{DATA, DISK, LocalBackend, disk};
use crate::catalog::{NewVolume, now};
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::home::Home;
use crate::lock::Lock;
use crate::manifest::{Manifest, VERSION};
use crate::pending::{Pending, settle};
use crate::record::VolumeRecord;

impl LocalBackend {
    pub(super) async fn create_volume(&self, spec: &VolumeSpec) -> Result<VolumeRecord, VolumeError> {
        let form = spec.form();
        self.make(spec.name(), form, spec.labels(), move |place| match form {
            VolumeForm::Directory { .. } => make_data(place),
            VolumeForm::Disk { size } => disk::provision(&place.join(DISK), size),
        })
        .await
    }

    /// Makes a volume of what `fill` puts into its place, and syncs.
    pub(crate) async fn make<E>(
        &self,
        name: &VolumeName,
        form: VolumeForm,
        labels: &[Label],
        fill: impl FnOnce(&Path) -> Result<(), E> + Send + 'static,
    ) -> Result<VolumeRecord, E>
    where
        E: From<VolumeError> + Send + 'static,
    {
        let held = self.hold(name).await?;
        self.refuse_existing(name).await?;
        let manifest = Manifest {
            version: VERSION,
            name: name.clone(),
            form,
            labels: labels.to_vec(),
            created: now(),
            snapshot: None,
            of: None,
        };
        let pending = {
            let (home, manifest) = (self.home.clone(), manifest.clone());
            blocking(move || provision(&home, &manifest, fill)).await?
        };
        Ok(self.enter(&held, &manifest, pending).await?)
    }

    /// Writes a place into the catalog and puts it where it belongs. The name is held.
    pub(crate) async fn enter(
        &self,
        _held: &Lock,
        manifest: &Manifest,
        mut pending: Pending,
    ) -> Result<VolumeRecord, VolumeError> {
        let catalog = self.catalog().await?;
        let change = catalog.change().await?;
        let row = NewVolume {
            name: &manifest.name,
            form: manifest.form,
            labels: &manifest.labels,
            place: pending.id(),
            created: manifest.created,
        };
        if change.add_volume(&row).await?.is_none() {
            let name = manifest.name.clone();
            return Err(VolumeError::AlreadyExists { name });
        }
        pending.keep();
        if let Err(error) = change.commit().await {
            self.decide_after(pending).await;
            return Err(error.into());
        }
        crash_point("row written");
        let to = self.home.volumes().join(pending.id());
        blocking(move || pending.publish(&to).map(drop)).await?;
        self.get_row_of(manifest).await
    }

    pub(super) async fn refuse_existing(&self, name: &VolumeName) -> Result<(), VolumeError> {
        match self.catalog().await?.volume(name).await? {
            Some(_) => Err(VolumeError::AlreadyExists { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// Whether a commit that failed has happened is known by the catalog only.
    pub(super) async fn decide_after(&self, pending: Pending) {
        drop(pending);
        let decided = match self.catalog().await {
            Ok(catalog) => settle(&self.home, &catalog).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = decided {
            tracing::warn!(%error, "what was begun is decided on with the next command");
        }
    }

    async fn get_row_of(&self, manifest: &Manifest) -> Result<VolumeRecord, VolumeError> {
        Ok(self.record(self.row(&manifest.name).await?))
    }
}

/// Makes a place with its manifest; it survives the machine when this returns, contents of files apart.
pub(crate) fn provision<E: From<VolumeError>>(
    home: &Home,
    manifest: &Manifest,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Pending, E> {
    let pending = Pending::make(home)?;
    fill(pending.path())?;
    manifest.create_in(pending.path()).map_err(VolumeError::from)?;
    pending.sync()?;
    Ok(pending)
}

/// An empty directory for files, which others may look into as far as they may look into the home.
pub(crate) fn make_data(place: &Path) -> Result<(), VolumeError> {
    use std::os::unix::fs::DirBuilderExt;
    let path = place.join(DATA);
    let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
    made.map_err(VolumeError::io(&path))
}
