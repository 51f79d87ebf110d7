//! A branch to an archive, and an archive to a branch.

use std::fs;
use std::io::{Read, Write};

use sandbox_types::{BranchName, RelPath};

use super::archive::{self, About, ExportError, Format, ImportError, Limits};
use super::create::now;
use super::error::BranchError;
use super::handle::Branch;
use super::layer::{self, LayerDir};
use super::manifest::{Manifest, Mode, VERSION};
use super::node::Meta;
use super::progress::Progress;
use super::workspace::Workspace;

/// Why a branch did not become an archive, or an archive no branch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// The branch itself.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// The archive cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The archive cannot be read, or is refused.
    #[error(transparent)]
    Import(#[from] ImportError),
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes that its files hold.
    pub bytes: u64,
    /// Sockets and devices, which an archive cannot have.
    pub skipped: Vec<RelPath>,
}

impl Branch {
    /// Writes it as a tar archive, with its manifest first. Layers are flattened to one.
    ///
    /// # Errors
    /// [`BranchError::InUse`]; `out` cannot be written.
    pub fn export(
        &self,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Exported, CarryError> {
        let _held = self.hold()?;
        let about = About {
            branch: self.name(),
            created: self.created(),
        };
        let report = archive::export(&self.stack()?, &about, out, progress)?;
        Ok(Exported {
            entries: report.entries,
            bytes: report.bytes,
            skipped: report.skipped,
        })
    }
}

impl Workspace {
    /// Makes a branch from an archive; without `name` it is called as it was.
    ///
    /// The archive may come from anybody: what is hostile in it is an error, and nothing is left then. It is over the
    /// base as it is now.
    ///
    /// # Errors
    /// [`CarryError::Import`]; [`BranchError::Exists`].
    pub fn import(
        &self,
        name: Option<&BranchName>,
        input: &mut dyn Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Branch, CarryError> {
        self.establish()?;
        let layers = self.places().layers();
        let (id, dir) = LayerDir::create(&layers).map_err(BranchError::io("make a directory in", &layers))?;
        let made = self.unpack(name, input, progress, &dir, id);
        if made.is_err()
            && let Err(error) = dir.remove()
        {
            tracing::warn!(path = %dir.path().display(), %error, "left behind");
        }
        made
    }

    fn unpack(
        &self,
        name: Option<&BranchName>,
        input: &mut dyn Read,
        progress: &mut dyn FnMut(Progress),
        dir: &LayerDir,
        id: String,
    ) -> Result<Branch, CarryError> {
        let incoming = dir.path().join("incoming");
        let problem = || BranchError::io("make", dir.path());
        fs::create_dir(&incoming).map_err(problem())?;
        let imported = archive::import(input, &incoming, &Limits::default(), progress)?;
        let part = dir.part(None);
        let mode = match imported.manifest.format {
            Format::Complete => Mode::Copy,
            Format::Overlay => Mode::Kernel,
        };
        match mode {
            Mode::Copy => fs::rename(&incoming, part.tree()).map_err(problem())?,
            Mode::Kernel => {
                let base = Meta::of_path(self.base()).map_err(BranchError::io("look at", self.base()))?;
                part.create_overlay(&base).map_err(problem())?;
                // It takes the place of the empty one.
                fs::rename(&incoming, part.upper()).map_err(problem())?;
            }
        }
        let mut notes = Vec::new();
        if imported.other_owners > 0 {
            notes.push(format!(
                "{} owners are not those of the archive",
                imported.other_owners
            ));
        }
        if !imported.refused.is_empty() {
            notes.push(format!(
                "{} extended attributes could not be set",
                imported.refused.len()
            ));
        }
        let manifest = Manifest {
            version: VERSION,
            mode,
            layers: vec![id],
            parent: None,
            snapshot: None,
            birth: layer::stamp(dir.path()).map_err(BranchError::io("stamp", dir.path()))?,
            copied_at: None,
            created: now(),
            extras: Vec::new(),
            visible: Vec::new(),
            environment: Vec::new(),
            last_run: None,
            notes,
        };
        Ok(self.adopt(name.unwrap_or(&imported.manifest.branch), manifest)?)
    }
}
