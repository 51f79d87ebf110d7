//! The streams of clones: what is the same for all is opened once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sandbox_types::Stream;

use super::options::{CloneInput, CloneOutput, ForkOptions};
use crate::command::Stdio;
use crate::error::StartError;
use crate::streams::{Ours, OutputLimit, is_file, open_input, open_output};

/// What all clones of a batch have in common, and how the rest is made.
pub(super) struct CloneStreams {
    input: Option<OwnedFd>,
    outputs: [Output; 2],
    limit: Option<OutputLimit>,
}

struct Output {
    stream: Stream,
    choice: CloneOutput,
    common: Option<OwnedFd>,
}

/// One stream of a clone, until it has been handed on.
pub(super) enum Theirs<'a> {
    Common(BorrowedFd<'a>),
    Own(OwnedFd),
}

impl AsFd for Theirs<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Common(fd) => *fd,
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

impl CloneStreams {
    pub(super) fn new(options: &ForkOptions, limit: Option<OutputLimit>) -> Result<Self, StartError> {
        let input = match options.stdin {
            CloneInput::Null => Some(open_input(Stdio::Null, &mut Ours::default())?),
            CloneInput::Piped => None,
        };
        Ok(Self {
            input,
            outputs: [
                Output::new(Stream::Stdout, options.stdout, limit)?,
                Output::new(Stream::Stderr, options.stderr, limit)?,
            ],
            limit,
        })
    }

    /// Those of one more clone, and the ends that stay here.
    pub(super) fn open(&self) -> Result<([Theirs<'_>; 3], Ours), StartError> {
        let mut ours = Ours::default();
        let input = match &self.input {
            Some(common) => Theirs::Common(common.as_fd()),
            None => Theirs::Own(open_input(Stdio::Piped, &mut ours)?),
        };
        let [output, error] = &self.outputs;
        let theirs = [
            input,
            output.open(self.limit, &mut ours)?,
            error.open(self.limit, &mut ours)?,
        ];
        Ok((theirs, ours))
    }
}

impl Output {
    fn new(stream: Stream, choice: CloneOutput, limit: Option<OutputLimit>) -> Result<Self, StartError> {
        // What cannot be counted cannot be limited: with a limit there is a pipe for each.
        let is_common = choice == CloneOutput::Null || (choice == CloneOutput::Inherit && limit.is_none());
        let common = is_common
            .then(|| open_output(choice.into(), stream, limit, &mut Ours::default()))
            .transpose()?;
        if let Some(common) = &common {
            is_file(common)?;
        }
        Ok(Self {
            stream,
            choice,
            common,
        })
    }

    fn open(&self, limit: Option<OutputLimit>, ours: &mut Ours) -> Result<Theirs<'_>, StartError> {
        Ok(match &self.common {
            Some(common) => Theirs::Common(common.as_fd()),
            None => Theirs::Own(open_output(self.choice.into(), self.stream, limit, ours)?),
        })
    }
}
