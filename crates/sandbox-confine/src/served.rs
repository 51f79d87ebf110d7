//! Filesystems that the caller serves, mounted inside: by which names, and how one is handed over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::net::RecvFlags;
use sandbox_types::{MountSource, Policy, ServeFuse, ServedName, Serving};

use crate::error::{PrepareError, StartError};
use crate::init::Init;
use crate::messages;
use crate::plan::Step;
use crate::wire;

/// What is given to a sandbox by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filesystems(BTreeMap<ServedName, Arc<dyn ServeFuse>>);

/// Why init's part in handing one over failed.
pub(crate) enum Failure {
    /// What init said about its set-up.
    SetUp(wire::Message),
    /// All else.
    Start(StartError),
}

impl Filesystems {
    /// Adds one; false where the name is taken.
    pub(crate) fn add(&mut self, name: ServedName, fs: Arc<dyn ServeFuse>) -> bool {
        self.0.insert(name, fs).is_none()
    }

    /// Whether each is shown at exactly one place, and none is missing.
    pub(crate) fn check(&self, policy: &Policy) -> Result<(), PrepareError> {
        let mut shown = BTreeMap::new();
        for mount in &policy.filesystem.mounts {
            let MountSource::Served(name) = &mount.source else {
                continue;
            };
            if !self.0.contains_key(name) {
                return Err(PrepareError::Unserved {
                    name: name.clone(),
                    at: mount.at.clone(),
                });
            }
            if let Some(first) = shown.insert(name, &mount.at) {
                return Err(PrepareError::ServedTwice {
                    name: name.clone(),
                    at: [first, &mount.at].map(Clone::clone),
                });
            }
        }
        match self.0.keys().find(|name| !shown.contains_key(name)) {
            Some(name) => Err(PrepareError::ServedNowhere { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// The directories of the host that one shows, the topmost first.
    pub(crate) fn shown_by(&self, name: &ServedName) -> Vec<PathBuf> {
        self.0.get(name).map(|fs| fs.shows()).unwrap_or_default()
    }

    /// What each is locked by, where it is.
    pub(crate) fn locks(&self) -> BTreeMap<ServedName, PathBuf> {
        let locks = self.0.iter();
        locks
            .filter_map(|(name, fs)| Some((name.clone(), fs.lock()?)))
            .collect()
    }

    /// Takes over the device of each, in the order in which init mounts them, and has it served.
    pub(crate) fn serve(&self, init: &Init, steps: &[Step]) -> Result<Vec<Box<dyn Serving>>, Failure> {
        let mut serving = Vec::new();
        for step in steps {
            let Step::Served { name, .. } = step else { continue };
            serving.push(self.serve_next(init, name)?);
        }
        Ok(serving)
    }

    fn serve_next(&self, init: &Init, name: &ServedName) -> Result<Box<dyn Serving>, Failure> {
        let failed = |source| {
            Failure::Start(StartError::Serve {
                name: name.clone(),
                source,
            })
        };
        // Nobody else has the control socket yet, and nothing but the end of the set-up comes before.
        match messages::receive(init.control(), RecvFlags::empty()).map_err(Failure::Start)? {
            Some(([wire::DEVICE, ..], Some(device))) => {
                let fs = self.0.get(name);
                let fs = fs.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
                fs.serve(device).map_err(failed)
            }
            Some((message @ [wire::FAILED, ..], _)) => Err(Failure::SetUp(message)),
            // Its descriptor was lost: none is left.
            Some(([wire::DEVICE, ..], None)) => Err(failed(rustix::io::Errno::MFILE.into())),
            Some(_) | None => Err(Failure::Start(StartError::Ended)),
        }
    }
}
