//! Keeping old versions where the slots do not stay, because they are in the base: content is copied to `saved/`,
//! everything else is written down. Undo makes them again from that.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sandbox_types::{NodeKind, RelPath};

use super::super::beneath::Root;
use super::super::copy::symlink_target;
use super::super::node::Meta;
use super::error::ApplyError;
use super::journal::{Journal, Print, Saved, Staged, journal_error};
use super::plan::{After, Note, Noted, Source, Step};
use super::slots::old_slot;
use super::stage::{Stager, old_attributes, stage_error};

/// Where the content of old versions is.
pub(super) fn directory(journal: &Journal) -> PathBuf {
    journal.path().join("saved")
}

impl Stager<'_> {
    /// Saves what the steps will remove or replace.
    pub(super) fn save(
        &mut self,
        journal: &Journal,
        steps: &[Step],
        staged: &mut Staged,
    ) -> Result<(), ApplyError> {
        let path = directory(journal);
        match rustix::fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(journal_error(&path)(errno.into())),
        }
        let mut first_names = BTreeMap::new();
        let names = names_in_plan(steps);
        for (index, step) in steps.iter().enumerate() {
            let (Some(before), Some(staged)) = (step.before, staged.steps.get_mut(index)) else {
                continue;
            };
            if step.is_in_place() {
                continue;
            }
            self.note_what_is_lost(step, &before, names.get(&before.ino).copied());
            let mut saved = Saved {
                attributes: old_attributes(self.base, &step.path).map_err(stage_error(&step.path))?,
                target: None,
                link_to: None,
            };
            if before.nlink > 1 && !before.is_dir() {
                saved.link_to = first_names.get(&before.ino).copied();
                first_names.entry(before.ino).or_insert(index);
            }
            if saved.link_to.is_none() {
                self.save_content(&path, index, step, &before, &mut saved)?;
            }
            staged.saved = Some(saved);
        }
        staged.head.notes.append(&mut self.notes);
        let sync = || self.durable.directory(File::open(&path)?);
        sync().map_err(journal_error(&path))
    }

    fn save_content(
        &mut self,
        saved_in: &std::path::Path,
        index: usize,
        step: &Step,
        before: &Meta,
        saved: &mut Saved,
    ) -> Result<(), ApplyError> {
        let failed = || stage_error(&step.path);
        match before.kind {
            NodeKind::Symlink => {
                use std::os::fd::AsFd;
                let place = self.base.place(&step.path).map_err(failed())?;
                let target = symlink_target(place.parent.as_fd(), place.name()).map_err(failed())?;
                saved.target = Some(target);
            }
            NodeKind::File => {
                let from = self.base.file(&step.path).map_err(failed())?;
                let path = saved_in.join(index.to_string());
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
                let to = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(|errno| failed()(errno.into()))?;
                let to = File::from(to);
                self.copy(&from, &to, before).map_err(failed())?;
                self.durable.file(&to).map_err(failed())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn note_what_is_lost(&mut self, step: &Step, before: &Meta, names: Option<u64>) {
        let me = rustix::process::geteuid();
        let has_others = names.is_some_and(|names| names < before.nlink);
        let lost = [
            (!me.is_root() && before.uid != me.as_raw(), Noted::OwnerNotSaved),
            (has_others, Noted::LinkNotSaved),
        ];
        let lost = lost.into_iter().filter(|(is_lost, _)| *is_lost);
        self.notes.extend(lost.map(|(_, what)| Note {
            path: step.path.clone(),
            what,
        }));
    }

    /// Makes in slots again what was saved; how to know it.
    pub(super) fn restore(
        &mut self,
        journal: &Journal,
        steps: &[Step],
        staged: &Staged,
    ) -> Result<Vec<Option<Print>>, ApplyError> {
        let path = directory(journal);
        let source = match Root::open(&path) {
            Ok(root) => root,
            Err(error) => return Err(journal_error(&path)(error)),
        };
        let mut prints = Vec::with_capacity(steps.len());
        for (index, (step, staged)) in steps.iter().zip(&staged.steps).enumerate() {
            let (Some(before), Some(saved)) = (step.before, &staged.saved) else {
                prints.push(None);
                continue;
            };
            let content = RelPath::new(index.to_string())
                .map_err(|error| stage_error(&step.path)(std::io::Error::other(error)))?;
            let attributes = saved.attributes.clone();
            let after = match before.kind {
                NodeKind::Directory => After::Directory { attributes },
                NodeKind::Symlink => After::Symlink {
                    target: saved.target.clone().unwrap_or_default(),
                    attributes,
                },
                NodeKind::File if saved.link_to.is_none() => {
                    let meta = source.meta(&content).map_err(stage_error(&step.path))?;
                    let meta = meta.ok_or_else(|| stage_error(&step.path)(Errno::NOENT.into()))?;
                    After::File {
                        source: Source {
                            root: path.clone(),
                            path: content,
                            meta,
                        },
                        attributes,
                        link_to: None,
                    }
                }
                kind => After::Special {
                    kind,
                    rdev: before.rdev,
                    attributes,
                },
            };
            let slot = |index| old_slot(index, before.is_dir(), self.renames);
            let link = saved.link_to.map(slot);
            prints.push(self.entry(&slot(index), &step.path, &after, link)?);
        }
        Ok(prints)
    }
}

/// How many names of each inode with several go away.
fn names_in_plan(steps: &[Step]) -> BTreeMap<u64, u64> {
    let mut names = BTreeMap::new();
    let going = steps.iter().filter(|step| !step.is_in_place());
    for before in going.filter_map(|step| step.before) {
        if before.nlink > 1 && !before.is_dir() {
            *names.entry(before.ino).or_insert(0) += 1;
        }
    }
    names
}
