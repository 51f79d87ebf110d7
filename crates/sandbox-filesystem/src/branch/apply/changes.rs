//! From selected changes of a branch to a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use sandbox_types::{Change, ChangeKind, NodeKind, RelPath};

use super::super::beneath::{Root, names};
use super::super::copy::Attributes;
use super::super::node::Meta;
use super::super::raw::Bytes;
use super::super::stack::{Found, Origin, Stack};
use super::super::walk::Walk;
use super::super::xattr::{self, Reading};
use super::error::PlanError;
use super::links;
use super::plan::{After, ApplyPlan, Note, Noted, Source, Step};

impl ApplyPlan {
    /// What makes the base at `base` have `changes` of the branch that `stack` shows.
    ///
    /// What is in the base now is taken as what must be there when the plan is applied. So conflicts are to be
    /// looked for after this, not before: then nothing that happens to the base in between is overwritten.
    pub(crate) fn from_changes(stack: &Stack, base: &Path, changes: &[Change]) -> Result<Self, PlanError> {
        let root = RelPath::root();
        let mut builder = Builder {
            stack,
            base_path: base.to_owned(),
            base: Root::open(base).map_err(PlanError::read(&root))?,
            walk: Walk::new(stack),
            steps: BTreeMap::new(),
            notes: Vec::new(),
        };
        for change in changes {
            builder.change(change)?;
        }
        builder.add_parents()?;
        builder.keep_what_is_not_empty()?;
        links::join(stack, &builder.base, &mut builder.steps).map_err(PlanError::read(&root))?;
        Ok(Self {
            base: builder.base_path,
            steps: builder.steps.into_values().collect(),
            notes: builder.notes,
        })
    }
}

struct Builder<'a> {
    stack: &'a Stack,
    base_path: PathBuf,
    base: Root,
    walk: Walk<'a>,
    steps: BTreeMap<RelPath, Step>,
    notes: Vec<Note>,
}

impl Builder<'_> {
    fn change(&mut self, change: &Change) -> Result<(), PlanError> {
        let path = &change.path;
        match &change.change {
            ChangeKind::Deleted => self.remove(path),
            ChangeKind::Renamed { from, .. } => {
                self.put(path, true)?;
                if self.view(from)?.is_some() {
                    return Ok(()); // something else is there, and a change of its own
                }
                self.remove(from)
            }
            ChangeKind::Modified { content, .. } => self.put(path, *content),
            _ => self.put(path, true),
        }
    }

    fn remove(&mut self, path: &RelPath) -> Result<(), PlanError> {
        if self.view(path)?.is_some() {
            return Err(PlanError::BranchMoved { path: path.clone() });
        }
        let before = self.base.meta(path).map_err(PlanError::read(path))?;
        if before.is_some() {
            self.step(path, before, After::Absent);
        }
        Ok(())
    }

    /// Plans that `path` will be what it is on the branch. Without `content` it is changed in place, if it can.
    fn put(&mut self, path: &RelPath, content: bool) -> Result<(), PlanError> {
        let found = self
            .view(path)?
            .ok_or_else(|| PlanError::BranchMoved { path: path.clone() })?;
        let before = self.base.meta(path).map_err(PlanError::read(path))?;
        let Some(after) = self.after(path, &found).map_err(PlanError::read(path))? else {
            return Ok(());
        };
        let after = match (before, after) {
            (Some(before), after) if before.kind == found.meta.kind => {
                // A file with several names is one of them at a time: see `links`.
                let in_place = !content && before.nlink == 1 && found.meta.nlink == 1;
                self.carried_over(path, &before, after, in_place)
                    .map_err(PlanError::read(path))?
            }
            (_, after) => after,
        };
        self.step(path, before, after);
        Ok(())
    }

    fn step(&mut self, path: &RelPath, before: Option<Meta>, after: After) {
        let step = Step {
            path: path.clone(),
            before,
            after,
        };
        self.steps.insert(path.clone(), step);
    }

    fn view(&self, path: &RelPath) -> Result<Option<Found>, PlanError> {
        self.walk.find(path).map_err(PlanError::read(path))
    }

    /// What `path` will be; none for what is not committed.
    fn after(&mut self, path: &RelPath, found: &Found) -> io::Result<Option<After>> {
        let meta = found.meta;
        let noted = match meta.kind {
            NodeKind::Socket => Noted::SocketLeftOut,
            NodeKind::CharDevice if meta.is_whiteout() => Noted::WhiteoutLeftOut,
            _ => {
                let attributes = self.walk.attributes(path, found)?;
                return self.entry(path, found, attributes).map(Some);
            }
        };
        self.notes.push(Note {
            path: path.clone(),
            what: noted,
        });
        Ok(None)
    }

    fn entry(&self, path: &RelPath, found: &Found, attributes: Attributes) -> io::Result<After> {
        let meta = found.meta;
        Ok(match meta.kind {
            NodeKind::Directory => After::Directory {
                attributes: attributes.with_natural_time(),
            },
            NodeKind::File => After::File {
                source: Source {
                    root: source_root(self.stack, found.origin),
                    path: path.clone(),
                    meta,
                },
                attributes,
                link_to: None,
            },
            NodeKind::Symlink => After::Symlink {
                target: Bytes(self.walk.target(path, found.origin)?.into_vec()),
                attributes,
            },
            kind => After::Special {
                kind,
                rdev: meta.rdev,
                attributes,
            },
        })
    }

    /// `after`, of a path where the base has an entry of the same kind: in place if that can be, and with those
    /// attributes that a branch does not show, because it could not have changed them.
    fn carried_over(
        &self,
        path: &RelPath,
        before: &Meta,
        mut after: After,
        in_place: bool,
    ) -> io::Result<After> {
        let node = self.base.place(path)?.node()?;
        let old = Attributes::read(node.as_fd(), before, Reading::Exact)?;
        if let Some(attributes) = after.attributes_mut() {
            for (name, value) in xattr::hidden(&old.xattrs) {
                attributes.xattrs.0.entry(name).or_insert(value);
            }
        }
        Ok(match after {
            After::Directory { attributes: new } => After::Attributes {
                old: old.with_natural_time(),
                new,
            },
            After::File { attributes: new, .. } if in_place => After::Attributes { old, new },
            after => after,
        })
    }

    /// Adds the directories that additions need and the base does not have.
    fn add_parents(&mut self) -> Result<(), PlanError> {
        let additions = self.steps.values().filter(|step| !step.is_removal());
        let needed: BTreeSet<_> = additions.filter_map(|step| step.path.parent()).collect();
        let mut known = BTreeSet::from([RelPath::root()]);
        for parent in needed {
            let mut missing = Vec::new();
            let mut next = Some(parent.clone());
            while let Some(path) = next.filter(|path| !known.contains(path)) {
                match self.steps.get(&path) {
                    Some(step) if step.makes_directory() || step.alters_directory() => {}
                    Some(_) => return Err(needs(&parent, path)),
                    None => match self.base.meta(&path).map_err(PlanError::read(&path))? {
                        Some(meta) if meta.is_dir() => {}
                        Some(_) => return Err(needs(&parent, path)),
                        None => missing.push(path.clone()),
                    },
                }
                next = path.parent();
                known.insert(path);
            }
            for path in missing {
                self.put(&path, true)?;
                self.notes.push(Note {
                    path,
                    what: Noted::DirectoryAdded,
                });
            }
        }
        Ok(())
    }

    /// Leaves directories that are to be deleted where something in them is not.
    fn keep_what_is_not_empty(&mut self) -> Result<(), PlanError> {
        let directories = self.steps.values().rev().filter(|step| step.removes_directory());
        for path in directories.map(|step| step.path.clone()).collect::<Vec<_>>() {
            let Some(inner) = self.kept_in(&path).map_err(PlanError::read(&path))? else {
                continue;
            };
            if self.steps.get(&path).is_some_and(|step| !step.is_removal()) {
                return Err(PlanError::NotEmpty { path, inner });
            }
            self.steps.remove(&path);
            self.notes.push(Note {
                path,
                what: Noted::DirectoryKept,
            });
        }
        Ok(())
    }

    /// Something in a directory of the base that does not go away.
    fn kept_in(&self, directory: &RelPath) -> io::Result<Option<RelPath>> {
        for name in names(self.base.list_dir(directory)?.as_fd())? {
            let inner = directory.join(&name).map_err(io::Error::other)?;
            if !self.steps.get(&inner).is_some_and(Step::is_removal) {
                return Ok(Some(inner));
            }
        }
        Ok(None)
    }
}

fn needs(parent: &RelPath, path: RelPath) -> PlanError {
    PlanError::ParentNeeded {
        path: parent.clone(),
        parent: path,
    }
}

fn source_root(stack: &Stack, origin: Origin) -> PathBuf {
    match origin {
        Origin::Base => stack.base_path().to_owned(),
        Origin::Layer(index) => stack
            .layers()
            .get(index)
            .map(|layer| layer.path.clone())
            .unwrap_or_default(),
    }
}
