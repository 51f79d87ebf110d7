//! A policy turned into a plan, a filter and a set-up blob, once, for any number of runs.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;
use sandbox_types::{EnforcementReport, Policy};

use crate::cgroup::{Cgroup, CgroupSupport, Hierarchy};
use crate::command::Command;
use crate::error::{PrepareError, StartError, StartStage};
use crate::host::{Host, NoNamespaces, known_no_namespaces, remember_no_namespaces};
use crate::init::Init;
use crate::messages;
use crate::plan::{Place, Plan, Step, gather, plan};
use crate::process::{Owned, Process};
use crate::run::BoundCommand;
use crate::scratch::Scratch;
use crate::seccomp;
use crate::served::{self, Filesystems};
use crate::start::{Failure, Request, Started};
use crate::surroundings::Surroundings;
use crate::wire;

/// A policy that is ready to run commands: looked at the host, planned, and its filter compiled.
///
/// Paths are looked up when it is made; files may change afterwards, but a granted path that is replaced by
/// a link is refused at the start of the next command.
///
/// Cloning is cheap and shares the plan.
#[derive(Debug, Clone)]
pub struct Prepared(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: Policy,
    served: Filesystems,
    /// What is inside besides.
    extras: Extras,
    inner: Mutex<Arc<Inner>>,
}

/// What a sandbox has besides what its policy says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// Files of ours that are to be inside.
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
    /// Directories of the host that views of clones are made of.
    pub(crate) trees: Vec<PathBuf>,
    /// Whether clones live in it, which are to be kept from one another.
    pub(crate) is_for_clones: bool,
}

/// What all runs of one plan share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) plan: Plan,
    pub(crate) report: Arc<EnforcementReport>,
    filter: Cow<'static, [u8]>,
    cgroups: Option<CgroupSupport>,
    setup: OnceLock<OwnedFd>,
}

impl Prepared {
    /// Plans `policy` for this host.
    ///
    /// # Errors
    /// [`PrepareError`]: the policy is invalid, names what does not exist, or asks for what this host cannot
    /// guarantee.
    pub fn new(policy: &Policy) -> Result<Self, PrepareError> {
        Self::serving(policy, Filesystems::default())
    }

    /// The same, with filesystems that this process serves.
    pub(crate) fn serving(policy: &Policy, served: Filesystems) -> Result<Self, PrepareError> {
        Self::with_all(policy, served, Extras::default())
    }

    /// The same, with more inside.
    pub(crate) fn with_all(
        policy: &Policy,
        served: Filesystems,
        extras: Extras,
    ) -> Result<Self, PrepareError> {
        policy.check()?;
        served.check(policy)?;
        let inner = Mutex::new(Arc::new(Inner::new(policy, &served, &extras)?));
        let policy = policy.clone();
        Ok(Self(Arc::new(Shared {
            policy,
            served,
            extras,
            inner,
        })))
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Everything a run will do. Where namespaces turn out not to work, the first run replaces it.
    pub fn plan(&self) -> Plan {
        self.inner().plan.clone()
    }

    /// A command in a sandbox of its own.
    pub fn command(&self, program: impl AsRef<OsStr>) -> BoundCommand<'_> {
        BoundCommand::of_prepared(self, Command::new(program))
    }

    /// Starts `command` in a sandbox of its own, which ends with it.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind then.
    pub fn spawn(&self, command: Command) -> Result<Process, StartError> {
        self.spawn_in(None, command)
    }

    /// Plans `policy` and starts `command`, while init, started first, makes the namespaces that take long.
    pub(crate) fn spawn_once(policy: &Policy, command: Command) -> Result<Process, StartError> {
        policy.check().map_err(PrepareError::from)?;
        let host = detect_host()?;
        let early = match host.no_namespaces {
            Some(_) => None,
            None => match Init::start(&crate::plan::launch(policy, &host, Place::Namespaces)) {
                Ok(init) => Some(init),
                Err(failure) => {
                    remember_no_namespaces(&refusal(&failure).ok_or(failure)?);
                    None
                }
            },
        };
        Self::new(policy)?.spawn_in(early, command)
    }

    fn spawn_in(&self, early: Option<Init>, command: Command) -> Result<Process, StartError> {
        let inner = self.inner();
        let request = Request::new(inner.plan.output, command)?;
        let failure = match self.start_alone(&inner, early, &request) {
            Ok((started, owned)) => return request.into_process(started, owned),
            Err(failure) => failure,
        };
        // Namespaces were tried by really using them. Without, the same command runs behind other walls, as
        // far as the policy's guarantees can be kept.
        let Some(cause) = cause_of(&inner, &failure) else {
            return Err(failure);
        };
        let inner = self.without_namespaces(&cause)?;
        let (started, owned) = self.start_alone(&inner, None, &request)?;
        request.into_process(started, owned)
    }

    /// Builds a sandbox without a command in it.
    pub(crate) fn launch(&self) -> Result<Owned, StartError> {
        let inner = self.inner();
        let failure = match self.launch_and_wait(&inner) {
            Ok(owned) => return Ok(owned),
            Err(failure) => failure,
        };
        let Some(cause) = cause_of(&inner, &failure) else {
            return Err(failure);
        };
        self.launch_and_wait(&*self.without_namespaces(&cause)?)
    }

    /// What limits the output of its commands.
    pub(crate) fn output(&self) -> Option<crate::streams::OutputLimit> {
        self.inner().plan.output
    }

    /// An error of a command's start in a sandbox of this plan, with its cause where the plan tells it.
    pub(crate) fn explain(&self, error: StartError) -> StartError {
        self.inner().explain(error)
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn without_namespaces(&self, cause: &NoNamespaces) -> Result<Arc<Inner>, StartError> {
        remember_no_namespaces(cause);
        let inner = Arc::new(Inner::new(&self.0.policy, &self.0.served, &self.0.extras)?);
        *self.0.inner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&inner);
        Ok(inner)
    }

    fn start_alone(
        &self,
        inner: &Inner,
        early: Option<Init>,
        request: &Request,
    ) -> Result<(Started, Owned), StartError> {
        let owned = self.launch_init(inner, early)?;
        match request.start_alone(&owned) {
            Ok(started) => Ok((started, owned)),
            Err(Failure::SetUp(message)) => Err(inner.set_up_error(&message)),
            Err(Failure::Start(error)) => Err(inner.explain(error)),
        }
    }

    fn launch_and_wait(&self, inner: &Inner) -> Result<Owned, StartError> {
        let mut owned = self.launch_init(inner, None)?;
        loop {
            match messages::receive(owned.init.control(), RecvFlags::empty())? {
                Some(([wire::TREE, ..], Some(tree))) => owned.trees.push(tree),
                Some(([wire::READY, ..], _)) => return Ok(owned),
                Some((message @ [wire::FAILED, ..], _)) => return Err(inner.set_up_error(&message)),
                Some(_) | None => return Err(StartError::Ended),
            }
        }
    }

    /// Starts init and lets it go; its set-up runs meanwhile, from the moment at which all is served that is served.
    fn launch_init(&self, inner: &Inner, early: Option<Init>) -> Result<Owned, StartError> {
        let mut owned = launch(inner, early)?;
        match self.0.served.serve(&owned.init, &inner.plan.steps) {
            Ok(serving) => owned.serving = serving,
            Err(served::Failure::SetUp(message)) => return Err(inner.set_up_error(&message)),
            Err(served::Failure::Start(error)) => return Err(error),
        }
        Ok(owned)
    }
}

impl Inner {
    fn new(policy: &Policy, served: &Filesystems, extras: &Extras) -> Result<Self, PrepareError> {
        let host = detect_host()?;
        let limits = &policy.limits;
        let is_grouped = limits.memory.is_some() || limits.processes.is_some() || limits.cpu_time.is_some();
        let cgroups = is_grouped.then(|| Hierarchy::host().probe());
        let mut view = gather(policy, &host, served)?;
        view.files.clone_from(&extras.files);
        let mut plan = plan(policy, &host, cgroups.as_ref(), &view)?;
        plan.take_trees(&extras.trees);
        if extras.is_for_clones {
            plan.hide_others();
            plan.bound_scratch(limits.memory);
        }
        let filter = seccomp::filter(&plan.filter)?;
        let report = Arc::new(plan.report.clone());
        Ok(Self {
            plan,
            report,
            filter,
            cgroups,
            setup: OnceLock::new(),
        })
    }

    /// The set-up blob for one run; shared by all runs that need no private directory.
    fn with_setup<T>(
        &self,
        scratch: Option<&Path>,
        then: impl FnOnce(&OwnedFd) -> Result<T, StartError>,
    ) -> Result<T, StartError> {
        if let (None, Some(setup)) = (scratch, self.setup.get()) {
            return then(setup);
        }
        let blob = self.plan.encode(&self.filter, scratch)?;
        let sealed = messages::sealed("sandbox-setup", &blob, MemfdFlags::NOEXEC_SEAL)?;
        match scratch {
            None => then(self.setup.get_or_init(|| sealed)),
            Some(_) => then(&sealed),
        }
    }

    fn explain(&self, error: StartError) -> StartError {
        match error {
            StartError::Confine {
                stage: StartStage::Limits,
                ..
            } => self.plan.refused_limit().map_or(error, StartError::from),
            error => error,
        }
    }

    /// What init said about its set-up.
    fn set_up_error(&self, message: &wire::Message) -> StartError {
        let [_, step, errno, ..] = *message;
        let source = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
        let step = usize::try_from(step)
            .ok()
            .and_then(|index| self.plan.steps.get(index));
        if let Some(Step::Overlay { overlay, .. }) = step {
            return match source.raw_os_error() {
                Some(libc::EAGAIN) => StartError::UpperInUse {
                    upper: overlay.upper.clone(),
                },
                _ => StartError::Overlay {
                    lower: overlay.lowers.last().cloned().unwrap_or_default(),
                    source,
                },
            };
        }
        if let Some(Step::Served { name, lock, .. }) = step {
            if let (Some(libc::EAGAIN), Some(lock)) = (source.raw_os_error(), lock) {
                return StartError::Locked {
                    name: name.clone(),
                    lock: lock.clone(),
                };
            }
            return StartError::Serve {
                name: name.clone(),
                source,
            };
        }
        StartError::SetUp {
            step: step.map_or_else(|| "before the first step".to_owned(), Step::to_string),
            source,
        }
    }
}

fn detect_host() -> Result<Host, PrepareError> {
    let host = Host::detect().map_err(|source| PrepareError::Host {
        what: "/proc/self",
        source,
    })?;
    Ok(match known_no_namespaces() {
        Some(cause) => host.without_namespaces(cause),
        None => host,
    })
}

/// Whether a failed start shows that namespaces do not work here.
fn cause_of(inner: &Inner, failure: &StartError) -> Option<NoNamespaces> {
    if inner.plan.launch.namespaces == 0 {
        None
    } else {
        refusal(failure)
    }
}

fn refusal(failure: &StartError) -> Option<NoNamespaces> {
    let (step, source) = match failure {
        StartError::Namespaces { source } => ("clone with namespaces".to_owned(), source),
        StartError::SetUp { step, source } => (step.clone(), source),
        _ => return None,
    };
    let errno = source.raw_os_error()?;
    // Namespaces are counted (namespaces(7)); the root's own file system may be full for another reason.
    let makes_namespaces = matches!(failure, StartError::Namespaces { .. }) || step == Step::Join.to_string();
    let is_refusal = matches!(errno, libc::EPERM | libc::ENOSYS)
        || (matches!(errno, libc::ENOSPC | libc::EUSERS) && makes_namespaces)
        || (errno == libc::EINVAL && matches!(failure, StartError::Namespaces { .. }))
        // Root in a sandbox of ours has a read-only /proc, where no identity map can be written.
        || (errno == libc::EROFS && matches!(failure, StartError::Namespaces { .. }))
        || (errno == libc::EACCES && !step.starts_with("take "));
    is_refusal.then_some(NoNamespaces { step, errno })
}

/// Starts init and lets it go; its set-up runs meanwhile.
fn launch(inner: &Inner, early: Option<Init>) -> Result<Owned, StartError> {
    let init = match early {
        Some(init) => init,
        None => Init::start(&inner.plan.launch)?,
    };
    let scratch = inner
        .plan
        .needs_scratch()
        .then(|| private_directory(inner.plan.identity))
        .transpose()?;
    let cgroup = match (&inner.plan.cgroup, &inner.cgroups) {
        (Some(limits), Some(support)) => {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let cgroup = Cgroup::create(support, COUNT.fetch_add(1, Ordering::Relaxed), limits)?;
            cgroup.add(init.pid().unsigned_abs())?;
            Some(Arc::new(cgroup))
        }
        _ => None,
    };
    inner.with_setup(scratch.as_ref().map(Scratch::path), |setup| {
        init.go(setup.as_fd(), inner.plan.flags())
    })?;
    let surroundings = Surroundings::of(&inner.plan, &inner.report, scratch.as_ref().map(Scratch::path));
    Ok(Owned::new(init, cgroup, scratch, surroundings))
}

/// A private directory of the host's, whose owner is whoever the command becomes.
fn private_directory(identity: Option<(u32, u32)>) -> Result<Scratch, StartError> {
    let failed = |source| StartError::Supervisor {
        what: "make a private directory",
        source,
    };
    let scratch = Scratch::new().map_err(failed)?;
    for name in ["home", "tmp"] {
        let path = scratch.path().join(name);
        std::fs::create_dir(&path).map_err(failed)?;
        if let Some((uid, gid)) = identity {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).map_err(failed)?;
        }
    }
    if let Some((uid, gid)) = identity {
        std::os::unix::fs::chown(scratch.path(), Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(scratch)
}
