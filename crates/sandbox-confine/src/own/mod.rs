//! Walls around the calling process itself: for a server, which needs less than its user may do.
//!
//! [`OwnWalls::enter`] leaves the process with what it has open and the paths that were named, and takes away the rest:
//! a root of its own where it may mount, Landlock, a filter of system calls that knows neither exec nor sockets,
//! capabilities, no_new_privs. It cannot be undone. What was open before stays open.
//!
//! It fails closed: where nothing keeps other files from being read, it is an error, and the caller decides.
//!
//! # It is not
//! - for a program that is not trusted to call it: that is [`Sandbox`](crate::Sandbox);
//! - for a process with several threads, which would stay outside.

mod error;
mod filter;
mod landlock;
mod privileges;
mod root;

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::thread::CapabilitySet;
use sandbox_types::Access;

pub use error::OwnWallsError;

use crate::host::Host;

/// What a process keeps of what it may do. See the [module](self).
///
/// ```no_run
/// use sandbox_confine::own::OwnWalls;
/// use sandbox_types::Access;
/// let entered = OwnWalls::new().reach("/srv/data", Access::Read).enter()?;
/// eprintln!("{entered}");
/// # Ok::<(), sandbox_confine::own::OwnWallsError>(())
/// ```
#[must_use = "nothing is confined before `enter`"]
#[derive(Debug, Clone, Default)]
pub struct OwnWalls {
    reached: Vec<(PathBuf, Reach)>,
    capabilities: Vec<&'static str>,
    calls: Vec<String>,
    stands_back: bool,
}

/// What was enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entered {
    /// Nothing but what was named is there; files that are devices cannot be opened. Needs the right to mount.
    pub private_root: bool,
    /// Landlock's ABI version; 0 where the kernel has none.
    pub landlock_abi: u32,
    /// The capabilities that are left, by name.
    pub capabilities: Vec<&'static str>,
}

/// What may be done with what is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Names can be listed.
    List,
    Read,
    Write,
}

/// A path that is reached, open.
#[derive(Debug)]
struct Reached {
    path: PathBuf,
    place: OwnedFd,
    is_dir: bool,
    reach: Reach,
}

impl OwnWalls {
    /// Nothing is reached, no capability is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// The file or directory `path` stays within reach, and all beneath it. What is mounted on the host later is not
    /// seen beneath it where the process has a root of its own.
    pub fn reach(mut self, path: impl Into<PathBuf>, access: Access) -> Self {
        let reach = match access {
            Access::Read => Reach::Read,
            Access::Write => Reach::Write,
        };
        self.reached.push((path.into(), reach));
        self
    }

    /// The names in the directory `path` can be listed; what they lead to is not reached by that. In a root of its own
    /// there are no others than those that are reached.
    pub fn list(mut self, path: impl Into<PathBuf>) -> Self {
        self.reached.push((path.into(), Reach::List));
        self
    }

    /// Keeps this capability, by its name in lower case without `cap_`, if the process has it.
    pub fn keep(mut self, capability: &'static str) -> Self {
        self.capabilities.push(capability);
        self
    }

    /// Allows a system call, or a `@group` of them, beyond what reading and changing files and starting threads takes.
    pub fn call(mut self, name: impl Into<String>) -> Self {
        self.calls.push(name.into());
        self
    }

    /// Keeps what root needs to serve files of many owners as theirs: the right to any file within reach, to give files
    /// away, and to make one in its owner's name. Nothing for others than root.
    pub fn many_owners(mut self) -> Self {
        if rustix::process::geteuid().is_root() {
            self.capabilities.extend(OWNERS);
            self.calls.extend(OWNER_CALLS.map(str::to_owned));
        }
        self
    }

    /// Keeps what root's server needs to work beside its callers: its threads may stand back (`SCHED_IDLE`) and become ordinary
    /// again. That takes an `RLIMIT_NICE` of 20, or `CAP_SYS_NICE` where root may not set that; in both cases no thread can be
    /// given another policy, nor a priority. Nothing for others than root.
    pub fn stand_back(mut self) -> Self {
        if rustix::process::geteuid().is_root() {
            self.stands_back = true;
            self.calls.extend(SCHEDULING_CALLS.map(str::to_owned));
        }
        self
    }

    /// Confines this process, for ever.
    ///
    /// # Errors
    /// [`OwnWallsError`]. Some of the walls may stand by then: end the process.
    pub fn enter(&self) -> Result<Entered, OwnWallsError> {
        refuse_threads()?;
        let host = Host::detect().map_err(OwnWallsError::kernel("/proc/self"))?;
        let reached = self.open()?;
        let private_root = root::enter(&reached)?;
        let reached = if private_root {
            // The same paths are other mounts now.
            let again = reached.iter().map(|reached| open(&reached.path, reached.reach));
            again.collect::<Result<_, _>>()?
        } else {
            reached
        };
        if !private_root && !landlock::suffices(&host) {
            return Err(OwnWallsError::NoWall {
                landlock_abi: host.landlock_abi,
            });
        }
        let devices = landlock::Devices::of(private_root, &host);
        let filter = filter::compile(&self.calls, devices, self.stands_back)?;
        let mut capabilities = self.capabilities.clone();
        if self.stands_back && !privileges::may_be_ordinary() {
            capabilities.push("sys_nice");
        }
        let kept = privileges::keep(&capabilities)?;
        landlock::restrict(&host, &reached, devices)?;
        filter::load(&filter)?;
        Ok(Entered {
            private_root,
            landlock_abi: host.landlock_abi,
            capabilities: privileges::names(kept),
        })
    }

    fn open(&self) -> Result<Vec<Reached>, OwnWallsError> {
        let opened = self.reached.iter().map(|(path, reach)| open(path, *reach));
        opened.collect()
    }
}

/// See [`OwnWalls::many_owners`].
const OWNERS: [&str; 8] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "setgid",
    "setuid",
    "setfcap",
];
const OWNER_CALLS: [&str; 4] = ["capget", "capset", "setfsgid", "setfsuid"];

/// See [`OwnWalls::stand_back`].
const SCHEDULING_CALLS: [&str; 4] = [
    "sched_getaffinity",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setscheduler",
];

/// Sees to it that what this process starts from now on inherits nothing from it but its standard streams.
///
/// # Errors
/// [`OwnWallsError::Kernel`].
pub fn pass_nothing_on() -> Result<(), OwnWallsError> {
    crate::sys::close_all_on_exec().map_err(OwnWallsError::kernel("close_range"))
}

fn open(path: &Path, reach: Reach) -> Result<Reached, OwnWallsError> {
    let failed = |source| OwnWallsError::Path {
        path: path.to_owned(),
        source,
    };
    let path = path.canonicalize().map_err(failed)?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
    let is_dir = path.is_dir();
    Ok(Reached {
        path,
        place,
        is_dir,
        reach,
    })
}

/// Namespaces, Landlock and filters are a thread's, and pass on to those that it starts.
fn refuse_threads() -> Result<(), OwnWallsError> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(OwnWallsError::kernel("/proc/self/task"))?;
    match tasks.count() {
        1 => Ok(()),
        threads => Err(OwnWallsError::Threads { threads }),
    }
}

impl fmt::Display for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.private_root {
            f.write_str("a root of its own, ")?;
        }
        match self.landlock_abi {
            0 => f.write_str("no Landlock, ")?,
            abi => write!(f, "Landlock (ABI {abi}), ")?,
        }
        f.write_str("a filter of system calls, no_new_privs, ")?;
        if self.capabilities.is_empty() {
            f.write_str("no capability")
        } else {
            write!(f, "capabilities: {}", self.capabilities.join(" "))
        }
    }
}

/// The capability of that name.
fn capability(name: &str) -> Option<CapabilitySet> {
    privileges::NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, set)| *set)
}
