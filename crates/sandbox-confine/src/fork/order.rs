//! What it takes to make a template: data, and descriptors.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ForkError;
use crate::error::StartError;
use crate::exec::text;
use crate::init::IdMaps;
use crate::plan::{PathRule, Plan};
use crate::seccomp::{self, FilterSpec, Toggles};

/// How a template is confined and what it finds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The set-up blob of its sandbox, of which it takes the confinement.
    pub(crate) setup: Vec<u8>,
    /// Its own filter.
    pub(crate) filter: Vec<u8>,
    /// The filter that its clones put before it.
    pub(crate) narrowing: Vec<u8>,
    /// What its clones are confined by once more, where they have views of their own: their domain is to be as narrow as
    /// that of a command, and names what is in their places.
    pub(crate) clone_setup: Option<Vec<u8>>,
    /// LANDLOCK_ACCESS_FS_REFER where this kernel has it, else 0.
    pub(crate) refer: u64,
    /// Whether its memory is put into huge pages before it is forked.
    pub(crate) huge_pages: bool,
    pub(crate) body: Body,
    pub(crate) cwd: CString,
    /// CLONE_NEW* of the namespaces of init that it joins.
    pub(crate) namespaces: u64,
    /// Contents of uid_map and gid_map of the user namespace that it makes in that of init.
    pub(crate) maps: (String, String),
}

/// What runs in the template, once it is confined.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    /// Functions of the caller's, in a copy of it that has this environment.
    Functions { env: Vec<(CString, CString)> },
    /// A program, which brings its environment along.
    Program,
}

/// The descriptors that go with it. None of them has the number of a standard stream, or that of the template's
/// socket.
#[derive(Debug)]
pub(crate) struct Files {
    /// A pidfd of init.
    pub(crate) init: OwnedFd,
    /// Init's program.
    pub(crate) image: OwnedFd,
    /// The keeper's end of its control socket.
    pub(crate) control: OwnedFd,
    /// The template's end of its socket to the keeper.
    pub(crate) socket: OwnedFd,
    /// Where failures are reported, and where leave is given to begin.
    pub(crate) report: OwnedFd,
    /// The template's standard streams.
    pub(crate) stdio: [OwnedFd; 3],
}

/// The number of the template's socket, in the template.
pub(crate) const SOCKET: i32 = 3;
/// LANDLOCK_ACCESS_FS_REFER: moving from one directory to another.
const REFER: u64 = 1 << 13;
/// The first number that [`Files`] may have.
const FIRST: i32 = 16;

impl Body {
    /// Functions that find this environment.
    pub(crate) fn functions(env: &[(OsString, OsString)]) -> Result<Self, StartError> {
        let variables = env.iter().map(|(name, value)| Ok((text(name)?, text(value)?)));
        let env = variables.collect::<Result<_, StartError>>()?;
        Ok(Self::Functions { env })
    }
}

impl Order {
    /// `views`: where each clone shows a view of its own.
    pub(crate) fn new(
        plan: &Plan,
        body: Body,
        cwd: &Path,
        views: Option<&[PathBuf]>,
    ) -> Result<Self, ForkError> {
        let Some(maps) = &plan.launch.maps else {
            return Err(ForkError::NeedsNamespaces {
                cause: plan
                    .report
                    .notes
                    .iter()
                    .map(|note| note.what.clone())
                    .collect::<Vec<_>>()
                    .join("; "),
            });
        };
        let [handled, ..] = plan.landlock.handled;
        if handled == 0 {
            return Err(ForkError::NeedsLandlock);
        }
        let spec = FilterSpec {
            toggles: Toggles {
                template: true,
                clone_mounts: views.is_some(),
                ..plan.filter.toggles
            },
            ..plan.filter.clone()
        };
        let refused = |error| StartError::Prepare(crate::PrepareError::Syscalls(error));
        let namespaces = plan.launch.namespaces | plan.launch.beside;
        let precise = plan.encode(&[], None)?;
        let setup = match views {
            None => precise.clone(),
            Some(places) => widened(plan, places).encode(&[], None)?,
        };
        Ok(Self {
            setup,
            clone_setup: views.map(|_| precise),
            refer: handled & REFER,
            filter: seccomp::filter(&spec).map_err(refused)?.into_owned(),
            narrowing: seccomp::narrowing(&spec).map_err(refused)?.into_bytes(),
            huge_pages: false,
            body,
            cwd: text(cwd.as_os_str())?,
            namespaces: u64::from(namespaces.cast_unsigned()),
            maps: onto_itself(maps),
        })
    }
}

/// The plan of a template whose clones show other mounts at those places: Landlock goes by what is mounted, so its rule
/// has to name the directory above. What else is in there is kept by the mounts, which are read-only, and in each clone
/// by the rules themselves.
fn widened(plan: &Plan, places: &[PathBuf]) -> Plan {
    let mut plan = plan.clone();
    for place in places {
        let rights = plan.landlock.paths.iter().filter(|rule| rule.path == *place);
        let rights = rights.fold(0, |all, rule| all | rule.rights);
        plan.landlock.paths.push(PathRule {
            path: place.parent().unwrap_or(Path::new("/")).to_owned(),
            rights,
            may_be_missing: false,
            is_resolved: true,
        });
    }
    plan
}

impl Files {
    /// The same files, with numbers that are in nobody's way.
    pub(crate) fn out_of_the_way(&self) -> rustix::io::Result<Self> {
        let [stdin, stdout, stderr] = &self.stdio;
        Ok(Self {
            init: high(&self.init)?,
            image: high(&self.image)?,
            control: high(&self.control)?,
            socket: high(&self.socket)?,
            report: high(&self.report)?,
            stdio: [high(stdin)?, high(stdout)?, high(stderr)?],
        })
    }

    /// All of them, in the order in which [`Files::from_array`] takes them.
    pub(crate) fn as_array(&self) -> [BorrowedFd<'_>; 8] {
        let [stdin, stdout, stderr] = &self.stdio;
        [
            &self.init,
            &self.image,
            &self.control,
            &self.socket,
            &self.report,
            stdin,
            stdout,
            stderr,
        ]
        .map(AsFd::as_fd)
    }

    pub(crate) fn from_array(files: [OwnedFd; 8]) -> Self {
        let [init, image, control, socket, report, stdin, stdout, stderr] = files;
        Self {
            init,
            image,
            control,
            socket,
            report,
            stdio: [stdin, stdout, stderr],
        }
    }
}

fn high(fd: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, FIRST)
}

/// The identity on what the user namespace of init has: the first and the third column of its maps.
fn onto_itself(maps: &IdMaps) -> (String, String) {
    let identity = |map: &str| {
        let lines = map.lines().filter_map(|line| {
            let mut columns = line.split_whitespace();
            let (first, count) = (columns.next()?, columns.nth(1)?);
            Some(format!("{first} {first} {count}\n"))
        });
        lines.collect()
    };
    (identity(&maps.uid), identity(&maps.gid))
}
