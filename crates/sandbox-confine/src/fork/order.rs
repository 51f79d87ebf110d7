//! What it takes to make a template: data, and descriptors.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ForkError;
use crate::error::StartError;
use crate::exec::text;
use crate::init::IdMaps;
use crate::plan::Plan;
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
    pub(crate) fn new(plan: &Plan, body: Body, cwd: &Path) -> Result<Self, ForkError> {
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
        if plan.landlock.handled == [0; 3] {
            return Err(ForkError::NeedsLandlock);
        }
        let spec = FilterSpec {
            toggles: Toggles {
                template: true,
                ..plan.filter.toggles
            },
            ..plan.filter.clone()
        };
        let refused = |error| StartError::Prepare(crate::PrepareError::Syscalls(error));
        let namespaces = plan.launch.namespaces | plan.launch.beside;
        Ok(Self {
            setup: plan.encode(&[], None)?,
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
