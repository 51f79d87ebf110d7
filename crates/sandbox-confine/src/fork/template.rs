//! Making a template.

use std::fmt::Display;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use sandbox_types::{CloneBranches, Policy};

use super::enter;
use super::error::ForkError;
use super::link::{Kind, Link};
use super::options::INIT_TIMEOUT;
use super::order::{Body, Files, Order};
use super::program;
use super::runtime;
use super::serve::{self, Work};
use super::views::Views;
use crate::command::{Command, Stdio};
use crate::error::StartError;
use crate::exec;
use crate::init;
use crate::messages;
use crate::prepared::{Extras, Prepared};
use crate::process::Owned;
use crate::sandbox::Sandbox;
use crate::served::Filesystems;
use crate::streams::Streams;
use crate::sys::{self, Forked};
use crate::wire::{FAILED, KEEP, MADE};

/// What a template is made with, see [`Sandbox::template`].
#[derive(Debug)]
#[must_use = "a template is made by one of the last functions"]
pub struct TemplateBuilder<'a> {
    policy: &'a Policy,
    served: Filesystems,
    init_timeout: Duration,
    huge_pages: bool,
    branches: Option<Box<dyn CloneBranches>>,
    stdout: Stdio,
    stderr: Stdio,
    cancel: Option<Arc<OwnedFd>>,
}

impl<'a> TemplateBuilder<'a> {
    pub(crate) fn new(policy: &'a Policy, served: Filesystems) -> Self {
        Self {
            policy,
            served,
            init_timeout: INIT_TIMEOUT,
            huge_pages: false,
            branches: None,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            cancel: None,
        }
    }

    /// How long the template may take to be ready; five minutes by default. One that takes longer is ended.
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.init_timeout = limit;
        self
    }

    /// Puts the template's large memory into huge pages when `init` has returned: a fork of 256 MiB then costs a tenth,
    /// and a clone that writes a byte copies 2 MiB instead of 4 KiB. Takes about two milliseconds a MiB, once. Off by
    /// default; without effect where the kernel has no transparent huge pages.
    pub fn huge_pages(mut self) -> Self {
        self.huge_pages = true;
        self
    }

    /// Who keeps the branches of clones, for [`Branches::PerClone`](crate::Branches::PerClone). The policy must mount the
    /// branch that they are of.
    ///
    /// Such a template keeps one thing more that lets it give clones mounts of their own, which they drop before the
    /// function runs: see docs/threat-model.md.
    pub fn branches(mut self, branches: impl CloneBranches + 'static) -> Self {
        self.branches = Some(Box::new(branches));
        self
    }

    /// The template's own standard output: the caller's by default. A pipe or a capture has nobody to read it and is
    /// refused.
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdout = stdio.into();
        self
    }

    /// The template's own standard error, as [`TemplateBuilder::stdout`].
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stderr = stdio.into();
        self
    }

    /// When this descriptor is readable (a signalfd(2), an eventfd(2), a pipe), nothing that takes time is waited for any
    /// more: making the template, forking and gathering fail with `Cancelled`. Nothing reads from it.
    pub fn cancel_when(mut self, readable: impl Into<OwnedFd>) -> Self {
        self.cancel = Some(Arc::new(readable.into()));
        self
    }

    /// A template of two functions, see [`Sandbox::new_with_fns`].
    ///
    /// # Errors
    /// [`ForkError`].
    pub fn functions(
        self,
        init: impl FnOnce() + Send,
        work: impl Fn(u32) + Send + Sync,
    ) -> Result<Sandbox, ForkError> {
        check_threads()?;
        self.make(|| {
            init();
            Box::new(move |id| {
                work(id);
                0
            })
        })
    }

    /// A template of two functions, whatever else runs in this process.
    ///
    /// # Errors
    /// [`ForkError`].
    ///
    /// # Safety
    /// Other threads of this process are not in the template, and what they hold locked at this moment stays locked
    /// there for good. The functions may use nothing that such a lock guards: as POSIX has it, nothing but what is
    /// async-signal-safe; in practice also the C library's allocator, whose locks fork(3) takes care of.
    #[expect(unsafe_code, reason = "the caller promises what no check can find out")]
    pub unsafe fn functions_unchecked(
        self,
        init: impl FnOnce() + Send,
        work: impl Fn(u32) + Send + Sync,
    ) -> Result<Sandbox, ForkError> {
        self.make(|| {
            init();
            Box::new(move |id| {
                work(id);
                0
            })
        })
    }

    /// A template whose first function answers what the second one needs, and whose clones answer bytes: these are the
    /// clone's captured standard output, while what it prints goes to its standard error. A clone whose function fails
    /// says so on its standard error and ends with status 1.
    ///
    /// ```no_run
    /// use sandbox_confine::{Policy, Sandbox};
    /// let mut template = Sandbox::template(&Policy::default()).typed(
    ///     || vec![2_u64, 3, 5, 7],
    ///     |primes, id| Ok::<_, std::num::TryFromIntError>(primes[usize::try_from(id)?].to_string().into_bytes()),
    /// )?;
    /// for mut clone in template.fork(4)? {
    ///     println!("{}", String::from_utf8_lossy(&clone.wait()?.stdout));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ForkError`].
    pub fn typed<S, E: Display>(
        self,
        init: impl FnOnce() -> S + Send,
        work: impl Fn(&S, u32) -> Result<Vec<u8>, E> + Send + Sync,
    ) -> Result<Sandbox, ForkError> {
        check_threads()?;
        self.make(|| {
            let state = init();
            Box::new(move |id| answer_with(|| work(&state, id)))
        })
    }

    /// A template that is a program: it loads what takes long and then says that it is ready, by `sandbox_fork.ready()`
    /// in Python, `sandbox_ready()` in C; each clone goes on from there with its number. What it needs for that is in its
    /// sandbox, see [`fork_runtime`](crate::fork_runtime).
    ///
    /// This process may have threads. Standard input of the program is /dev/null unless the command says otherwise; its
    /// output streams, until it is forked, are those of the command, or of this builder.
    ///
    /// ```no_run
    /// use sandbox_confine::{Command, Policy, Sandbox};
    /// let script = "import decimal, sandbox_fork; print(sandbox_fork.ready())";
    /// let mut template = Sandbox::template(&Policy::default()).command(Command::new("python3").args(["-c", script]))?;
    /// for mut clone in template.fork(100)? {
    ///     print!("{}", String::from_utf8_lossy(&clone.wait()?.stdout));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ForkError`]: the program cannot be executed, ends before it is ready, has threads, or is not ready in time.
    pub fn command(mut self, command: impl Into<Command>) -> Result<Sandbox, ForkError> {
        let mut command = command.into();
        let stdin = command.stdin.take().unwrap_or(Stdio::Null);
        self.stdout = command.stdout.take().unwrap_or(self.stdout);
        self.stderr = command.stderr.take().unwrap_or(self.stderr);
        let prepared = self.prepare(runtime::files())?;
        let owned = prepared.launch()?;
        let plan = prepared.plan();
        let views = Views::new(&plan, self.branches.take())?;
        let surroundings = &owned.surroundings;
        let cwd = command.cwd.clone().unwrap_or_else(|| surroundings.cwd.clone());
        let order = Order::new(&plan, Body::Program, &cwd, views.own_places().as_deref())?;
        runtime::check(&plan)?;
        let command = runtime::announce(command, &surroundings.env);
        let blob = exec::encode(&command, &surroundings.env, &surroundings.path, &cwd)?;
        let made = Made {
            prepared,
            owned,
            views,
            streams: self.streams(stdin)?,
            order,
        };
        let kind = Kind::Program {
            program: command.program().into(),
            cwd,
        };
        self.make_in(made, &kind, |order, files| program::fork(&order, files, &blob))
    }

    fn make<'b>(self, init: impl FnOnce() -> Work<'b>) -> Result<Sandbox, ForkError> {
        serve::flush();
        self.make_by(|order, files| {
            match sys::fork().map_err(|source| ForkError::Enter { step: "fork", source })? {
                Forked::Child => enter::enter(&order, files, |socket| serve::serve(socket, &order, init)),
                Forked::Parent(pid) => Ok(pid),
            }
        })
    }

    /// Makes it with somebody's entrant, whose pid `fork` answers.
    pub(super) fn make_by(
        mut self,
        fork: impl FnOnce(Order, &Files) -> Result<i32, ForkError>,
    ) -> Result<Sandbox, ForkError> {
        let prepared = self.prepare(Vec::new())?;
        let owned = prepared.launch()?;
        // Where namespaces turn out not to work, that is another plan than before.
        let plan = prepared.plan();
        let views = Views::new(&plan, self.branches.take())?;
        let surroundings = &owned.surroundings;
        let body = Body::functions(&surroundings.env)?;
        let order = Order::new(&plan, body, &surroundings.cwd, views.own_places().as_deref())?;
        let made = Made {
            prepared,
            owned,
            views,
            streams: self.streams(Stdio::Null)?,
            order,
        };
        self.make_in(made, &Kind::Functions, fork)
    }

    fn prepare(&self, files: Vec<(PathBuf, Vec<u8>)>) -> Result<Prepared, ForkError> {
        let trees = self.branches.as_ref().map(|branches| branches.trees());
        let trees = trees.unwrap_or_default();
        Ok(Prepared::with_all(
            self.policy,
            self.served.clone(),
            Extras {
                files,
                trees,
                is_for_clones: true,
            },
        )?)
    }

    fn streams(&mut self, stdin: Stdio) -> Result<Streams, StartError> {
        let [stdin, stdout, stderr] = [
            stdin,
            std::mem::take(&mut self.stdout),
            std::mem::take(&mut self.stderr),
        ]
        .map(own_stream);
        Streams::open(stdin?, stdout?, stderr?, None)
    }

    fn make_in(
        self,
        made: Made,
        kind: &Kind,
        fork: impl FnOnce(Order, &Files) -> Result<i32, ForkError>,
    ) -> Result<Sandbox, ForkError> {
        let Made {
            prepared,
            owned,
            views,
            streams,
            mut order,
        } = made;
        order.huge_pages = self.huge_pages;
        let mut ends = Ends::open()?;
        if matches!(kind, Kind::Program { .. }) {
            program::send_terms(ends.keeper.as_fd(), &order)?;
        }
        let files = ends.files(&owned, streams.theirs)?;
        let pid = fork(order, &files)?;
        drop(files);
        let control = ends.admit(&owned, pid);
        // A child of the zygote's is not ours to reap, which is no error.
        let waited = sys::wait_for(pid);
        let control = control?;
        waited.map_err(|source| StartError::Supervisor {
            what: "wait4",
            source,
        })?;
        let policy = Arc::new(self.policy.clone());
        let link = Link::new(policy, owned, control, views, self.cancel);
        link.await_ready(kind, self.init_timeout)?;
        link.hand_over_trees()?;
        Ok(Sandbox::of_template(prepared, Arc::new(link)))
    }
}

/// What there is of a template before its process.
struct Made {
    prepared: Prepared,
    owned: Owned,
    views: Views,
    streams: Streams,
    order: Order,
}

/// A stream of a template has nobody who reads it.
fn own_stream(stdio: Stdio) -> Result<Stdio, StartError> {
    match stdio {
        Stdio::Null | Stdio::Inherit | Stdio::File(_) => Ok(stdio),
        _ => Err(StartError::MisplacedStream {
            stream: "a stream of a template",
            choice: "anything but an open file, the caller's own or /dev/null",
        }),
    }
}

/// Room for some ten requests with their descriptors, bytes of which the kernel makes twice as many. With those that the
/// keeper has asked the template for, fewer descriptors are on their way than a user with 256 open files may have.
const CONTROL_BUFFER: usize = 4 * 1024;

/// Our ends and theirs of the sockets that a template is made with.
struct Ends {
    control: (OwnedFd, Option<OwnedFd>),
    report: (OwnedFd, Option<OwnedFd>),
    keeper: OwnedFd,
    template: Option<OwnedFd>,
}

impl Ends {
    fn open() -> Result<Self, StartError> {
        let (control, their_control) = messages::socket_pair()?;
        // Descriptors on their way count for the user, whoever sends them.
        rustix::net::sockopt::set_socket_send_buffer_size(&control, CONTROL_BUFFER)
            .map_err(StartError::supervisor("setsockopt"))?;
        let (report, their_report) = messages::socket_pair()?;
        let (keeper, template) = messages::socket_pair()?;
        Ok(Self {
            control: (control, Some(their_control)),
            report: (report, Some(their_report)),
            keeper,
            template: Some(template),
        })
    }
}

impl Ends {
    /// The descriptors for the template, which are closed here when they are dropped.
    fn files(&mut self, owned: &Owned, stdio: [OwnedFd; 3]) -> Result<Files, ForkError> {
        let dup = |fd: std::os::fd::BorrowedFd<'_>| {
            fd.try_clone_to_owned().map_err(|source| StartError::Supervisor {
                what: "fcntl",
                source,
            })
        };
        let gone = || StartError::Ended;
        let files = Files {
            init: dup(owned.init.pidfd())?,
            image: dup(init::image()?.as_fd())?,
            control: self.control.1.take().ok_or_else(gone)?,
            socket: self.template.take().ok_or_else(gone)?,
            report: self.report.1.take().ok_or_else(gone)?,
            stdio,
        };
        files.out_of_the_way().map_err(ForkError::supervisor("fcntl"))
    }

    /// Puts the entrant where its limits are, gives it leave, and waits until it has done its part. Our end of the
    /// keeper's control socket, and the keeper's pid inside.
    fn admit(self, owned: &Owned, pid: i32) -> Result<(OwnedFd, u64), ForkError> {
        let (control, report) = (self.control.0, self.report.0);
        if let Some(cgroup) = &owned.cgroup {
            cgroup.add(pid.unsigned_abs()).map_err(StartError::from)?;
        }
        rustix::net::send(&report, &[1], SendFlags::NOSIGNAL).map_err(ForkError::supervisor("send"))?;
        let mut made = None;
        // Its end is that of the making: whoever has a part in it has done it then.
        while let Some((message, _)) = messages::receive(report.as_fd(), RecvFlags::empty())? {
            match message {
                [FAILED, step, errno, ..] => return Err(ForkError::entering(step, errno)),
                [MADE, pid, keeper, ..] => made = Some((pid, keeper)),
                _ => {}
            }
        }
        let (pid, keeper) = made.ok_or(StartError::Ended)?;
        let keep = [KEEP, pid, 0, 0, 0, 0, 0, 0];
        messages::send(control.as_fd(), &keep, &[self.keeper.as_fd()])?;
        Ok((control, keeper))
    }
}

/// Whether this process can be copied whole.
pub(crate) fn check_threads() -> Result<(), ForkError> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|source| StartError::Supervisor {
        what: "read /proc/self/task",
        source,
    })?;
    match tasks.count() {
        1 => Ok(()),
        threads => Err(ForkError::MultiThreaded { threads }),
    }
}

/// Runs `work` with standard output turned into standard error, and writes its answer to what standard output was.
pub(super) fn answer_with<E: Display>(work: impl FnOnce() -> Result<Vec<u8>, E>) -> i32 {
    let answer = match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3) {
        Ok(answer) => answer,
        Err(errno) => return complain(&std::io::Error::from(errno)),
    };
    if let Err(errno) = rustix::stdio::dup2_stdout(rustix::stdio::stderr()) {
        return complain(&std::io::Error::from(errno));
    }
    match work() {
        Ok(bytes) => match std::fs::File::from(answer).write_all(&bytes) {
            Ok(()) => 0,
            Err(error) => complain(&error),
        },
        Err(error) => complain(&error),
    }
}

fn complain(error: &impl Display) -> i32 {
    // A standard error that is closed says nothing.
    let _ = writeln!(std::io::stderr(), "{error}");
    1
}
