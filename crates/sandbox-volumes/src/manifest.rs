//! `volume.json`: what the catalog says of a volume, kept with the volume, so that a catalog can be made anew.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sandbox_types::{InvalidVolume, Label, VolumeForm, VolumeName, VolumeSpec, VolumeSpecBuilder};
use serde::{Deserialize, Serialize};

use crate::catalog::VolumeRow;

/// The version of the files this build writes. An older one is read, a newer one is refused.
pub(crate) const VERSION: u32 = 1;
/// How large one may be.
const LARGEST: u64 = 1 << 20;

/// The file of a volume, and of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) name: VolumeName,
    #[serde(flatten)]
    pub(crate) form: VolumeForm,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<Label>,
    /// In microseconds since the epoch.
    pub(crate) created: i64,
    /// What the snapshot is called, of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<VolumeName>,
    /// Which directory the snapshot was taken of, of a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<String>,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {source}", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
    /// It says what no volume is.
    #[error("{path}: {source}", path = path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// All that is wrong.
        #[source]
        source: InvalidVolume,
    },
    /// A later version has written it.
    #[error("{path} is of version {version}, and this program knows {VERSION} at most", path = path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl ManifestError {
    /// Whether there is none, or one that was being written: of a volume that was never in a catalog, or is in none any more.
    pub(crate) fn is_of_nothing_whole(&self) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};
        match self {
            Self::Io { source, .. } => matches!(source.kind(), NotFound | NotADirectory),
            Self::Damaged { .. } => true,
            Self::Invalid { .. } | Self::Newer { .. } => false,
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Where it is in a volume's directory.
pub(crate) fn path_in(directory: &Path) -> PathBuf {
    directory.join("volume.json")
}

impl Manifest {
    /// What the catalog says of a volume.
    pub(crate) fn of(row: &VolumeRow) -> Self {
        Self {
            version: VERSION,
            name: row.name.clone(),
            form: row.form,
            labels: row.labels.clone(),
            created: row.created,
            snapshot: None,
            of: None,
        }
    }

    /// Reads the manifest of the volume in `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self, ManifestError> {
        let path = path_in(directory);
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(ManifestError::io(&path))?;
        io::Read::read_to_end(&mut io::Read::take(file, LARGEST), &mut bytes)
            .map_err(ManifestError::io(&path))?;
        Self::parse(&bytes, &path)
    }

    /// Reads one; `path` is what errors call it.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |source| ManifestError::Damaged {
            path: path.to_owned(),
            source,
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(ManifestError::Newer {
                path: path.to_owned(),
                version,
            });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        manifest.check().map_err(|source| ManifestError::Invalid {
            path: path.to_owned(),
            source,
        })?;
        Ok(manifest)
    }

    /// Anybody may have written it: what nobody could ask for is not believed.
    fn check(&self) -> Result<(), InvalidVolume> {
        let asked = VolumeSpec::builder(self.name.as_str());
        let asked = match self.form {
            VolumeForm::Disk { size } => asked.disk().size(size),
            VolumeForm::Directory { quota } => {
                let asked = quota.bytes.into_iter().fold(asked, VolumeSpecBuilder::quota);
                quota.inodes.into_iter().fold(asked, VolumeSpecBuilder::inodes)
            }
        };
        let labels = self.labels.iter();
        let asked = labels.fold(asked, |asked, label| asked.label(label.key(), label.value()));
        asked.build().map(drop)
    }

    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Writes it into a directory that nobody else knows yet. What is given back is still to be synced.
    pub(crate) fn create_in(&self, directory: &Path) -> Result<File, ManifestError> {
        let path = path_in(directory);
        let write = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&self.to_bytes()?)?;
            Ok(file)
        };
        write().map_err(ManifestError::io(&path))
    }

    /// Replaces the one that is there, in one step.
    pub(crate) fn replace_in(&self, directory: &Path) -> Result<(), ManifestError> {
        let path = path_in(directory);
        // Only who holds the volume's name does this, so there is one at a time.
        let temporary = directory.join("volume.json.new");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&self.to_bytes()?)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(ManifestError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_of_this_version_are_read_and_later_ones_refused() {
        let place = tempfile::tempdir().unwrap();
        let text = r#"{"version":1,"name":"n","kind":"directory","quota":{"bytes":"1MiB"},"labels":["a=b"],"created":5}"#;
        std::fs::write(path_in(place.path()), text).unwrap();
        let manifest = Manifest::load(place.path()).unwrap();
        assert_eq!(manifest.labels[0].value(), "b");
        manifest.replace_in(place.path()).unwrap();
        assert_eq!(Manifest::load(place.path()).unwrap(), manifest);
        std::fs::write(path_in(place.path()), r#"{"version":2,"shape":"round"}"#).unwrap();
        let error = Manifest::load(place.path()).unwrap_err();
        assert!(
            matches!(error, ManifestError::Newer { version: 2, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_that_says_what_no_volume_is_is_refused() {
        for (rest, why) in [
            (r#""kind":"disk","size":"5B""#, "1MiB"),
            (r#""kind":"disk","size":"7EiB""#, "7EiB"),
            (r#""kind":"directory","quota":{"bytes":"0B"}"#, "0 bytes"),
            (
                r#""kind":"directory","quota":{"inodes":18446744073709551615}"#,
                "18446744073709551615",
            ),
            (r#""kind":"directory","labels":["a=1","a=2"]"#, "twice"),
        ] {
            let text = format!(r#"{{"version":1,"name":"n","created":5,{rest}}}"#);
            let error = Manifest::parse(text.as_bytes(), Path::new("x")).unwrap_err();
            let is_refused = matches!(error, ManifestError::Invalid { .. });
            assert!(is_refused && error.to_string().contains(why), "{error}");
        }
    }
}
