//! Why there is no template, or no clone.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sandbox_types::Outcome;

use crate::error::{PrepareError, RunError, StartError, StartStage};
use crate::fork::enter::Step;
use crate::fork::order::SOCKET;
use crate::wire::Stage;

/// Why a template was not made, or not forked. Nothing half made is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// There is no sandbox for it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A template is a copy of its caller, which must have one thread when it is made: what other threads hold locked
    /// at that moment would stay locked in the copy.
    #[error("this process has {threads} threads, and a template can be made of a process with one only")]
    MultiThreaded {
        /// How many there are.
        threads: usize,
    },
    /// The zygote was started without functions of that name.
    #[error("no template {name:?} was registered with the zygote")]
    NotRegistered {
        /// As it was asked for.
        name: String,
    },
    /// The zygote is gone.
    #[error("the zygote has ended")]
    ZygoteEnded,
    /// Clones live in pid namespaces.
    #[error("clones take namespaces, which this host does not give: {cause}")]
    NeedsNamespaces {
        /// Why there are none.
        cause: String,
    },
    /// Nothing but Landlock keeps processes of one user in one sandbox from tracing one another, and the keeper of
    /// clones with them.
    #[error("clones take Landlock, which this kernel does not have, or the policy has given up (nested)")]
    NeedsLandlock,
    /// The template could not be brought inside.
    #[error("cannot make the template: {step}: {source}")]
    Enter {
        /// What was done.
        step: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A wall could not be put up around the template.
    #[error("cannot confine the template ({stage:?}): {source}")]
    Confine {
        /// Where.
        stage: StartStage,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The first function panicked; what it said is on the template's standard error.
    #[error("the template's init function panicked")]
    InitPanicked,
    /// The template ended before it was ready.
    #[error("the template {outcome} before it was ready")]
    InitEnded {
        /// How.
        outcome: Outcome,
    },
    /// The first function has left threads behind (a pool, a runtime), of which a fork copies none.
    #[error("{}, and a template can be forked with one only", left_threads(*.threads))]
    InitThreads {
        /// How many there are, the one that has run it included; 0 where /proc does not say.
        threads: u64,
    },
    /// The template was not ready in time.
    #[error("the template was not ready after {limit:?}")]
    InitTimeout {
        /// How long it had.
        limit: Duration,
    },
    /// The program has ended, and never said that it was ready.
    #[error("{program} {outcome} before it said that it was ready", program = program.display())]
    ProgramEnded {
        /// As it was named.
        program: PathBuf,
        /// How.
        outcome: Outcome,
    },
    /// The program has not said in time that it was ready.
    #[error("{program} did not say within {limit:?} that it was ready", program = program.display())]
    ProgramTimeout {
        /// As it was named.
        program: PathBuf,
        /// How long it had.
        limit: Duration,
    },
    /// A program can be forked that has one thread only: a fork copies none but the one that calls it.
    #[error(
        "the program wanted to be forked with {threads} threads, which is only possible with one, and {outcome}"
    )]
    ProgramThreads {
        /// How many there were.
        threads: u64,
        /// How it ended then.
        outcome: Outcome,
    },
    /// The program has closed the descriptor by which it is forked, and was ended.
    #[error("the program has closed descriptor {SOCKET}, by which it is forked")]
    Closed,
    /// A process that the program has started has said that it was ready: it is not the template.
    #[error("process {pid}, which the program has started, said that it was ready; the program itself must")]
    ReadyElsewhere {
        /// Its pid inside.
        pid: u64,
    },
    /// What a program needs to be forked cannot be put where it is looked for.
    #[error("the policy grants a path over {}, where a program finds what it is forked by", path.display())]
    RuntimeHidden {
        /// Where.
        path: PathBuf,
    },
    /// The template has ended, so that there is nothing to fork. Clones that live go on.
    #[error("the template has ended ({outcome}), and nothing can be forked from it any more")]
    TemplateEnded {
        /// How.
        outcome: Outcome,
    },
    /// The template has not gone on for so long while it was to be forked, and was ended; so were the clones that it had
    /// been forked into.
    #[error("the template did not answer within {limit:?} while it was forked, and was ended")]
    Stalled {
        /// How long it may be silent.
        limit: Duration,
    },
    /// What the template was to be cancelled by has happened, see
    /// [`TemplateBuilder::cancel_when`](crate::TemplateBuilder::cancel_when).
    #[error("cancelled")]
    Cancelled,
    /// The sandbox was made without functions, or is a clone itself.
    #[error("nothing to fork: this sandbox is no template")]
    NoTemplate,
    /// Nothing of the template's is a branch.
    #[error("the policy mounts no branch, so that there is nothing to be made read-only or to be branched")]
    NoBranch,
    /// The template was made without anybody who keeps branches of clones.
    #[error("this template was made without branches for its clones")]
    NoBranches,
    /// Branches of clones are for a place where the template has none.
    #[error("branches for clones are of {at}, and the policy mounts no branch there", at = at.display())]
    NotMounted {
        /// Where.
        at: PathBuf,
    },
    /// More places than a clone can have views of its own at, or none.
    #[error(
        "a clone can have views of its own at 1 to {most} places, and this branch is mounted at {places}"
    )]
    TooManyViews {
        /// How many.
        places: usize,
        /// The most.
        most: usize,
    },
    /// A path of a branch is not where all of them are said to be.
    #[error("{path}: is beneath none of the directories that branches are kept in", path = path.display())]
    OutsideTrees {
        /// Which.
        path: PathBuf,
    },
    /// The template's branch is a layer of clones' branches, which nobody may write to any more.
    #[error("clones have branches over the template's, so that nobody can write to that any more")]
    Frozen,
    /// What is written through an open file would go on changing what clones see.
    #[error("files are open for writing on the template's branch{}", listed(.files))]
    OpenForWriting {
        /// Those that were found, at most 16, as they are called inside.
        files: Vec<PathBuf>,
    },
    /// Whoever keeps the branches of clones could not do so.
    #[error("the branches of clones: {source}")]
    Branches {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The views of clones could not be made.
    #[error("cannot {what}: {source}")]
    Views {
        /// What was to be done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pool of clones has been closed.
    #[error("the pool of clones is closed")]
    PoolClosed,
    /// The template is paused.
    #[error("the template is paused")]
    Paused,
    /// No clone was asked for.
    #[error("0 clones were asked for; 1 is the least")]
    NoClones,
    /// More clones than there can be.
    #[error("{asked} clones were asked for, and {most} of one template can live at once")]
    TooMany {
        /// How many.
        asked: u32,
        /// The most.
        most: usize,
    },
    /// The numbers of clones end at 4294967295.
    #[error("{count} clones from number {first} on: there are not so many numbers")]
    Numbers {
        /// The first number.
        first: u32,
        /// How many clones.
        count: u32,
    },
    /// This process may not have as many open files as the clones' channels and streams are.
    #[error(
        "{clones} clones take {needed} file descriptors here, and {free} are left of this process's limit"
    )]
    Descriptors {
        /// How many clones.
        clones: u32,
        /// How many descriptors they take.
        needed: u64,
        /// How many are left.
        free: u64,
    },
    /// Not all of them could be made; those that could have been ended again.
    #[error("{failed} of {asked} clones could not be forked: {source}")]
    Clones {
        /// How many were asked for.
        asked: u32,
        /// How many could not be made.
        failed: u64,
        /// The first reason.
        #[source]
        source: io::Error,
    },
}

impl ForkError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Start(error) => error.hint(),
            Self::MultiThreaded { .. } => Some(
                "make the template first in main, before any thread or runtime starts; or register it there with \
                 sandbox::zygote(), and use it any time later"
                    .into(),
            ),
            Self::ProgramEnded {
                outcome: Outcome::Exited { code: 0 },
                ..
            }
            | Self::ProgramTimeout { .. } => Some(
                "it says so by sandbox_fork.ready() in Python, by sandbox_ready() in C, when it has loaded what takes \
                 long"
                    .into(),
            ),
            Self::ProgramThreads { .. } => Some(
                "stop its threads before: join them, close pools and event loops; numeric libraries: \
                 OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1"
                    .into(),
            ),
            Self::InitThreads { .. } => Some(
                "end them before init returns: join them, drop pools and runtimes; start them in each clone".into(),
            ),
            Self::Stalled { .. } => Some(
                "what runs at a fork has not come to its end (handlers of pthread_atfork(3)), or the program was stopped"
                    .into(),
            ),
            Self::Closed => Some(format!(
                "leave it open: close descriptors by number, or from {} on",
                SOCKET + 1
            )),
            Self::ReadyElsewhere { .. } => Some(
                "start the interpreter itself, not a launcher that stays its parent; in a shell script: exec python3 …"
                    .into(),
            ),
            Self::NeedsNamespaces { .. } | Self::NeedsLandlock => Some("see: sandbox doctor".into()),
            Self::NoBranches => Some(
                "make it with Sandbox::template(&policy).branches(branch.for_clones()?), under a policy that mounts that \
                 branch"
                    .into(),
            ),
            Self::OpenForWriting { .. } => Some(
                "close them at the end of init, and open them in each clone: there they are in its own branch".into(),
            ),
            Self::Frozen => Some("give each clone a branch of its own, or make it read-only".into()),
            Self::Descriptors { needed, .. } => Some(format!(
                "raise the limit (ulimit -n, RLIMIT_NOFILE) by about {needed}, fork fewer at once, or give the clones \
                 streams that are not captured"
            )),
            Self::Clones { source, .. } if source.raw_os_error() == Some(libc::EAGAIN) => Some(
                "a limit on processes is reached: each clone is two, itself and the first process of its pid namespace"
                    .into(),
            ),
            Self::Clones { source, .. } if source.raw_os_error() == Some(libc::ENOSPC) => {
                Some("the limit on pid namespaces is reached: sysctl user.max_pid_namespaces".into())
            }
            Self::Clones { source, .. } if source.raw_os_error() == Some(libc::ENOMEM) => {
                Some("the memory limit, or the machine's memory, is used up".into())
            }
            _ => None,
        }
    }

    /// What the making of a template reported.
    pub(super) fn entering(step: u64, errno: u64) -> Self {
        let source = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
        if let Some(step) = Step::name(step) {
            return Self::Enter { step, source };
        }
        let stage = match Stage::from_number(step) {
            Some(Stage::Cwd) => {
                return Self::Enter {
                    step: "enter the starting directory",
                    source,
                };
            }
            Some(Stage::Stdio) => StartStage::Stdio,
            Some(Stage::Limits) => StartStage::Limits,
            Some(Stage::Identity) => StartStage::Identity,
            Some(Stage::Privileges) => StartStage::Privileges,
            Some(Stage::Landlock) => StartStage::Landlock,
            Some(Stage::Seccomp) => StartStage::Seccomp,
            Some(Stage::Clone | Stage::Request | Stage::Exec) | None => StartStage::Clone,
        };
        Self::Confine { stage, source }
    }

    pub(super) fn supervisor(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| StartError::supervisor(what)(errno).into()
    }
}

impl From<PrepareError> for ForkError {
    fn from(error: PrepareError) -> Self {
        Self::Start(error.into())
    }
}

fn left_threads(threads: u64) -> String {
    match threads {
        0 => "it cannot be found out how many threads the template has after init".into(),
        threads => format!("the template has {threads} threads after init"),
    }
}

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    match names.as_slice() {
        [] => String::new(),
        names => format!(": {}", names.join(", ")),
    }
}

/// Why a reduction has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReduceError {
    /// One of the sandboxes is no clone.
    #[error("sandbox number {index} to be reduced is no clone")]
    NoClone {
        /// Which.
        index: usize,
    },
    /// The result of a clone has been taken already.
    #[error("clone number {index} has been waited for already, and its output given away")]
    Taken {
        /// Which.
        index: usize,
    },
    /// One more could not be forked.
    #[error(transparent)]
    Fork(#[from] Box<ForkError>),
    /// The reducer did not start.
    #[error("the reducer: {0}")]
    Start(#[from] StartError),
    /// Waiting failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What the template was to be cancelled by has happened.
    #[error("cancelled")]
    Cancelled,
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

impl From<ForkError> for ReduceError {
    fn from(error: ForkError) -> Self {
        match error {
            ForkError::Cancelled => Self::Cancelled,
            error => Self::Fork(Box::new(error)),
        }
    }
}

/// Why a fork with a reduction has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapReduceError {
    /// There are no clones.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// There is no reduction.
    #[error(transparent)]
    Reduce(#[from] ReduceError),
}
