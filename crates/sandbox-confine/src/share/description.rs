//! What another process has to know of a live sandbox in order to start commands in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox_types::{EnforcementReport, MountSource, Policy};
use serde::{Deserialize, Serialize};

use crate::cgroup::{self, Cgroup};
use crate::process::{Owned, Watch};
use crate::scratch::{Scratch, is_private};
use crate::streams::OutputLimit;
use crate::surroundings::Surroundings;

/// No description is longer: an environment is limited by the kernel, the rest is small.
const MAX_BYTES: u64 = 64 << 20;

/// It, as it is written into a sealed memfd.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    /// Init's pid, in the pid namespace of all holders.
    pub(super) pid: i32,
    pub(super) kill_is_enough: bool,
    pub(super) scratch: Option<OsString>,
    pub(super) cgroup: Option<cgroup::Place>,
    policy: Policy,
    report: EnforcementReport,
    env: Vec<(OsString, OsString)>,
    path: Vec<OsString>,
    cwd: OsString,
    watch: Watch,
    output: Option<OutputLimit>,
}

impl Description {
    /// That of a sandbox that we hold.
    pub(super) fn of(owned: &Owned, policy: &Policy) -> Self {
        let surroundings = &owned.surroundings;
        let mut policy = policy.clone();
        each_path(&mut policy, |path| *path = as_text(path));
        Self {
            pid: owned.init.pid(),
            kill_is_enough: owned.init.kill_is_enough(),
            scratch: owned.scratch.as_ref().map(|scratch| scratch.path().into()),
            cgroup: owned.cgroup.as_deref().map(Cgroup::place),
            policy,
            report: EnforcementReport::clone(&surroundings.report),
            env: surroundings.env.clone(),
            path: surroundings.path.iter().map(OsString::from).collect(),
            cwd: surroundings.cwd.clone().into(),
            watch: surroundings.watch,
            output: surroundings.output,
        }
    }

    /// Reads it.
    pub(super) fn read(from: &OwnedFd) -> io::Result<Self> {
        let file = File::from(from.try_clone()?);
        let length = file.metadata()?.len();
        if length > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut text, 0)?;
        let told: Self = serde_json::from_slice(&text)?;
        if told.is_harmless() {
            Ok(told)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// Whether what will be removed at the end is something that a sandbox has made.
    fn is_harmless(&self) -> bool {
        let scratch = self
            .scratch
            .as_ref()
            .is_none_or(|path| is_private(Path::new(path)));
        scratch && self.cgroup.as_ref().is_none_or(cgroup::Place::is_ours)
    }

    /// The private directory, the cgroup, what commands find, and the policy.
    pub(super) fn into_parts(mut self) -> (Option<Scratch>, Option<Arc<Cgroup>>, Surroundings, Policy) {
        each_path(&mut self.policy, |path| *path = from_text(path));
        let surroundings = Surroundings {
            env: self.env,
            path: self.path.into_iter().map(PathBuf::from).collect(),
            cwd: self.cwd.into(),
            watch: self.watch,
            output: self.output,
            report: Arc::new(self.report),
        };
        let scratch = self.scratch.map(|path| Scratch::joined(path.into()));
        let cgroup = self.cgroup.map(|place| Arc::new(Cgroup::joined(place)));
        (scratch, cgroup, surroundings, self.policy)
    }
}

/// What a path that is no UTF-8 starts with here; its bytes follow in hexadecimal digits. JSON has no other bytes.
const HEX: &str = "\u{1}";

fn as_text(path: &Path) -> PathBuf {
    match path.to_str() {
        Some(text) if !text.starts_with(HEX) => path.to_owned(),
        _ => {
            let digits = path
                .as_os_str()
                .as_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"));
            PathBuf::from(format!("{HEX}{}", digits.collect::<String>()))
        }
    }
}

fn from_text(path: &Path) -> PathBuf {
    let Some(digits) = path.to_str().and_then(|text| text.strip_prefix(HEX)) else {
        return path.to_owned();
    };
    let bytes = digits.as_bytes().chunks(2).filter_map(|pair| {
        let text = OsStr::from_bytes(pair).to_str()?;
        u8::from_str_radix(text, 16).ok()
    });
    OsString::from_vec(bytes.collect()).into()
}

fn each_path(policy: &mut Policy, mut change: impl FnMut(&mut PathBuf)) {
    let filesystem = &mut policy.filesystem;
    let lists = [&mut filesystem.read, &mut filesystem.write, &mut filesystem.deny];
    lists.into_iter().flatten().for_each(&mut change);
    for mount in &mut filesystem.mounts {
        change(&mut mount.at);
        match &mut mount.source {
            MountSource::Bind(path) => change(path),
            MountSource::Overlay(overlay) => {
                overlay.lowers.iter_mut().for_each(&mut change);
                change(&mut overlay.upper);
                change(&mut overlay.work);
                overlay.lock.iter_mut().for_each(&mut change);
            }
            _ => {}
        }
    }
    policy.process.cwd.iter_mut().for_each(change);
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox_types::{Access, Mount, Overlay};

    #[test]
    fn a_policy_of_paths_that_are_no_text_survives_json() {
        let odd = |name: &[u8]| PathBuf::from(OsStr::from_bytes(name));
        let mut policy = Policy::default();
        policy.filesystem.read = vec![odd(b"/a\xff"), odd(b"/\xc3\xa4"), odd(b"\x01/b")];
        policy.process.cwd = Some(odd(b"/\xfe\xff"));
        policy.filesystem.mounts = vec![Mount {
            at: odd(b"/at\x80"),
            source: MountSource::Overlay(Overlay {
                lowers: vec![odd(b"/l\xf0")],
                upper: odd(b"/u\xf0"),
                work: odd(b"/w\xf0"),
                lock: Some(odd(b"/k\xf0")),
            }),
            access: Access::Write,
        }];
        let before = policy.clone();
        each_path(&mut policy, |path| *path = as_text(path));
        let text = serde_json::to_string(&policy).expect("no path is left that JSON cannot hold");
        let mut policy: Policy = serde_json::from_str(&text).expect("just written");
        each_path(&mut policy, |path| *path = from_text(path));
        assert_eq!(policy, before);
    }
}
