//! A branch to an archive, and an archive to a branch.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use sandbox_types::BranchName;

use super::archive::{
    self, About, ArchiveManifest, ExportError, Format, ImportError, Limits, Over, Part, Role,
};
use super::create::now;
use super::error::BranchError;
use super::handle::Branch;
use super::kept::Which;
use super::layer::{self, LayerDir, Look, Model};
use super::manifest::{Manifest, Mode, VERSION};
use super::moved::DirectoryId;
use super::node::Timestamp;
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
    pub skipped: Vec<PathBuf>,
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
        self.complete_links()?;
        let about = About {
            branch: self.name(),
            created: self.created(),
            over: DirectoryId::of(self.workspace().base()).map(|workspace| Over {
                workspace,
                birth: self.manifest().birth,
            }),
        };
        // Files are had also where the git directory is another one now.
        let extras = self.extras().unwrap_or_else(|error| {
            tracing::warn!(%error, "what git has outside is left out");
            Vec::new()
        });
        let stacks = std::iter::once(None)
            .chain((0..extras.len()).map(Some))
            .map(|extra| self.stack_of(extra))
            .collect::<Result<Vec<_>, _>>()?;
        // Elsewhere it is known by them what the branch was made over.
        if let Err(error) = self.keep_texts(Which::OrDeleted) {
            tracing::warn!(%error, "texts are left out");
        }
        let base = self.workspace().base();
        let texts = self.texts_over(base)?;
        let bases = std::iter::once(self.workspace().base()).chain(extras.iter().map(PathBuf::as_path));
        let part = |role| move |(stack, base)| Part { stack, base, role };
        let texts = texts.iter().map(|texts| (texts, base));
        let parts = stacks.iter().zip(bases).map(part(Role::Layer));
        let parts: Vec<_> = parts.chain(texts.map(part(Role::Texts))).collect();
        let report = archive::export(&parts, &about, out, progress)?;
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
    /// The archive may come from anybody: what is hostile in it is an error, and nothing is left then. What has
    /// changed in the base since the branch was made is a conflict; over another directory than it was made over, so
    /// is all that it changes there, but for texts that are what they were when it was exported.
    ///
    /// # Errors
    /// [`CarryError::Import`]; [`BranchError::Exists`].
    pub fn import(
        &self,
        name: Option<&BranchName>,
        input: &mut dyn Read,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Branch, CarryError> {
        let _making = self.making()?;
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
        let problem = || BranchError::io("make", dir.path());
        let mut manifest = self.blank(id, dir)?;
        let texts = dir.path().join("texts");
        let place = |archived: &ArchiveManifest| -> Result<Vec<PathBuf>, CarryError> {
            let (archived, with_texts) = match archived.parts.split_last() {
                Some((last, layers)) if last.role == Role::Texts && !layers.is_empty() => (layers, true),
                _ => (&*archived.parts, false),
            };
            let texts = with_texts.then(|| texts.clone());
            texts.iter().try_for_each(fs::create_dir).map_err(problem())?;
            let is_copy = archived.iter().any(|part| part.format == Format::Complete);
            if is_copy {
                manifest.mode = Mode::Copy;
                manifest.extras.clear();
                fs::create_dir(dir.part(None).tree()).map_err(problem())?;
                let beside = (1..archived.len()).map(|number| unused(dir, number));
                let beside = beside.collect::<Result<Vec<_>, _>>()?;
                let places = std::iter::once(dir.part(None).tree()).chain(beside);
                return Ok(places.chain(texts).collect());
            }
            let look = |like| Look::of(&Model::Plain(like)).map_err(problem());
            dir.part(None)
                .create_overlay(&look(self.base())?)
                .map_err(problem())?;
            let mut places = vec![dir.part(None).upper()];
            for (index, extra) in manifest.extras.iter().enumerate() {
                let part = dir.part(Some(index));
                part.create_overlay(&look(extra)?).map_err(problem())?;
                places.push(part.upper());
            }
            // What this workspace has no place for stays in the layer, and shows nowhere.
            for number in places.len()..archived.len() {
                places.push(unused(dir, number)?);
            }
            places.truncate(archived.len());
            places.extend(texts);
            Ok(places)
        };
        let imported = archive::import(input, &Limits::default(), place, progress)?;
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
        manifest.notes.extend(notes);
        manifest.birth = self.birth_of(imported.manifest.over, manifest.birth);
        let branch = self.adopt(name.unwrap_or(&imported.manifest.branch), manifest)?;
        if texts.is_dir() {
            branch.take_texts(&texts)?;
        }
        Ok(branch)
    }

    /// Since when what others do to the base is in the way of a branch that was made `over` a workspace. Of another one
    /// it is not known what the branch was made over: whatever is there was put there by somebody else.
    fn birth_of(&self, over: Option<Over>, now: Timestamp) -> Timestamp {
        let is_same = |over: &Over| DirectoryId::of(self.base()) == Some(over.workspace);
        over.filter(is_same)
            .map_or((i64::MIN, 0), |over| over.birth.min(now))
    }

    /// The manifest of a branch of the workspace as it is, with nothing on it.
    fn blank(&self, id: String, dir: &LayerDir) -> Result<Manifest, BranchError> {
        let mut manifest = Manifest {
            version: VERSION,
            mode: self.layered_mode(),
            layers: vec![id],
            parent: None,
            snapshot: None,
            workspace: DirectoryId::of(self.base()),
            birth: layer::birth(self.base(), dir.path()).map_err(BranchError::io("stamp", dir.path()))?,
            copied_at: None,
            created: now(),
            extras: Vec::new(),
            visible: Vec::new(),
            environment: Vec::new(),
            last_run: None,
            notes: Vec::new(),
        };
        self.find_repository(&mut manifest);
        Ok(manifest)
    }
}

/// A place for a part of an archive that this workspace has none for.
fn unused(dir: &LayerDir, number: usize) -> Result<PathBuf, CarryError> {
    let place = dir.path().join(format!("unused-{number}"));
    fs::create_dir(&place).map_err(BranchError::io("make", &place))?;
    Ok(place)
}
