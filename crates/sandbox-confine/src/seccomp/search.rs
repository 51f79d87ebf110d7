//! The first part of every filter: the ABI, and a binary search among the ranges of numbers.
//!
//! It decides alone all calls whose arguments do not matter, so the kernel (5.11 and later) finds that they depend
//! on the number only and lets them pass without running the filter. The others it hands on to what libseccomp
//! generated, which stands behind it. Ours rather than the library's because ranges are: libseccomp has rules for
//! single numbers only, needs one comparison for each, and has no rule for "every number I do not know". And a
//! call of another ABI must be killed whatever the version of the library makes of it.
//!
//! Written from its end to its beginning: classic BPF jumps go forward only, so the targets are there already.

use std::collections::BTreeMap;

use super::conditions::{List, Verdict};
use super::instruction::{Instruction, Test, answer, branch, load_architecture, load_number, skip};
use super::numbers::Arch;
use super::ranges::{Fate, NO_SUCH_CALL, Range};

/// The search among `ranges`. `lists` says how many instructions after its end each list begins; a list that is not
/// there permits nothing.
pub(super) fn search(arch: Arch, ranges: &[Range], lists: &BTreeMap<List, usize>) -> Vec<Instruction> {
    let mut code = Backwards {
        lists,
        reversed: Vec::new(),
        fates: BTreeMap::new(),
    };
    let entry = code.search(ranges);
    let distance = code.reversed.len() - entry;
    if distance > 0 {
        code.push(skip(distance));
    }
    code.push(load_number());
    code.push(answer(KILL_PROCESS));
    code.push(branch(Test::Equal, arch.audit_token(), 1, 0));
    code.push(load_architecture());
    code.reversed.reverse();
    code.reversed
}

/// `SECCOMP_RET_KILL_PROCESS`.
const KILL_PROCESS: u32 = 0x8000_0000;
/// `SECCOMP_RET_ALLOW`.
const ALLOW: u32 = 0x7FFF_0000;
/// `SECCOMP_RET_ERRNO`, to which the errno is added.
const ERRNO: u32 = 0x0005_0000;

/// How many instructions there are from the labeled one to the end, itself included.
type Label = usize;

struct Backwards<'a> {
    lists: &'a BTreeMap<List, usize>,
    reversed: Vec<Instruction>,
    /// One instruction for each fate, shared by all ranges.
    fates: BTreeMap<Fate, Label>,
}

impl Backwards<'_> {
    fn search(&mut self, ranges: &[Range]) -> Label {
        let (below, above) = ranges.split_at(ranges.len() / 2);
        match above {
            [] => self.fate(NO_SUCH_CALL),
            [only] if below.is_empty() => self.range(only),
            [middle, ..] => {
                let yes = self.search(above);
                let no = self.search(below);
                self.branch(Test::AtLeast, middle.first, yes, no)
            }
        }
    }

    fn range(&mut self, range: &Range) -> Label {
        let mut label = self.fate(range.fate);
        for &(number, fate) in range.exceptions.iter().rev() {
            let yes = self.fate(fate);
            label = self.branch(Test::Equal, number, yes, label);
        }
        label
    }

    fn fate(&mut self, fate: Fate) -> Label {
        if let Some(label) = self.fates.get(&fate) {
            return *label;
        }
        let label = self.push(match fate {
            Fate::Always(verdict) => verdict_answer(verdict),
            Fate::Kill => answer(KILL_PROCESS),
            Fate::Ask(list) => match self.lists.get(&list) {
                Some(start) => skip(self.reversed.len() + start),
                None => verdict_answer(Verdict::NOT_PERMITTED),
            },
        });
        self.fates.insert(fate, label);
        label
    }

    /// Both offsets fit a byte: a target too far away is reached over a jump that has room for any distance.
    fn branch(&mut self, test: Test, value: u32, mut yes: Label, mut no: Label) -> Label {
        loop {
            let (to_yes, to_no) = (self.reversed.len() - yes, self.reversed.len() - no);
            match (u8::try_from(to_yes), u8::try_from(to_no)) {
                (Ok(to_yes), Ok(to_no)) => return self.push(branch(test, value, to_yes, to_no)),
                (Err(_), _) => yes = self.push(skip(to_yes)),
                (_, Err(_)) => no = self.push(skip(to_no)),
            }
        }
    }

    fn push(&mut self, instruction: Instruction) -> Label {
        self.reversed.push(instruction);
        self.reversed.len()
    }
}

/// `Pass` has nowhere to go from here, so it permits nothing.
fn verdict_answer(verdict: Verdict) -> Instruction {
    match verdict {
        Verdict::Allow => answer(ALLOW),
        Verdict::Errno(errno) => answer(ERRNO | errno.cast_unsigned()),
        Verdict::Pass => answer(ERRNO | libc::EPERM.cast_unsigned()),
    }
}
