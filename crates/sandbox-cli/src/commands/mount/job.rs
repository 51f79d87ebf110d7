//! What is served, as the process that serves it needs to know it.

use std::path::Path;
use std::sync::Arc;

use sandbox::backend::passthrough::HostWatch;
use sandbox::fs::DynFileSystem;
use sandbox::own::OwnWalls;

use crate::error::CliError;

/// A filesystem that the command line describes.
pub(super) trait Job {
    /// What the mount table calls it where nobody says otherwise.
    fn name(&self) -> String;

    /// The directories of this machine that are seen in it.
    fn shown(&self) -> Vec<&Path>;

    /// What the server needs of this machine, and no more.
    fn walls(&self) -> Result<OwnWalls, CliError>;

    /// Makes it. By now the walls stand.
    fn filesystem(&self) -> Result<Made, CliError>;
}

/// A filesystem, and what goes with it.
pub(super) struct Made {
    pub(super) fs: Arc<dyn DynFileSystem>,
    pub(super) _watch: Option<HostWatch>,
}
