//! The supervisor's part of clones: their channels and streams, and the messages that have them made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use sandbox_types::{BranchName, EnforcementReport};

use super::clone::CloneHandle;
use super::error::ForkError;
use super::link::{Keeper, Link};
use super::options::{Branches, ForkOptions};
use super::streams::CloneStreams;
use crate::error::StartError;
use crate::messages;
use crate::process::{Channel, Parts, Shared, Watch, monotonic_us};
use crate::streams::Ours;
use crate::wire::{self, Shape};

/// A clone is the second process of its pid namespace.
const CLONE_PID: u32 = 2;

/// When a clone runs the caller's function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// As soon as it is there.
    AtOnce,
    /// When [`CloneHandle::go`] says so.
    WhenTold,
}

/// Makes clones of one batch.
pub(super) struct Maker<'a> {
    link: &'a Arc<Link>,
    streams: CloneStreams,
    begin: Begin,
    shape: Shape,
    watch: Watch,
    report: Arc<EnforcementReport>,
    shared: Shared,
}

/// One clone that is asked for.
struct Asked {
    parts: Parts,
    /// Its end of the channel, and its streams.
    theirs: Vec<OwnedFd>,
    gate: Option<OwnedFd>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(link: &'a Arc<Link>, options: &ForkOptions, begin: Begin) -> Result<Self, StartError> {
        let owned = link.owned();
        let surroundings = &owned.surroundings;
        let streams = CloneStreams::new(options, surroundings.output)?;
        let views = match options.branches {
            Branches::PerClone => Shape::VIEWS,
            Branches::Shared | Branches::ReadOnly => 0,
        };
        let waits = match begin {
            Begin::AtOnce => 0,
            Begin::WhenTold => Shape::WAITS,
        };
        Ok(Self {
            link,
            shape: Shape(streams.shape() | views | waits),
            streams,
            begin,
            watch: surroundings.watch,
            report: Arc::clone(&surroundings.report),
            shared: owned.for_command(),
        })
    }

    /// What each of them has of its own.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The streams that all of them have.
    pub(super) fn common(&self) -> Vec<BorrowedFd<'_>> {
        self.streams.common()
    }

    /// Has so many made, numbered from `first` on, with one message.
    pub(super) fn make<'b>(
        &self,
        keeper: &Keeper,
        first: u32,
        count: u32,
        branches: &mut impl Iterator<Item = &'b BranchName>,
    ) -> Result<Vec<CloneHandle>, ForkError> {
        let asked = (0..count).map(|_| self.one()).collect::<Result<Vec<_>, _>>()?;
        keeper.await_room()?;
        let theirs = asked.iter().flat_map(|one| one.theirs.iter().chain(&one.gate));
        let message = [wire::FORK, u64::from(first), u64::from(count), 0, 0, 0, 0, 0];
        keeper.send(&message, &theirs.map(AsFd::as_fd).collect::<Vec<_>>())?;
        let handle = |(offset, one): (u32, Asked)| {
            let id = first.wrapping_add(offset);
            CloneHandle::new(Arc::clone(self.link), id, one.parts, one.gate).on(branches.next().cloned())
        };
        Ok((0..).zip(asked).map(handle).collect())
    }

    fn one(&self) -> Result<Asked, StartError> {
        let (ours, channel) = messages::socket_pair()?;
        let (streams, our_streams) = self.streams.open()?;
        let mut theirs = vec![channel];
        theirs.extend(streams);
        let gate = match self.begin {
            Begin::AtOnce => None,
            Begin::WhenTold => Some(gate()?),
        };
        Ok(Asked {
            parts: self.parts(ours, our_streams),
            theirs,
            gate,
        })
    }

    fn parts(&self, channel: OwnedFd, streams: Ours) -> Parts {
        Parts {
            channel: Arc::new(Channel::new(channel, CLONE_PID)),
            ours: streams,
            watch: self.watch,
            report: Arc::clone(&self.report),
            pty: None,
            started_us: monotonic_us(),
            owned: None,
            shared: Some(self.shared.clone()),
        }
    }
}

/// What a clone waits at until something is written to it.
fn gate() -> Result<OwnedFd, StartError> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(StartError::supervisor("eventfd"))
}
