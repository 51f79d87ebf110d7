//! Dropping branches with all that they have changed.

use std::fs;

use sandbox_types::BranchName;

use super::error::BranchError;
use super::handle::Branch;
use super::layer::LayerDir;
use super::remove::remove_tree;
use super::workspace::Workspace;

impl Branch {
    /// Removes it with everything it has changed. The base is not touched.
    ///
    /// # Errors
    /// [`BranchError::InUse`].
    pub fn discard(self) -> Result<(), BranchError> {
        self.workspace().discard_all(std::slice::from_ref(self.name()))
    }
}

impl Workspace {
    /// Removes branches with everything they have changed; what others need stays. Either all of them are free, or none
    /// is removed.
    ///
    /// # Errors
    /// [`BranchError::NotFound`], [`BranchError::InUse`]; or one of them could not be removed to its end, which
    /// [`Workspace::collect_garbage`] does.
    pub fn discard_all(&self, names: &[BranchName]) -> Result<(), BranchError> {
        let branches = names
            .iter()
            .map(|name| self.get(name))
            .collect::<Result<Vec<_>, _>>()?;
        let _held = branches.iter().map(Branch::hold).collect::<Result<Vec<_>, _>>()?;
        let (unused, gone) = {
            let _lock = self.lock()?;
            let mut gone = Vec::with_capacity(branches.len());
            for branch in &branches {
                let directory = branch.directory();
                let name = format!(".{}.gone-{}", branch.name(), std::process::id());
                let place = self.places().branches().join(name);
                fs::rename(&directory, &place).map_err(BranchError::io("remove", &directory))?;
                gone.push(place);
            }
            // Where another branch cannot be read, what it shares is not known: the layers stay for `gc`.
            let unused = self.layers_of_only(&branches).unwrap_or_else(|error| {
                tracing::warn!(workspace = %self.base().display(), %error, "layers are left behind");
                Vec::new()
            });
            (unused, gone)
        };
        for layer in unused {
            layer.remove().map_err(BranchError::io("remove", layer.path()))?;
        }
        gone.iter()
            .try_for_each(|place| remove_tree(place).map_err(BranchError::io("remove", place)))
    }

    /// Layers of these branches, which are not listed any more, that no other one has.
    fn layers_of_only(&self, branches: &[Branch]) -> Result<Vec<LayerDir>, BranchError> {
        let ids = |branch: &Branch| {
            let manifest = branch.manifest();
            let ids = manifest.layers.iter().chain(&manifest.snapshot);
            ids.cloned().collect::<Vec<_>>()
        };
        let mut shared = std::collections::BTreeSet::new();
        for name in self.names()? {
            shared.extend(ids(&self.get(&name)?));
        }
        let own: std::collections::BTreeSet<_> = branches.iter().flat_map(ids).collect();
        let layers = self.places().layers();
        Ok(own
            .difference(&shared)
            .map(|id| LayerDir::new(&layers, id))
            .collect())
    }
}
