//! What becomes of each number, as ranges: known calls, gaps in the table, numbers of another ABI.

use super::conditions::{List, Verdict};
use super::numbers::Arch;
use super::rules::{Answer, Call};

/// What becomes of a call, as far as its number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// The same whatever its arguments.
    Always(Verdict),
    /// The process is killed: the call is of another ABI.
    Kill,
    /// This list and those after it look at the arguments.
    Ask(List),
}

/// A number that we do not know, and clone3.
pub(super) const NO_SUCH_CALL: Fate = Fate::Always(Verdict::Errno(libc::ENOSYS));

/// The numbers from `first` up to the next range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The lowest of them.
    pub(super) first: u32,
    /// What becomes of all but the exceptions.
    pub(super) fate: Fate,
    /// Single numbers inside: one test each, where two more ranges would need two.
    pub(super) exceptions: Vec<(u32, Fate)>,
}

/// Every number there can be, in ascending ranges, the first of which begins at 0. `calls` are in ascending order.
pub(super) fn ranges(calls: &[Call], arch: Arch) -> Vec<Range> {
    let mut runs = Runs::default();
    for call in calls {
        runs.begin(call.number, fate(&call.answer));
        runs.begin(call.number + 1, NO_SUCH_CALL);
    }
    if arch == Arch::X86_64 {
        for (first, fate) in X32 {
            runs.begin(first, fate);
        }
    }
    fold(runs.0)
}

/// The numbers with the bit of the x32 ABI. Not −1, which a tracer writes to skip a call.
const X32: [(u32, Fate); 4] = [
    (0x4000_0000, Fate::Kill),
    (0x8000_0000, NO_SUCH_CALL),
    (0xC000_0000, Fate::Kill),
    (u32::MAX, NO_SUCH_CALL),
];

fn fate(answer: &Answer) -> Fate {
    match answer {
        Answer::Always(verdict) => Fate::Always(*verdict),
        Answer::ByArguments(cases) => match cases.iter().map(|case| case.list).min() {
            Some(list) => Fate::Ask(list),
            None => Fate::Always(Verdict::NOT_PERMITTED),
        },
    }
}

/// Ascending starts of runs with different fates; before the first call everything is unknown.
struct Runs(Vec<(u32, Fate)>);

impl Default for Runs {
    fn default() -> Self {
        Self(vec![(0, NO_SUCH_CALL)])
    }
}

impl Runs {
    /// From `first` on it is `fate`.
    fn begin(&mut self, first: u32, fate: Fate) {
        self.0.pop_if(|last| last.0 == first);
        if self.0.last().is_none_or(|last| last.1 != fate) {
            self.0.push((first, fate));
        }
    }
}

/// Takes a run of a single number between two runs of one fate as an exception to that fate.
fn fold(runs: Vec<(u32, Fate)>) -> Vec<Range> {
    let mut runs = runs.into_iter().peekable();
    let mut ranges: Vec<Range> = Vec::new();
    while let Some((first, fate)) = runs.next() {
        match ranges.last_mut() {
            Some(around) if runs.next_if_eq(&(first.wrapping_add(1), around.fate)).is_some() => {
                around.exceptions.push((first, fate));
            }
            _ => ranges.push(Range {
                first,
                fate,
                exceptions: Vec::new(),
            }),
        }
    }
    ranges
}
