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
    /// [`BranchError::NotFound`], [`BranchError::InUse`], [`BranchError::Discarded`]; or one of them could not be removed
    /// to its end, which [`Workspace::collect_garbage`] does.
    pub fn discard_all(&self, names: &[BranchName]) -> Result<(), BranchError> {
        let branches = names
            .iter()
            .map(|name| self.get(name))
            .collect::<Result<Vec<_>, _>>()?;
        let _held = branches.iter().map(Branch::hold).collect::<Result<Vec<_>, _>>()?;
        // One that was found may have been discarded, and another made, before its lock was held.
        let branches = branches
            .iter()
            .map(Branch::current)
            .collect::<Result<Vec<_>, _>>()?;
        let (unused, gone) = {
            let _lock = self.lock()?;
            let mut gone = Vec::with_capacity(branches.len());
            for branch in &branches {
                let directory = branch.directory();
                // Its own layer is nobody else's, so that the name is free.
                let layer = branch.manifest().layers.first().map_or("", String::as_str);
                let name = format!(".{}.gone-{layer}", branch.name());
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::super::create::CreateOptions;
    use super::super::place::Storage;
    use super::*;

    fn workspace(place: &tempfile::TempDir) -> Workspace {
        let base = place.path().join("app");
        fs::create_dir(&base).unwrap();
        fs::write(base.join("old"), "").unwrap();
        Workspace::open_in(&base, &Storage::At(place.path().join("state"))).unwrap()
    }

    #[test]
    fn a_branch_that_was_discarded_under_a_handle_says_so_whatever_is_done_with_it() {
        let place = tempfile::tempdir().unwrap();
        let workspace = workspace(&place);
        let mut gone = workspace.branch("x").unwrap();
        let replaced = workspace.branch("y").unwrap();
        for branch in [&gone, &replaced] {
            branch.clone().discard().unwrap();
        }
        let made_anew = workspace.branch("y").unwrap();
        let is_discarded = |result: Result<(), BranchError>| matches!(result, Err(BranchError::Discarded { name }) if name.as_str() == "x");
        assert!(is_discarded(gone.in_use().map(drop)));
        assert!(is_discarded(gone.mounts().map(drop)));
        assert!(is_discarded(gone.settle(None)));
        assert!(is_discarded(gone.rename(&"z".parse().unwrap())));
        assert!(matches!(gone.discard(), Err(BranchError::NotFound { .. })));
        // The one that has its name now is another one.
        let error = replaced.mounts().unwrap_err();
        assert!(matches!(error, BranchError::Discarded { .. }), "{error}");
        assert!(error.hint().is_some());
        made_anew.mounts().unwrap();
    }

    #[test]
    fn a_lock_that_went_with_a_branch_is_none_of_the_next_one_of_that_name() {
        let place = tempfile::tempdir().unwrap();
        let workspace = workspace(&place);
        let branch = workspace.branch("x").unwrap();
        let held = branch.hold().unwrap();
        let path = branch.lock_file();
        assert!(held.is_at(&path).unwrap());
        fs::rename(branch.directory(), place.path().join("gone")).unwrap();
        assert!(!held.is_at(&path).unwrap());
        workspace.branch("x").unwrap();
        assert!(!held.is_at(&path).unwrap());
    }

    #[test]
    fn whoever_makes_uses_and_discards_one_name_at_once_is_told_what_the_others_did() {
        const EACH: usize = 40;
        let place = tempfile::tempdir().unwrap();
        let workspace = workspace(&place);
        let name: BranchName = "x".parse().unwrap();
        let from = CreateOptions {
            from: Some(name.clone()),
            ..CreateOptions::default()
        };
        let start = Barrier::new(4);
        let tried = |what: &(dyn Fn(usize) -> Result<(), BranchError> + Sync)| {
            start.wait();
            (0..EACH)
                .filter_map(|number| what(number).err())
                .collect::<Vec<_>>()
        };
        let errors = thread::scope(|scope| {
            let make = scope
                .spawn(|| tried(&|_| workspace.branch("x").and_then(|branch| branch.mounts().map(drop))));
            let drop_it = scope.spawn(|| tried(&|_| workspace.discard_all(std::slice::from_ref(&name))));
            let drop_too = scope.spawn(|| {
                tried(&|_| {
                    workspace.list().map(drop)?;
                    workspace.get(&name)?.discard()
                })
            });
            let on_top = scope.spawn(|| {
                tried(&|number| {
                    workspace
                        .create(&format!("on-{number}").parse()?, &from)
                        .map(drop)
                })
            });
            let threads = [make, drop_it, drop_too, on_top];
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        });
        for error in errors {
            let is_told = matches!(
                error,
                BranchError::NotFound { .. }
                    | BranchError::InUse { .. }
                    | BranchError::Exists { .. }
                    | BranchError::Discarded { .. }
            );
            assert!(is_told, "{error:?}");
        }
        // Nothing of what was discarded is left, and what was made of it is whole.
        for branch in workspace.list().unwrap() {
            let branch = branch.unwrap();
            branch.stack().unwrap();
            branch.discard().unwrap();
        }
        assert_eq!(fs::read_dir(workspace.places().branches()).unwrap().count(), 0);
    }
}
