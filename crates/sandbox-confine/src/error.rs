//! What can go wrong before and around a run. A run that ended is never an error; see
//! [`Outcome`](sandbox_types::Outcome).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use sandbox_types::{EnforcementReport, InvalidName, Mechanism, PolicyError, ServedName, VolumeName};

use crate::plan::RefusedLimit;
use crate::seccomp::SeccompError;
use crate::wire::Stage;

/// Why a policy cannot be turned into a plan on this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The policy itself is invalid.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A path of the policy cannot be used.
    #[error("{path}: {source} ({field})", path = path.display())]
    Path {
        /// Section and key that named it.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A volume that nobody has taken.
    #[error("volume {name} is not attached")]
    Unattached {
        /// Which.
        name: VolumeName,
    },
    /// A name of a filesystem that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A filesystem that nobody has given to the sandbox.
    #[error("{at}: no filesystem {name} is served", at = at.display())]
    Unserved {
        /// Which.
        name: ServedName,
        /// Where it should appear.
        at: PathBuf,
    },
    /// A filesystem that was given to the sandbox and appears nowhere.
    #[error("filesystem {name} is served, and the policy mounts it nowhere")]
    ServedNowhere {
        /// Which.
        name: ServedName,
    },
    /// A filesystem that should appear at several places.
    #[error("filesystem {name} is served, and can appear at {} or at {}, not at both", at[0].display(), at[1].display())]
    ServedTwice {
        /// Which.
        name: ServedName,
        /// Two of them.
        at: [PathBuf; 2],
    },
    /// Two filesystems of one name.
    #[error("two filesystems are called {name}")]
    ServedAgain {
        /// How.
        name: ServedName,
    },
    /// A link that leads to credentials, which only their own name asks for.
    #[error("{path}: leads to {target}, which holds {what}; to show them, name {target} itself",
        path = path.display(), target = target.display())]
    LinkToCredentials {
        /// As the policy names it.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// A grant that would show the host's processes.
    #[error("{path}: shows the processes of the host, which stay out of sight; inside there is a /proc of its own",
        path = path.display())]
    HostProcesses {
        /// What was granted.
        path: PathBuf,
    },
    /// A mount at a place that is denied as a whole.
    #[error("{at} is to be shown, and lies beneath the denied {denied}; leave out one of the two",
        at = at.display(), denied = denied.display())]
    DeniedMount {
        /// Where the mount should appear.
        at: PathBuf,
        /// What is denied.
        denied: PathBuf,
    },
    /// More grants than one root is made of.
    #[error(
        "{count} paths of the host would have to be mounted one by one, and {most} is the most; grant the directories that hold them"
    )]
    TooManyPaths {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A mount point that would have to be made in the caller's files.
    #[error("{at}: does not exist in {inside}, and nothing is made in your files; make it, or mount elsewhere",
        at = at.display(), inside = inside.display())]
    MountPoint {
        /// Where the mount should appear.
        at: PathBuf,
        /// The granted directory that it lies in.
        inside: PathBuf,
    },
    /// A mount inside a file system that is made anew, in which nothing is there to mount on.
    #[error("{at}: nothing can be mounted inside {inside}, which is made anew; mount it elsewhere",
        at = at.display(), inside = inside.display())]
    InsideNew {
        /// Where the mount should appear.
        at: PathBuf,
        /// The mount that it lies in.
        inside: PathBuf,
    },
    /// A mount beneath what is a link inside.
    #[error("{at}: {link} is a link to {target} inside, and nothing can be mounted beneath it; mount it at the target",
        at = at.display(), link = link.display(), target = target.display())]
    InsideLink {
        /// Where the mount should appear.
        at: PathBuf,
        /// The link above it.
        link: PathBuf,
        /// What the link leads to.
        target: PathBuf,
    },
    /// A socket that was allowed but does not exist.
    #[error("socket {name}: {why}")]
    Socket {
        /// As the policy names it.
        name: String,
        /// Why it cannot be passed on.
        why: String,
    },
    /// A system call profile that cannot be built.
    #[error(transparent)]
    Syscalls(#[from] SeccompError),
    /// Another identity than the caller's takes privileges.
    #[error("only root may run a command as user {uid}")]
    Identity {
        /// The user asked for.
        uid: u32,
    },
    /// Something that only a root or user namespace of one's own can give.
    #[error("{what} takes namespaces, which this host does not give: {cause}")]
    NeedsNamespaces {
        /// What the policy asks for.
        what: String,
        /// Why there are none.
        cause: String,
    },
    /// A guarantee that nothing on this host provides.
    #[error("{}", unavailable_text(.report, .missing))]
    Unavailable {
        /// What would hold.
        report: Box<EnforcementReport>,
        /// Guarantee titles and what they lack.
        missing: Vec<(&'static str, Vec<Mechanism>)>,
    },
    /// The host could not be looked at.
    #[error("{what}: {source}")]
    Host {
        /// What was looked at.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a sandbox or a command did not start. Nothing half started is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no plan for it.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The command's own words cannot be passed to the kernel.
    #[error("{word:?} contains a NUL byte")]
    Nul {
        /// The argument, variable or path.
        word: OsString,
    },
    /// A choice that makes no sense for this stream.
    #[error("{stream} cannot be {choice}")]
    MisplacedStream {
        /// Which stream.
        stream: &'static str,
        /// What was asked for it.
        choice: &'static str,
    },
    /// A standard stream is an open directory, which leads out of the sandbox.
    #[error("a standard stream is a directory, which would lead out of the sandbox")]
    DirectoryStream,
    /// The namespaces cannot be made.
    #[error("cannot make namespaces: {source}")]
    Namespaces {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step of building the root failed.
    #[error("cannot set up the sandbox: {step}: {source}")]
    SetUp {
        /// The step, as the plan prints it.
        step: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another sandbox writes to the same upper directory.
    #[error("{upper} is mounted by a sandbox that still lives", upper = upper.display())]
    UpperInUse {
        /// The upper directory.
        upper: PathBuf,
    },
    /// The overlay cannot be mounted here.
    #[error("cannot mount an overlay over {lower}: {source}", lower = lower.display())]
    Overlay {
        /// The lowest of its layers.
        lower: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another sandbox has what the caller serves.
    #[error("the filesystem {name} is shown by a sandbox that still lives: it holds {lock}", lock = lock.display())]
    Locked {
        /// Its name.
        name: ServedName,
        /// The file that both lock.
        lock: PathBuf,
    },
    /// A filesystem that the caller serves cannot be mounted inside, or is not served.
    #[error("cannot mount the filesystem {name}: {source}")]
    Serve {
        /// Its name.
        name: ServedName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command could not be executed.
    #[error("{}: {source}", shown(.program))]
    Exec {
        /// What should have been executed.
        program: PathBuf,
        /// ENOENT, EACCES, ENOEXEC and the like.
        #[source]
        source: io::Error,
    },
    /// The directory to start in is not there inside.
    #[error("{cwd}: cannot start in this directory: {source}", cwd = cwd.display())]
    Cwd {
        /// The directory.
        cwd: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A wall could not be put up around the command.
    #[error("cannot confine the command ({stage:?}): {source}")]
    Confine {
        /// Where.
        stage: StartStage,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A limit of every process that the kernel refuses.
    #[error(transparent)]
    Limit(#[from] RefusedLimit),
    /// The limits could not be set up.
    #[error(transparent)]
    Cgroup(#[from] crate::cgroup::CreateError),
    /// The sandbox could not be put into its cgroup.
    #[error(transparent)]
    CgroupAdd(#[from] crate::cgroup::AddError),
    /// Init is gone, killed from outside.
    #[error("the sandbox has ended")]
    Ended,
    /// The pool that it should have come from has been closed.
    #[error("the pool is closed")]
    PoolClosed,
    /// A clone runs its one function.
    #[error("this sandbox is a clone, in which no commands are started; start them in its template")]
    InClone,
    /// Only clones are waited for as a whole.
    #[error("this sandbox is no clone: wait for the commands in it")]
    NoClone,
    /// A system call of the supervisor failed.
    #[error("{what}: {source}")]
    Supervisor {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where a command's start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartStage {
    /// Making the process.
    Clone,
    /// Standard streams and the terminal.
    Stdio,
    /// Resource limits, niceness, CPUs.
    Limits,
    /// User and groups.
    Identity,
    /// Capabilities and no_new_privs.
    Privileges,
    /// Landlock.
    Landlock,
    /// seccomp.
    Seccomp,
}

/// Why waiting for a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The sandbox's init died without being asked to.
    #[error("the sandbox's init died; everything in it has been killed")]
    InitDied,
    /// A stream could not be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn supervisor(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Supervisor {
            what,
            source: errno.into(),
        }
    }

    /// What init reported about a command.
    pub(crate) fn from_stage(stage: u64, source: io::Error, program: PathBuf, cwd: PathBuf) -> Self {
        let confine = |stage, source| Self::Confine { stage, source };
        match Stage::from_number(stage) {
            Some(Stage::Exec) => Self::Exec { program, source },
            Some(Stage::Cwd) => Self::Cwd { cwd, source },
            Some(Stage::Stdio) => confine(StartStage::Stdio, source),
            Some(Stage::Limits) => confine(StartStage::Limits, source),
            Some(Stage::Identity) => confine(StartStage::Identity, source),
            Some(Stage::Privileges) => confine(StartStage::Privileges, source),
            Some(Stage::Landlock) => confine(StartStage::Landlock, source),
            Some(Stage::Seccomp) => confine(StartStage::Seccomp, source),
            Some(Stage::Clone | Stage::Request) | None => confine(StartStage::Clone, source),
        }
    }

    /// The exit status a shell would give: 127 when there is no such command, 126 when it cannot be
    /// executed, 125 when the sandbox failed before it.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Exec { .. } => 126,
            _ => 125,
        }
    }

    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exec { program, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(if program.components().count() > 1 {
                    format!(
                        "does it exist, with its interpreter or loader, and is it granted? to allow: -r {}",
                        program.display()
                    )
                } else {
                    "is it on PATH, in a directory that is visible inside? see: sandbox profile show default"
                        .into()
                })
            }
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("it must be a file with an executable bit, and nothing that --deny hides".into())
            }
            Self::Cwd { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("its permissions keep the command's user out; start elsewhere: --cwd DIR".into())
            }
            Self::Cwd { cwd, .. } => Some(format!("to allow: -r {}", cwd.display())),
            Self::Serve { source, .. } => without_device(source).map(Into::into),
            Self::Namespaces { .. } | Self::SetUp { .. } => Some("see: sandbox doctor".into()),
            Self::Prepare(PrepareError::Unavailable { .. }) => {
                Some("see: sandbox doctor; to go on with less: --require best-effort".into())
            }
            _ => None,
        }
    }
}

/// What keeps /dev/fuse from being used.
fn without_device(source: &io::Error) -> Option<&'static str> {
    match source.raw_os_error()? {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => Some(
            "/dev/fuse: load the module (modprobe fuse); in a container, start it with --device /dev/fuse",
        ),
        libc::EACCES => Some(
            "/dev/fuse: its mode is 0666 where udev runs; otherwise: chmod 0666 /dev/fuse as root, or be root",
        ),
        libc::EPERM => Some("see: sandbox doctor; in a container, start it with --device /dev/fuse"),
        _ => None,
    }
}

/// A name of nothing is shown as such.
fn shown(program: &Path) -> String {
    if program.as_os_str().is_empty() {
        "\"\"".to_owned()
    } else {
        program.display().to_string()
    }
}

fn unavailable_text(report: &EnforcementReport, missing: &[(&'static str, Vec<Mechanism>)]) -> String {
    let mut text = String::from("this host cannot keep what the policy asks for:");
    for (guarantee, mechanisms) in missing {
        let names: Vec<_> = mechanisms.iter().map(|mechanism| mechanism.title()).collect();
        text.push_str(&format!("\n  {guarantee}: needs {}", names.join(", ")));
    }
    for note in &report.notes {
        text.push_str(&format!("\n  {}", note.what));
        if let Some(hint) = &note.hint {
            text.push_str(&format!(" → {hint}"));
        }
    }
    text
}
