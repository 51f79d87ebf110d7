//! The directory that holds everything: which one it is, whether it will do, and what is where in it.
//!
//! ```text
//! catalog.db, -wal, -shm     the catalog; catalog.lock while it is opened (shared), made or mended
//! catalog.reserve            room, so that something can be removed when the disk is full
//! volumes/ID/                one volume: volume.json, and data/ or disk.raw
//! volumes/.snapshots/ID/     one snapshot, made alike
//! volumes/.pending/ID/       what is being made or removed: the catalog decides which (see `pending`)
//! volumes/.locks/NAME.lock   held by whoever changes what a name means
//! volumes/.run/ID            held by whoever has volumes attached
//! volumes/.mounts/ID/PLACE   where whoever has volumes attached mounts those that have to be mounted
//! ```

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sandbox_types::VolumeName;

/// File systems on which neither locks nor shared memory can be relied on, by their number in statfs(2).
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Why a directory cannot hold volumes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// Nothing says where it is.
    #[error("no directory for volumes: none of SANDBOX_HOME, XDG_STATE_HOME and HOME is an absolute path")]
    Nowhere,
    /// It is on a file system of another machine.
    #[error("{path} is on {kind}, where neither locks nor the catalog can be relied on", path = path.display())]
    Remote {
        /// The directory.
        path: PathBuf,
        /// What kind of file system that is.
        kind: &'static str,
    },
    /// Its path is no text, which SQLite needs.
    #[error("{path} is no text in UTF-8, which the catalog needs", path = path.display())]
    NotUtf8 {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("{path} cannot be written: {source}", path = path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
        /// What was refused.
        #[source]
        source: io::Error,
    },
    /// It cannot be made or looked at.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl HomeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nowhere => Some("set SANDBOX_HOME to a directory of your own"),
            Self::Remote { .. } => Some("set SANDBOX_HOME to a directory on a local disk"),
            Self::NotUtf8 { .. } => Some("set SANDBOX_HOME to a directory with another name"),
            Self::ReadOnly { .. } => Some("set SANDBOX_HOME to a directory that you may write"),
            Self::Io { .. } => None,
        }
    }
}

/// The state directory: `$SANDBOX_HOME`, `$XDG_STATE_HOME/sandbox` or `~/.local/state/sandbox`; the same that has
/// the branches.
pub fn default_home() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("SANDBOX_HOME")
        .or_else(|| variable("XDG_STATE_HOME").map(|path| path.join("sandbox")))
        .or_else(|| variable("HOME").map(|path| path.join(".local/state/sandbox")))
}

/// How a file system is told by the directory that is on it; a test says something else.
pub(crate) type FileSystemOf = fn(&Path) -> io::Result<u64>;

/// What statfs(2) says.
pub(crate) fn file_system_of(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statfs(path)?;
    // The type of the number differs between architectures; its low half is what is meant.
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "see above"
    )]
    let number = u64::from(found.f_type as u32);
    Ok(number)
}

/// Where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Makes what is missing, for nobody but its owner.
    pub(crate) fn open(path: &Path, file_system_of: FileSystemOf) -> Result<Self, HomeError> {
        let path = std::path::absolute(path).map_err(at(path))?;
        if path.to_str().is_none() {
            return Err(HomeError::NotUtf8 { path });
        }
        make_private(&path)?;
        let number = file_system_of(&path).map_err(at(&path))?;
        if let Some((_, kind)) = REMOTE.iter().find(|(remote, _)| *remote == number) {
            return Err(HomeError::Remote { path, kind });
        }
        let home = Self(path);
        for directory in [
            home.snapshots(),
            home.pending(),
            home.locks(),
            home.run(),
            home.mounts(),
        ] {
            make_private(&directory)?;
        }
        home.check_writable()?;
        Ok(home)
    }

    fn check_writable(&self) -> Result<(), HomeError> {
        use rustix::fs::{Access, AtFlags, CWD};
        let pending = self.pending();
        rustix::fs::accessat(
            CWD,
            &pending,
            Access::WRITE_OK | Access::EXEC_OK,
            AtFlags::EACCESS,
        )
        .map_err(|errno| refused(&pending)(errno.into()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.0.join("catalog.db")
    }

    pub(crate) fn catalog_lock(&self) -> PathBuf {
        self.0.join("catalog.lock")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.0.join("catalog.reserve")
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.0.join("volumes")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.volumes().join(".snapshots")
    }

    pub(crate) fn pending(&self) -> PathBuf {
        self.volumes().join(".pending")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.volumes().join(".run")
    }

    pub(crate) fn mounts(&self) -> PathBuf {
        self.volumes().join(".mounts")
    }

    fn locks(&self) -> PathBuf {
        self.volumes().join(".locks")
    }

    pub(crate) fn name_lock(&self, name: &VolumeName) -> PathBuf {
        self.locks().join(format!("{name}.lock"))
    }
}

fn make_private(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(refused(path))
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            HomeError::ReadOnly { path, source }
        }
        _ => HomeError::Io { path, source },
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    let path = path.to_owned();
    move |source| HomeError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_on_another_machine_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        for (number, kind) in REMOTE {
            let path = place.path().join(format!("{number:x}"));
            // A function has no surroundings: the number is the directory's name.
            let said: FileSystemOf = |path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                Ok(u64::from_str_radix(name, 16).unwrap())
            };
            match Home::open(&path, said).unwrap_err() {
                HomeError::Remote { kind: found, .. } => assert_eq!(found, *kind),
                other => panic!("{other}"),
            }
        }
        assert!(Home::open(place.path(), file_system_of).is_ok());
    }

    #[test]
    fn a_home_that_is_a_file_is_an_error_that_names_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, "").unwrap();
        let error = Home::open(&path, file_system_of).unwrap_err();
        assert!(
            error.to_string().starts_with(&path.display().to_string()),
            "{error}"
        );
    }
}
