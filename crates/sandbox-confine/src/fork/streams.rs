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

    /// Which of them each clone has of its own.
    pub(super) fn shape(&self) -> u64 {
        let streams = (0..).zip(self.all());
        streams.fold(0, |shape, (number, common)| match common {
            None => shape | 1 << number,
            Some(_) => shape,
        })
    }

    /// What is the same for all, in the order of their numbers.
    pub(super) fn common(&self) -> Vec<BorrowedFd<'_>> {
        self.all().into_iter().flatten().map(AsFd::as_fd).collect()
    }

    fn all(&self) -> [Option<&OwnedFd>; 3] {
        let [output, error] = &self.outputs;
        [self.input.as_ref(), output.common.as_ref(), error.common.as_ref()]
    }

    /// What one more clone has of its own, in the order of their numbers, and the ends that stay here.
    pub(super) fn open(&self) -> Result<(Vec<OwnedFd>, Ours), StartError> {
        let (mut ours, mut theirs) = (Ours::default(), Vec::with_capacity(3));
        if self.input.is_none() {
            theirs.push(open_input(Stdio::Piped, &mut ours)?);
        }
        for output in self.outputs.iter().filter(|output| output.common.is_none()) {
            let choice = output.choice.into();
            theirs.push(open_output(choice, output.stream, self.limit, &mut ours)?);
        }
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
}
