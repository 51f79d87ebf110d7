//! Making volumes.

use std::path::Path;

use sandbox_types::{Label, VolumeForm, VolumeName, VolumeSpec};

use super::{DATA, DISK, LocalBackend, disk, hold_now};
use crate::catalog::{NewVolume, VolumeRow, now};
use crate::crash::crash_point;
use crate::error::{VolumeError, blocking};
use crate::home::Home;
use crate::lock::Lock;
use crate::manifest::{Manifest, VERSION};
use crate::pending::{Pending, settle};
use crate::record::VolumeRecord;

impl LocalBackend {
    pub(super) async fn create_volume(&self, spec: &VolumeSpec) -> Result<VolumeRecord, VolumeError> {
        let VolumeForm::Disk { size } = spec.form() else {
            return self.create_directory(spec).await;
        };
        self.make(spec.name(), spec.form(), spec.labels(), move |place| {
            disk::provision(&place.join(DISK), size)
        })
        .await
    }

    /// Whether there is one of that name is not asked before, since making an empty directory costs no more than asking
    /// does: the catalog takes no second one.
    async fn create_directory(&self, spec: &VolumeSpec) -> Result<VolumeRecord, VolumeError> {
        let manifest = new_manifest(spec.name(), spec.form(), spec.labels());
        // One that cannot be used is told before anything is made.
        self.catalog().await?;
        let (held, pending) = {
            let (home, manifest) = (self.home.clone(), manifest.clone());
            blocking(move || {
                let held = hold_now(&home, &manifest.name)?;
                let pending = provision(&home, &manifest, make_data)?;
                Ok::<_, VolumeError>((held, pending))
            })
            .await?
        };
        self.enter(&held, &manifest, pending).await
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
        let manifest = new_manifest(name, form, labels);
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
        let Some(id) = change.add_volume(&row).await? else {
            let name = manifest.name.clone();
            return Err(VolumeError::AlreadyExists { name });
        };
        pending.keep();
        if let Err(error) = change.commit().await {
            self.decide_after(pending).await;
            return Err(error.into());
        }
        crash_point("row written");
        let place = pending.id().to_owned();
        let to = self.home.volumes().join(&place);
        blocking(move || pending.publish(&to).map(drop)).await?;
        Ok(self.record(VolumeRow {
            id,
            name: manifest.name.clone(),
            form: manifest.form,
            labels: manifest.labels.clone(),
            place,
            created: manifest.created,
            usage: None,
        }))
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
}

fn new_manifest(name: &VolumeName, form: VolumeForm, labels: &[Label]) -> Manifest {
    Manifest {
        version: VERSION,
        name: name.clone(),
        form,
        labels: labels.to_vec(),
        created: now(),
        snapshot: None,
        of: None,
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
    let manifest = manifest.create_in(pending.path()).map_err(VolumeError::from)?;
    pending.sync(manifest)?;
    Ok(pending)
}

/// An empty directory for files, which others may look into as far as they may look into the home.
pub(crate) fn make_data(place: &Path) -> Result<(), VolumeError> {
    use std::os::unix::fs::DirBuilderExt;
    let path = place.join(DATA);
    let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
    made.map_err(VolumeError::io(&path))
}
