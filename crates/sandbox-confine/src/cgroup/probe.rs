//! What this process may use: reads files, changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::{self, Access, CgroupMount};
use super::v2::{Facts, may_write};
use super::{Availability, CgroupSupport, Controller, Hierarchy, Unavailable, membership};

impl Hierarchy {
    /// Which controllers this process may use, and where: a dozen small files are read, nothing is changed.
    pub fn probe(&self) -> CgroupSupport {
        match View::read(self) {
            Ok(view) => view.support(),
            Err(why) => {
                let unavailable = || Availability::Unavailable { why: why.clone() };
                CgroupSupport {
                    memory: unavailable(),
                    pids: unavailable(),
                    cpu: unavailable(),
                    freezer: unavailable(),
                }
            }
        }
    }

    /// Every cgroup mount, with its mount point as seen beneath our root.
    pub(super) fn cgroup_mounts(&self) -> Result<Vec<CgroupMount>, Unavailable> {
        Ok(mounts::parse(&self.read_proc("/proc/self/mountinfo")?))
    }

    fn read_proc(&self, file: &str) -> Result<String, Unavailable> {
        let path = self.path(Path::new(file));
        match fs::read(&path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(Unavailable::Unreadable {
                path,
                kind: error.kind(),
            }),
        }
    }
}

/// The texts of `/proc` that tell where we are.
struct View<'a> {
    hierarchy: &'a Hierarchy,
    membership: String,
    mounts: Vec<CgroupMount>,
}

impl<'a> View<'a> {
    fn read(hierarchy: &'a Hierarchy) -> Result<Self, Unavailable> {
        Ok(Self {
            membership: hierarchy.read_proc("/proc/self/cgroup")?,
            mounts: hierarchy.cgroup_mounts()?,
            hierarchy,
        })
    }

    fn support(&self) -> CgroupSupport {
        let v2 = self.v2_facts();
        let memory = self.limiter(Controller::Memory, v2.as_ref());
        let pids = self.limiter(Controller::Pids, v2.as_ref());
        let cpu = self.plain(Controller::Cpu, v2.as_ref(), [&memory, &pids]);
        let freezer = self.plain(Controller::Freezer, v2.as_ref(), [&memory, &pids]);
        CgroupSupport {
            memory,
            pids,
            cpu,
            freezer,
        }
    }

    fn v2_facts(&self) -> Option<Result<Facts, Unavailable>> {
        let mount = mounts::v2(&self.mounts)?;
        let own = membership::v2(&self.membership)?;
        let point = self.hierarchy.path(&mount.point);
        Some(
            self.locate(mount, own)
                .and_then(|dir| Facts::read(mount.access, &point, &dir)),
        )
    }

    /// A controller belongs to one hierarchy at a time: where v1 has it, v2 cannot.
    fn limiter(&self, controller: Controller, v2: Option<&Result<Facts, Unavailable>>) -> Availability {
        match (self.v1(controller), v2) {
            (Some(v1), _) => v1,
            (None, Some(Ok(facts))) => facts.limiter(controller),
            (None, Some(Err(why))) => Availability::Unavailable { why: why.clone() },
            (None, None) => Availability::Unavailable {
                why: Unavailable::NotMounted { controller },
            },
        }
    }

    /// What every v2 group can do; v1 is the second choice, since it cannot kill a group at once.
    fn plain(
        &self,
        controller: Controller,
        v2: Option<&Result<Facts, Unavailable>>,
        limiters: [&Availability; 2],
    ) -> Availability {
        let first = match v2 {
            Some(Ok(facts)) => facts.plain(limiters),
            Some(Err(why)) => Availability::Unavailable { why: why.clone() },
            None => Availability::Unavailable {
                why: Unavailable::NotMounted { controller },
            },
        };
        match first {
            Availability::Unavailable { .. } => self.v1(controller).unwrap_or(first),
            usable => usable,
        }
    }

    /// The verdict on a controller's v1 hierarchy, if it has one.
    fn v1(&self, controller: Controller) -> Option<Availability> {
        let mount = mounts::v1(&self.mounts, controller.v1_name())?;
        let own = membership::v1(&self.membership, controller.v1_name())?;
        Some(match self.locate(mount, own) {
            Err(why) => Availability::Unavailable { why },
            Ok(_) if mount.access == Access::ReadOnly => Availability::Unavailable {
                why: Unavailable::ReadOnly {
                    path: self.hierarchy.path(&mount.point),
                },
            },
            Ok(dir) if may_write(&dir) => Availability::V1 { dir },
            Ok(path) => Availability::Unavailable {
                why: Unavailable::NotDelegated { path },
            },
        })
    }

    fn locate(&self, mount: &CgroupMount, own: &Path) -> Result<PathBuf, Unavailable> {
        let outside = || Unavailable::OutsideMount { own: own.to_owned() };
        let dir = self.hierarchy.path(&mount.locate(own).ok_or_else(outside)?);
        match fs::metadata(&dir) {
            Ok(_) => Ok(dir),
            Err(error) => Err(Unavailable::Unreadable {
                path: dir,
                kind: error.kind(),
            }),
        }
    }
}
