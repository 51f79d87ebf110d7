//! Branches for the clones of a template that works on a branch itself.
//!
//! The layer that the template has written becomes one of all clones, and each gets a new one on top; nothing is copied.
//! The template's branch gets a new one too, so that it goes on when the template is gone. Whoever forks sees to it
//! that nothing writes to the shared layer from then on: it is mounted still.

use std::io;
use std::path::PathBuf;

use sandbox_types::{BranchName, CloneBranch, CloneBranches, CloneLayer, FrozenView};

use super::create::{Making, now};
use super::error::BranchError;
use super::handle::Branch;
use super::manifest::{self, Durability, Manifest, Mode};
use super::workspace::Workspace;

/// Branches for the clones of one template, see [`Branch::for_clones`]. They stay until they are discarded.
#[derive(Debug)]
pub struct BranchClones {
    workspace: Workspace,
    name: BranchName,
    /// Whether the clones' layers are over what the template has written.
    frozen: Option<Frozen>,
    /// The number of the next one.
    number: u64,
    places: Vec<PathBuf>,
    trees: Vec<PathBuf>,
}

/// What all clones' branches have in common.
#[derive(Debug)]
struct Frozen {
    parent: Branch,
    manifest: Manifest,
    making: Making,
}

impl Branch {
    /// Branches of this one for the clones of a template that runs on it: called `NAME-1`, `NAME-2` and so on, each over
    /// what the template has written when it is forked.
    ///
    /// # Errors
    /// [`BranchError::ModeForClones`] in another mode than `kernel`; [`BranchError::Repository`].
    pub fn for_clones(&self) -> Result<BranchClones, BranchError> {
        if self.mode() != Mode::Kernel {
            return Err(BranchError::ModeForClones {
                name: self.name().clone(),
                mode: self.mode(),
            });
        }
        let extras = self.extras()?;
        let workspace = self.workspace();
        let mut places = vec![workspace.base().to_owned()];
        places.extend(extras.iter().cloned());
        let mut trees = vec![workspace.storage().to_owned(), workspace.base().to_owned()];
        trees.extend(extras);
        Ok(BranchClones {
            workspace: workspace.clone(),
            name: self.name().clone(),
            frozen: None,
            number: 1,
            places,
            trees,
        })
    }

    /// Gives it a new topmost layer, under which what it has is never written again; the manifest of a branch that is
    /// made of it from now on, but for that branch's own topmost layer.
    fn freeze(&self) -> Result<Frozen, BranchError> {
        let workspace = self.workspace();
        let _making = workspace.making()?;
        let _lock = workspace.lock()?;
        let parent = workspace.get(self.name())?;
        parent.check_settled()?;
        let making = workspace.making_over(&parent)?;
        let mut manifest = parent.manifest().clone();
        manifest.parent = Some(parent.name().clone());
        manifest.last_run = None;
        let mut parents = parent.manifest().clone();
        let (id, _) = making.layer()?;
        parents.layers.insert(0, id);
        parent.top().settle_parts(&parents.extras)?;
        manifest::store(&parent.file(), &parents, Durability::Machine)?;
        Ok(Frozen {
            parent: workspace.get(self.name())?,
            manifest,
            making,
        })
    }
}

impl BranchClones {
    /// The branch that the template works on.
    pub fn name(&self) -> &BranchName {
        &self.name
    }

    /// The workspace.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    fn make_all(&mut self, count: u32) -> Result<Vec<CloneBranch>, BranchError> {
        let Some(frozen) = &self.frozen else {
            return Err(BranchError::NotFrozen {
                name: self.name.clone(),
            });
        };
        let _making = self.workspace.making()?;
        let ours = frozen.parent.ours()?;
        let mut made = Vec::new();
        for _ in 0..count {
            let one = loop {
                let name: BranchName = format!("{}-{}", self.name, self.number).parse()?;
                self.number += 1;
                match frozen.make(&self.workspace, name) {
                    Err(BranchError::Exists { .. }) => {}
                    result => break result,
                }
            };
            let one = one.and_then(|(branch, clone)| {
                if !ours.is_empty() {
                    branch.remember_ours(ours.clone())?;
                }
                branch.inherit_texts(&frozen.parent)?;
                Ok(clone)
            });
            match one {
                Ok(clone) => made.push(clone),
                Err(error) => {
                    let made: Vec<_> = made.into_iter().map(|clone| clone.name).collect();
                    self.forget(&made);
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    fn forget(&self, names: &[BranchName]) {
        if let Err(error) = self.workspace.discard_all(names) {
            tracing::warn!(branch = %self.name, %error, "branches of clones are left behind");
        }
    }
}

impl Frozen {
    fn make(&self, workspace: &Workspace, name: BranchName) -> Result<(Branch, CloneBranch), BranchError> {
        let (id, layer) = self.making.layer()?;
        let mut manifest = self.manifest.clone();
        manifest.created = now();
        manifest.layers.insert(0, id);
        let branch = workspace.adopt(&name, manifest).inspect_err(|_| {
            if let Err(error) = layer.remove() {
                tracing::warn!(path = %layer.path().display(), %error, "left behind");
            }
        })?;
        branch.mark_used()?;
        let parts = branch.parts().map(|part| layer.part(part));
        let layers = parts.map(|part| CloneLayer {
            upper: part.upper(),
            work: part.work(),
        });
        let clone = CloneBranch {
            lock: branch.lock_file(),
            layers: layers.collect(),
            name,
        };
        Ok((branch, clone))
    }
}

impl CloneBranches for BranchClones {
    fn places(&self) -> Vec<PathBuf> {
        self.places.clone()
    }

    fn trees(&self) -> Vec<PathBuf> {
        self.trees.clone()
    }

    fn freeze(&mut self) -> io::Result<Vec<FrozenView>> {
        let branch = self.workspace.get(&self.name).map_err(io::Error::other)?;
        let frozen = branch.freeze().map_err(io::Error::other)?;
        let lowers = |part| {
            let layers = frozen.manifest.layers.iter();
            let mut lowers: Vec<_> = layers.map(|id| branch.layer(id).part(part).upper()).collect();
            lowers.push(branch.base_of(part));
            lowers
        };
        let views = self
            .places
            .iter()
            .zip(branch.parts())
            .map(|(at, part)| FrozenView {
                at: at.clone(),
                lowers: lowers(part),
            });
        let views = views.collect();
        self.frozen = Some(frozen);
        Ok(views)
    }

    fn make(&mut self, count: u32) -> io::Result<Vec<CloneBranch>> {
        self.make_all(count).map_err(io::Error::other)
    }

    fn discard(&mut self, branches: Vec<BranchName>) {
        self.forget(&branches);
    }
}

#[cfg(test)]
mod tests {
    use sandbox_types::RelPath;

    use super::super::place::Storage;
    use super::*;

    fn name(text: &str) -> BranchName {
        text.parse().unwrap()
    }

    #[test]
    fn branches_of_clones_lie_over_what_the_template_has_written_and_leave_its_branch_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let base = place.path().join("app");
        std::fs::create_dir(&base).unwrap();
        std::fs::write(base.join("old"), "").unwrap();
        let workspace = Workspace::open_in(&base, &Storage::At(place.path().join("state"))).unwrap();
        let branch = workspace.branch("base").unwrap();
        if branch.mode() != Mode::Kernel {
            // Where the kernel makes no overlay there is nothing to be mounted for a clone.
            assert!(matches!(
                branch.for_clones(),
                Err(BranchError::ModeForClones { .. })
            ));
            return;
        }
        std::fs::write(branch.top().part(None).upper().join("loaded"), "by the template").unwrap();
        let mut clones = branch.for_clones().unwrap();
        assert!(clones.make(1).is_err(), "nothing is frozen yet");
        let views = clones.freeze().unwrap();
        assert_eq!((views.len(), views[0].at.as_path()), (1, workspace.base()));
        let made = clones.make(3).unwrap();
        let names: Vec<_> = made.iter().map(|clone| clone.name.as_str()).collect();
        assert_eq!(names, ["base-1", "base-2", "base-3"]);
        std::fs::write(made[1].layers[0].upper.join("own"), "by a clone").unwrap();
        std::fs::write(
            workspace
                .get(&name("base"))
                .unwrap()
                .top()
                .part(None)
                .upper()
                .join("later"),
            "",
        )
        .unwrap();
        let seen = |branch: &str| {
            let stack = workspace.get(&name(branch)).unwrap().stack().unwrap();
            let is_there = |path: &&str| stack.find(&RelPath::new(path).unwrap()).unwrap().is_some();
            ["old", "loaded", "own", "later"]
                .into_iter()
                .filter(is_there)
                .collect::<Vec<_>>()
        };
        assert_eq!(seen("base"), ["old", "loaded", "later"]);
        assert_eq!(seen("base-1"), ["old", "loaded"]);
        assert_eq!(seen("base-2"), ["old", "loaded", "own"]);
        clones.discard(vec![name("base-1"), name("base-3")]);
        assert_eq!(workspace.names().unwrap(), [name("base"), name("base-2")]);
        assert_eq!(seen("base-2"), ["old", "loaded", "own"]);
        assert_eq!(clones.make(1).unwrap()[0].name, name("base-4"));
    }
}
