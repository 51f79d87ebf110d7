//! The filter as a list of answers, before it becomes a program. Pure data, for any architecture.

use std::collections::BTreeSet;

use super::arguments;
use super::conditions::{Case, Verdict};
use super::error::SeccompError;
use super::numbers::{self, Arch};
use super::select;
use super::spec::FilterSpec;

/// How one system call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The system call, by number.
    pub(super) number: u32,
    /// What becomes of it.
    pub(super) answer: Answer,
}

/// What becomes of one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The same whatever its arguments.
    Always(Verdict),
    /// The first list that has a case for the call decides.
    ByArguments(Vec<Case>),
}

impl Call {
    /// The cases on its arguments, each with the number.
    pub(super) fn cases(&self) -> impl Iterator<Item = (u32, &Case)> {
        let cases = match &self.answer {
            Answer::Always(_) => &[][..],
            Answer::ByArguments(cases) => cases,
        };
        cases.iter().map(|case| (self.number, case))
    }
}

/// The answer to every system call that `arch` has, in ascending order of their numbers.
pub(super) fn plan(spec: &FilterSpec, arch: Arch) -> Result<Vec<Call>, SeccompError> {
    let allowed = select::allowed(spec)?;
    let mut calls: Vec<Call> = numbers::calls(arch)
        .map(|(name, number)| Call {
            number,
            answer: answer(name, &allowed, spec),
        })
        .collect();
    calls.sort_unstable_by_key(|call| call.number);
    Ok(calls)
}

fn answer(name: &str, allowed: &BTreeSet<&str>, spec: &FilterSpec) -> Answer {
    if name == "clone3" {
        Answer::Always(Verdict::Errno(libc::ENOSYS))
    } else if !allowed.contains(name) {
        Answer::Always(Verdict::NOT_PERMITTED)
    } else {
        arguments::cases(name, spec).map_or(Answer::Always(Verdict::Allow), Answer::ByArguments)
    }
}
