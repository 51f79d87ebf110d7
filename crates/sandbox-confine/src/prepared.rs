//! A policy turned into a plan, a filter and a set-up blob, once, for any number of runs.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;
use sandbox_types::{EnforcementReport, Policy};

use crate::cgroup::{Cgroup, CgroupSupport, Hierarchy};
use crate::command::{Command, Stdio};
use crate::error::{PrepareError, StartError};
use crate::exec;
use crate::host::{Host, NoNamespaces, known_no_namespaces, remember_no_namespaces};
use crate::init::{self, Init};
use crate::plan::{Place, Plan, Step, gather, plan};
use crate::process::{Owned, Parts, Process};
use crate::pty::PtyMaster;
use crate::run::BoundCommand;
use crate::scratch::Scratch;
use crate::seccomp;
use crate::streams::Streams;
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
    inner: Mutex<Arc<Inner>>,
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
        policy.check()?;
        let inner = Mutex::new(Arc::new(Inner::new(policy)?));
        let policy = policy.clone();
        Ok(Self(Arc::new(Shared { policy, inner })))
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
        let is_pty = command.is_pty();
        let inner = self.inner();
        let request = Request::new(&inner, command)?;
        let failure = match start_alone(&inner, early, &request) {
            Ok(started) => return started.into_process(request, &inner, is_pty),
            Err(failure) => failure,
        };
        // Namespaces were tried by really using them. Without, the same command runs behind other walls, as
        // far as the policy's guarantees can be kept.
        let Some(cause) = cause_of(&inner, &failure) else {
            return Err(failure);
        };
        let inner = self.without_namespaces(&cause)?;
        start_alone(&inner, None, &request)?.into_process(request, &inner, is_pty)
    }

    /// Builds a sandbox without a command in it.
    pub(crate) fn launch(&self) -> Result<(Arc<Inner>, Owned), StartError> {
        let inner = self.inner();
        let failure = match launch_and_wait(&inner) {
            Ok(owned) => return Ok((inner, owned)),
            Err(failure) => failure,
        };
        let Some(cause) = cause_of(&inner, &failure) else {
            return Err(failure);
        };
        let inner = self.without_namespaces(&cause)?;
        let owned = launch_and_wait(&inner)?;
        Ok((inner, owned))
    }

    fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn without_namespaces(&self, cause: &NoNamespaces) -> Result<Arc<Inner>, StartError> {
        remember_no_namespaces(cause);
        let inner = Arc::new(Inner::new(&self.0.policy)?);
        *self.0.inner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&inner);
        Ok(inner)
    }
}

impl Inner {
    fn new(policy: &Policy) -> Result<Self, PrepareError> {
        let host = detect_host()?;
        let limits = &policy.limits;
        let is_grouped = limits.memory.is_some() || limits.processes.is_some() || limits.cpu_time.is_some();
        let cgroups = is_grouped.then(|| Hierarchy::host().probe());
        let view = gather(policy, &host)?;
        let plan = plan(policy, &host, cgroups.as_ref(), &view)?;
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
        let sealed = init::sealed("sandbox-setup", &blob, MemfdFlags::NOEXEC_SEAL)?;
        match scratch {
            None => then(self.setup.get_or_init(|| sealed)),
            Some(_) => then(&sealed),
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
        || (errno == libc::EACCES && !step.starts_with("take "));
    is_refusal.then_some(NoNamespaces { step, errno })
}

/// One command on its way: the blob for init and the streams.
#[derive(Debug)]
pub(crate) struct Request {
    command: Command,
    streams: Streams,
    flags: u64,
}

/// A command that runs in a sandbox of its own.
struct Started {
    owned: Owned,
    channel: OwnedFd,
    pid: u32,
    time_us: u64,
    master: Option<OwnedFd>,
}

impl Request {
    /// Opens the streams of `command`.
    pub(crate) fn new(inner: &Inner, mut command: Command) -> Result<Self, StartError> {
        let flags = if command.is_pty() { wire::SPAWN_PTY } else { 0 };
        let mut take =
            |stdio: fn(&mut Command) -> &mut Option<Stdio>| stdio(&mut command).take().unwrap_or_default();
        let stdin = take(|command| &mut command.stdin);
        let stdout = take(|command| &mut command.stdout);
        let stderr = take(|command| &mut command.stderr);
        let streams = Streams::open(stdin, stdout, stderr, inner.plan.output)?;
        Ok(Self {
            command,
            streams,
            flags,
        })
    }

    fn blob(&self, inner: &Inner, scratch: Option<&Path>) -> Result<OwnedFd, StartError> {
        let plan = &inner.plan;
        let cwd = self.command.cwd.clone().unwrap_or_else(|| plan.cwd_in(scratch));
        let blob = exec::encode(&self.command, &plan.env_in(scratch), &plan.path, &cwd)?;
        init::sealed("sandbox-command", &blob, MemfdFlags::NOEXEC_SEAL)
    }

    /// Sends the request; the command's channel.
    fn send(
        &self,
        inner: &Inner,
        init: &Init,
        scratch: Option<&Path>,
        flags: u64,
    ) -> Result<OwnedFd, StartError> {
        let (ours, theirs) = init::socket_pair()?;
        let blob = self.blob(inner, scratch)?;
        let [stdin, stdout, stderr] = &self.streams.theirs;
        let fds = [
            blob.as_fd(),
            theirs.as_fd(),
            stdin.as_fd(),
            stdout.as_fd(),
            stderr.as_fd(),
        ];
        init.spawn(flags | self.flags, &fds)?;
        Ok(ours)
    }

    fn start_error(&self, inner: &Inner, scratch: Option<&Path>, message: &wire::Message) -> StartError {
        let [_, stage, errno, ..] = *message;
        let source = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
        if stage == wire::Stage::Limits as u64
            && let Some(refused) = inner.plan.refused_limit()
        {
            return refused.into();
        }
        let cwd = self
            .command
            .cwd
            .clone()
            .unwrap_or_else(|| inner.plan.cwd_in(scratch));
        StartError::from_stage(stage, source, self.command.program().into(), cwd)
    }
}

impl Started {
    fn into_process(self, request: Request, inner: &Inner, is_pty: bool) -> Result<Process, StartError> {
        Process::new(Parts {
            channel: self.channel,
            ours: request.streams.ours,
            watch: inner.plan.watch,
            report: Arc::clone(&inner.report),
            pty: self.master.filter(|_| is_pty).map(PtyMaster::new),
            pid: self.pid,
            started_us: self.time_us,
            owned: Some(self.owned),
            shared: None,
        })
    }
}

fn start_alone(inner: &Inner, early: Option<Init>, request: &Request) -> Result<Started, StartError> {
    let owned = launch(inner, early)?;
    let scratch = owned.scratch.as_ref().map(Scratch::path);
    let channel = request.send(inner, &owned.init, scratch, wire::SPAWN_LAST)?;
    let (pid, time_us, master) = await_start(inner, request, &owned, &channel)?;
    Ok(Started {
        owned,
        channel,
        pid,
        time_us,
        master,
    })
}

/// Starts a command in a sandbox that lives on.
pub(crate) fn start_in(inner: &Inner, owned: &Owned, command: Command) -> Result<Process, StartError> {
    let request = Request::new(inner, command)?;
    let scratch = owned.scratch.as_ref().map(Scratch::path);
    let channel = request.send(inner, &owned.init, scratch, 0)?;
    let (pid, started_us, master) = await_start(inner, &request, owned, &channel)?;
    Process::new(Parts {
        channel,
        ours: request.streams.ours,
        watch: inner.plan.watch,
        report: Arc::clone(&inner.report),
        pty: master.map(PtyMaster::new),
        pid,
        started_us,
        owned: None,
        shared: Some(owned.share()),
    })
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
        init.go(setup.as_fd())
    })?;
    Ok(Owned {
        init,
        cgroup,
        scratch,
        is_cancelled: Arc::default(),
    })
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

fn launch_and_wait(inner: &Inner) -> Result<Owned, StartError> {
    let owned = launch(inner, None)?;
    match init::receive(owned.init.control(), RecvFlags::empty())? {
        Some(([wire::READY, ..], _)) => Ok(owned),
        Some((message @ [wire::FAILED, ..], _)) => Err(inner.set_up_error(&message)),
        Some(_) | None => Err(StartError::Ended),
    }
}

/// Waits until the command has executed, or it is known why not.
fn await_start(
    inner: &Inner,
    request: &Request,
    owned: &Owned,
    channel: &OwnedFd,
) -> Result<(u32, u64, Option<OwnedFd>), StartError> {
    let scratch = owned.scratch.as_ref().map(Scratch::path);
    let init = &owned.init;
    loop {
        let control = init.control();
        let mut fds = [
            PollFd::new(channel, PollFlags::IN),
            PollFd::new(&control, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(StartError::supervisor("poll")(errno)),
        }
        let [for_channel, for_control] = fds.map(|fd| !fd.revents().is_empty());
        if for_channel {
            match init::receive(channel.as_fd(), RecvFlags::DONTWAIT)? {
                Some(([wire::STARTED, pid, time_us, ..], master)) => {
                    return Ok((u32::try_from(pid).unwrap_or(0), time_us, master));
                }
                Some((message @ [wire::FAILED, ..], _)) => {
                    return Err(request.start_error(inner, scratch, &message));
                }
                Some(_) => continue,
                // Init is gone. Why, it has said on the control socket.
                None => {}
            }
        }
        if for_control || for_channel {
            match init::receive(init.control(), RecvFlags::empty())? {
                Some((message @ [wire::FAILED, ..], _)) => return Err(inner.set_up_error(&message)),
                Some(_) => {}
                None => return Err(StartError::Ended),
            }
        }
    }
}
