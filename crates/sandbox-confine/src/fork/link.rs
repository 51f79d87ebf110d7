//! The supervisor's side of a template: its sandbox, its keeper, and what has been heard of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::RecvFlags;
use sandbox_types::{BranchName, CloneBranch, Outcome, Policy};

use super::clone::{CloneHandle, PATIENCE, end_all};
use super::error::ForkError;
use super::maker::{Begin, Maker};
use super::options::{Branches, ForkOptions, SPARE, free_descriptors};
use super::views::Views;
use crate::error::StartError;
use crate::messages;
use crate::process::Owned;
use crate::ready::await_any;
use crate::wire::{self, MAX_CLONES, Message};

/// A template and all that its clones need of it. Everything ends when the last of them lets go.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) policy: Arc<Policy>,
    owned: Mutex<Owned>,
    keeper: Mutex<Keeper>,
    /// Taken before the others.
    views: Mutex<Views>,
    /// Readable when nothing more is to be waited for.
    cancel: Option<Arc<OwnedFd>>,
    /// The keeper's pid inside.
    keeper_pid: u64,
    /// Odd while all of it is paused; another number after each pause and each end of one.
    era: AtomicU64,
    /// Whether a clone has not ended when it should have.
    is_stuck: AtomicBool,
}

/// Our end of the keeper's control socket.
#[derive(Debug)]
pub(super) struct Keeper {
    control: OwnedFd,
    cancel: Option<Arc<OwnedFd>>,
    /// How the template ended, once it has.
    ended: Option<Outcome>,
}

/// What a template is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Functions of the caller's.
    Functions,
    /// A program, as it was named, and where it starts.
    Program { program: PathBuf, cwd: PathBuf },
}

/// What a template has said before it was ready.
#[derive(Debug, Default)]
struct Said {
    /// It cannot be forked, having so many threads.
    threads: Option<u64>,
    /// It has closed its socket, for which it was ended.
    is_closed: bool,
}

impl Kind {
    fn late(&self, limit: Duration) -> ForkError {
        match self {
            Self::Functions => ForkError::InitTimeout { limit },
            Self::Program { program, .. } => ForkError::ProgramTimeout {
                program: program.clone(),
                limit,
            },
        }
    }

    fn not_started(&self, stage: u64, errno: u64) -> ForkError {
        let source = std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0));
        match self {
            Self::Functions => ForkError::Enter {
                step: "run the functions",
                source,
            },
            Self::Program { program, cwd } => {
                StartError::from_stage(stage, source, program.clone(), cwd.clone()).into()
            }
        }
    }

    fn ended(&self, outcome: Outcome, said: &Said) -> ForkError {
        match (self, said) {
            (
                Self::Functions,
                Said {
                    threads: Some(threads),
                    ..
                },
            ) => ForkError::InitThreads { threads: *threads },
            (Self::Functions, _) => ForkError::InitEnded { outcome },
            (_, Said { is_closed: true, .. }) => ForkError::Closed,
            (
                _,
                Said {
                    threads: Some(threads),
                    ..
                },
            ) => ForkError::ProgramThreads {
                threads: *threads,
                outcome,
            },
            (Self::Program { program, .. }, _) => ForkError::ProgramEnded {
                program: program.clone(),
                outcome,
            },
        }
    }
}

impl Link {
    pub(super) fn new(
        policy: Arc<Policy>,
        owned: Owned,
        (control, keeper_pid): (OwnedFd, u64),
        views: Views,
        cancel: Option<Arc<OwnedFd>>,
    ) -> Self {
        let keeper = Keeper {
            control,
            cancel: cancel.clone(),
            ended: None,
        };
        Self {
            policy,
            owned: Mutex::new(owned),
            keeper: Mutex::new(keeper),
            views: Mutex::new(views),
            cancel,
            keeper_pid,
            era: AtomicU64::new(0),
            is_stuck: AtomicBool::new(false),
        }
    }

    /// The sandbox that all of this is in.
    pub(crate) fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the keeper what views of clones are made of.
    pub(super) fn hand_over_trees(&self) -> Result<(), ForkError> {
        let trees = std::mem::take(&mut self.owned().trees);
        if trees.is_empty() {
            return Ok(());
        }
        let fds: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
        self.keeper().send(&[wire::TREES, 0, 0, 0, 0, 0, 0, 0], &fds)
    }

    /// Removes the branch of a clone that has done nothing.
    pub(super) fn discard(&self, branch: BranchName) {
        self.views().discard(vec![branch]);
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readable when nothing more is to be waited for.
    pub(super) fn cancel(&self) -> Option<Arc<OwnedFd>> {
        self.cancel.clone()
    }

    /// Stops everybody inside but the keeper, so that clones can be asked after, and ended, as ever.
    pub(crate) fn pause(&self) -> Result<(), StartError> {
        self.owned().init.ask(wire::PAUSE, self.keeper_pid, None)?;
        self.begin_era(|era| (era + 1) | 1);
        Ok(())
    }

    /// Continues everybody inside, those too that have been paused by themselves.
    pub(crate) fn resume(&self) -> Result<(), StartError> {
        self.owned().init.ask(wire::RESUME, 0, None)?;
        self.begin_era(|era| (era + 2) & !1);
        Ok(())
    }

    fn begin_era(&self, next: impl Fn(u64) -> u64) {
        let era = self.era.load(Ordering::Relaxed);
        self.era.store(next(era), Ordering::Relaxed);
    }

    /// The time since the last pause of everybody began or ended, which is odd when it began.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }

    /// How long the end of a clone is waited for.
    pub(super) fn patience(&self) -> Duration {
        if self.is_stuck.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            PATIENCE
        }
    }

    /// One has not ended.
    pub(super) fn lose_patience(&self) {
        self.is_stuck.store(true, Ordering::Relaxed);
    }

    /// Waits until the template is ready.
    pub(super) fn await_ready(&self, kind: &Kind, limit: Duration) -> Result<(), ForkError> {
        let mut keeper = self.keeper();
        let until = Instant::now().checked_add(limit);
        let mut said = Said::default();
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match keeper.hear(left)? {
                None => return Err(kind.late(limit)),
                Some([wire::READY, ..]) => return Ok(()),
                Some([wire::FAILED, wire::PANICKED, ..]) => return Err(ForkError::InitPanicked),
                Some([wire::FAILED, wire::ELSEWHERE, pid, ..]) => {
                    return Err(ForkError::ReadyElsewhere { pid });
                }
                Some([wire::FAILED, wire::THREADS, threads, ..]) => said.threads = Some(threads),
                Some([wire::FAILED, wire::CLOSED, ..]) => said.is_closed = true,
                Some([wire::FAILED, stage, errno, ..]) => return Err(kind.not_started(stage, errno)),
                Some(_) => {
                    if let Some(outcome) = keeper.ended {
                        return Err(kind.ended(outcome, &said));
                    }
                }
            }
        }
    }

    /// How the template ended, if it has.
    pub(crate) fn template_ended(&self) -> Option<Outcome> {
        let mut keeper = self.keeper();
        while let Ok(Some(_)) = keeper.hear(Some(Duration::ZERO)) {}
        keeper.ended
    }

    /// Ends the template; clones go on.
    pub(crate) fn end_template(&self) {
        if let Err(error) = messages::send(
            self.keeper().control.as_fd(),
            &[wire::END, 0, 0, 0, 0, 0, 0, 0],
            &[],
        ) {
            tracing::warn!(%error, "cannot end the template of a fork");
        }
    }

    /// Forks the template so often. All of them run, or none.
    pub(crate) fn fork(
        self: &Arc<Self>,
        count: u32,
        options: &ForkOptions,
    ) -> Result<Vec<CloneHandle>, ForkError> {
        self.fork_as(count, options.first, options, Begin::AtOnce)
    }

    /// The same, but they wait before the caller's function until they are told; numbered from `first` on.
    pub(crate) fn fork_waiting(
        self: &Arc<Self>,
        count: u32,
        first: u32,
        options: &ForkOptions,
    ) -> Result<Vec<CloneHandle>, ForkError> {
        self.fork_as(count, first, options, Begin::WhenTold)
    }

    fn fork_as(
        self: &Arc<Self>,
        count: u32,
        first: u32,
        options: &ForkOptions,
        begin: Begin,
    ) -> Result<Vec<CloneHandle>, ForkError> {
        check_count(count)?;
        if begin == Begin::AtOnce && first.checked_add(count - 1).is_none() {
            return Err(ForkError::Numbers { first, count });
        }
        check_descriptors(count, options)?;
        if let Some(outcome) = self.template_ended() {
            return Err(ForkError::TemplateEnded { outcome });
        }
        let maker = Maker::new(self, options, begin)?;
        let mut views = self.views();
        let mut keeper = self.keeper();
        let branches = self.prepare_views(&mut views, &keeper, count, options.branches)?;
        let numbers = (first, count);
        let made = Self::fork_into(&mut keeper, &maker, numbers, options.timeout, &branches);
        if made.is_err() {
            views.discard(branches.into_iter().map(|branch| branch.name).collect());
        }
        made
    }

    /// What clones are to see of the template's branch; their own branches, where each has one.
    fn prepare_views(
        &self,
        views: &mut Views,
        keeper: &Keeper,
        count: u32,
        branches: Branches,
    ) -> Result<Vec<CloneBranch>, ForkError> {
        let owned = self.owned();
        match branches {
            Branches::Shared => views.share(&owned.init)?,
            Branches::ReadOnly => views.make_read_only(&owned.init)?,
            Branches::PerClone => {
                let made = views.make(count, &owned.init, &keeper.control)?;
                if let Err(error) = keeper.send(&[wire::VIEWS, 0, 0, 0, 0, 0, 0, 0], &[made.blob.as_fd()]) {
                    views.discard(made.clones.into_iter().map(|clone| clone.name).collect());
                    return Err(error);
                }
                return Ok(made.clones);
            }
        }
        Ok(Vec::new())
    }

    fn fork_into(
        keeper: &mut Keeper,
        maker: &Maker<'_>,
        (first, count): (u32, u32),
        limit: Duration,
        branches: &[CloneBranch],
    ) -> Result<Vec<CloneHandle>, ForkError> {
        let mut branches = branches.iter().map(|branch| &branch.name);
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let batch = [
            wire::BATCH,
            u64::from(count),
            limit_ms,
            maker.shape().0,
            0,
            0,
            0,
            0,
        ];
        keeper.send(&batch, &maker.common())?;
        let mut clones = Vec::new();
        let mut asked = 0;
        while asked < count {
            let some = u32::try_from(maker.shape().at_once())
                .unwrap_or(1)
                .min(count - asked);
            let made = maker.make(keeper, first.wrapping_add(asked), some, &mut branches);
            match made {
                Ok(made) => clones.extend(made),
                Err(error) => {
                    // The rest of the batch never comes.
                    keeper.abandon();
                    end_all(clones);
                    return Err(error);
                }
            }
            asked += some;
        }
        match keeper.await_batch()? {
            Batch::Whole => Ok(clones),
            Batch::Failed {
                failed,
                source,
                is_stalled,
            } => {
                end_all(clones);
                Err(match keeper.ended {
                    _ if is_stalled => ForkError::Stalled { limit },
                    Some(outcome) => ForkError::TemplateEnded { outcome },
                    None => ForkError::Clones {
                        asked: count,
                        failed,
                        source,
                    },
                })
            }
        }
    }
}

/// How a batch came out.
enum Batch {
    Whole,
    Failed {
        failed: u64,
        source: std::io::Error,
        /// Whether the template has taken too long.
        is_stalled: bool,
    },
}

impl Keeper {
    pub(super) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> Result<(), ForkError> {
        Ok(messages::send(self.control.as_fd(), message, fds)?)
    }

    /// The next message, and notes what it says of the template; `None` when none comes in time.
    fn hear(&mut self, limit: Option<Duration>) -> Result<Option<Message>, ForkError> {
        if !self.await_one(PollFlags::IN, limit)? {
            return Ok(None);
        }
        let Some((message, _)) = messages::receive(self.control.as_fd(), RecvFlags::empty())? else {
            return Err(StartError::Ended.into());
        };
        if let [wire::EXITED, status, ..] = message {
            self.ended = Some(outcome(i32::try_from(status).unwrap_or(0)));
        }
        Ok(Some(message))
    }

    /// Waits until there is room for a message, where that can be cancelled.
    pub(super) fn await_room(&self) -> Result<(), ForkError> {
        match self.cancel {
            Some(_) => self.await_one(PollFlags::OUT, None).map(drop),
            None => Ok(()),
        }
    }

    /// Waits until the control socket is readable, or writable; false when that takes longer than `limit`.
    fn await_one(&self, flags: PollFlags, limit: Option<Duration>) -> Result<bool, ForkError> {
        let control = PollFd::new(&self.control, flags);
        let poll = |fds: &mut [PollFd<'_>]| await_any(fds, limit).map_err(ForkError::supervisor("poll"));
        let Some(cancel) = &self.cancel else {
            return poll(&mut [control]);
        };
        let mut fds = [control, PollFd::new(cancel, PollFlags::IN)];
        let is_any = poll(&mut fds)?;
        let [control, cancel] = fds;
        if is_any && control.revents().is_empty() && !cancel.revents().is_empty() {
            return Err(ForkError::Cancelled);
        }
        Ok(is_any)
    }

    fn await_batch(&mut self) -> Result<Batch, ForkError> {
        loop {
            match self.hear(None)? {
                Some([wire::BATCH_DONE, _, 0, _, 0, ..]) => return Ok(Batch::Whole),
                Some([wire::BATCH_DONE, _, failed, errno, is_stalled, ..]) => {
                    return Ok(Batch::Failed {
                        failed,
                        source: std::io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0)),
                        is_stalled: is_stalled != 0,
                    });
                }
                _ => {}
            }
        }
    }

    /// Ends a batch of which not everything could be sent.
    fn abandon(&mut self) {
        let rest = self
            .send(&[wire::BATCH_REST, 0, 0, 0, 0, 0, 0, 0], &[])
            .and_then(|()| self.await_batch());
        if let Err(error) = rest {
            tracing::warn!(%error, "a batch of clones was not abandoned in order");
        }
    }
}

fn check_count(count: u32) -> Result<(), ForkError> {
    match usize::try_from(count) {
        Ok(0) => Err(ForkError::NoClones),
        Ok(1..=MAX_CLONES) => Ok(()),
        Ok(_) | Err(_) => Err(ForkError::TooMany {
            asked: count,
            most: MAX_CLONES,
        }),
    }
}

/// Whether this process may have as many open files as that takes: found out before any clone runs.
fn check_descriptors(count: u32, options: &ForkOptions) -> Result<(), ForkError> {
    let needed = u64::from(count) * options.descriptors() + SPARE;
    match free_descriptors() {
        Some(free) if needed > free => Err(ForkError::Descriptors {
            clones: count,
            needed,
            free,
        }),
        _ => Ok(()),
    }
}

fn outcome(status: i32) -> Outcome {
    match status & 0x7f {
        0 => Outcome::Exited {
            code: status >> 8 & 0xff,
        },
        signal => Outcome::Signaled { signal },
    }
}
