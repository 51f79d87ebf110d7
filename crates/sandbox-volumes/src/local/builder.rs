//! Building a backend.

use std::path::PathBuf;
use std::sync::Arc;

use super::LocalBackend;
use crate::error::{VolumeError, blocking};
use crate::home::{FileSystemOf, Home, HomeError, default_home, file_system_of};

/// A backend under construction.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct LocalBackendBuilder {
    home: Option<PathBuf>,
    file_system_of: FileSystemOf,
}

impl Default for LocalBackendBuilder {
    fn default() -> Self {
        Self {
            home: None,
            file_system_of,
        }
    }
}

impl LocalBackendBuilder {
    /// The directory that holds everything; it is made when it is not there. By default it is found as
    /// [`default_backend`](crate::default_backend) does.
    pub fn home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// One that is told what file system it is on.
    #[cfg(test)]
    pub(crate) fn on_file_system(home: impl Into<PathBuf>, file_system_of: FileSystemOf) -> Self {
        Self {
            home: Some(home.into()),
            file_system_of,
        }
    }

    /// The backend. Its catalog is opened when it is first needed.
    ///
    /// # Errors
    /// Where the directory cannot be made or written, or is on a file system of another machine.
    pub async fn build(self) -> Result<LocalBackend, VolumeError> {
        let path = self.home.or_else(default_home).ok_or(HomeError::Nowhere)?;
        let file_system_of = self.file_system_of;
        let home = blocking(move || Home::open(&path, file_system_of).map_err(VolumeError::from)).await?;
        Ok(LocalBackend {
            home,
            opened: Arc::default(),
        })
    }
}
