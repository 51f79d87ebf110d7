//! Takes tests without an effect out of a generated program.
//!
//! libseccomp compares both halves of an argument, also the upper half of one that is compared in 32 bits: "load it,
//! keep none of its bits, go on if that is 0". A fifth of all instructions would be such tests, and the kernel checks
//! and compiles every instruction at every start of a command.

use std::collections::BTreeSet;

use super::instruction::{Instruction, Test, branch, is_load, jumps, keep, shortened};

/// The same program, in which every answer stays what it was.
pub(super) fn tidy(program: &[Instruction]) -> Vec<Instruction> {
    let removed = without_effect(program);
    let kept = program.iter().enumerate().filter(|(at, _)| !removed.contains(at));
    kept.map(|(at, instruction)| {
        shortened(*instruction, |distance| {
            removed.range(at + 1..at + 1 + distance).count()
        })
    })
    .collect()
}

/// Where such tests are. Only those that are entered at their beginning and go on with another load, so that
/// nobody sees the 0 they leave behind.
fn without_effect(program: &[Instruction]) -> BTreeSet<usize> {
    let targets: BTreeSet<usize> = program
        .iter()
        .enumerate()
        .flat_map(|(at, instruction)| {
            jumps(*instruction)
                .into_iter()
                .map(move |distance| at + 1 + distance)
        })
        .collect();
    let mut found = BTreeSet::new();
    for (at, window) in program.array_windows().enumerate() {
        let [load, mask, test, next] = *window;
        if is_load(load)
            && mask == keep(0)
            && always_goes_on(test)
            && is_load(next)
            && targets.range(at + 1..at + 3).next().is_none()
        {
            found.extend(at..at + 3);
        }
    }
    found
}

/// After `keep(0)`: whether the next instruction follows.
fn always_goes_on(test: Instruction) -> bool {
    jumps(test)
        .last()
        .is_some_and(|no| u8::try_from(*no).is_ok_and(|no| test == branch(Test::Equal, 0, 0, no)))
}

#[cfg(test)]
mod tests {
    use super::super::instruction::{answer, load, skip};
    use super::*;

    #[test]
    fn a_test_without_effect_goes_and_jumps_over_it_become_shorter() {
        let program = [
            branch(Test::Equal, 7, 0, 5),
            load(20),
            keep(0),
            branch(Test::Equal, 0, 0, 2),
            load(16),
            skip(1),
            answer(1),
            answer(2),
        ];
        let shorter = [
            branch(Test::Equal, 7, 0, 2),
            load(16),
            skip(1),
            answer(1),
            answer(2),
        ];
        assert_eq!(tidy(&program), shorter);
    }

    #[test]
    fn what_has_an_effect_stays() {
        for program in [
            // Some bits are kept.
            [
                load(20),
                keep(1),
                branch(Test::Equal, 0, 0, 1),
                load(16),
                answer(1),
            ],
            // Compared with something else, or the other way round.
            [
                load(20),
                keep(0),
                branch(Test::Equal, 1, 0, 1),
                load(16),
                answer(1),
            ],
            [
                load(20),
                keep(0),
                branch(Test::Equal, 0, 1, 0),
                load(16),
                answer(1),
            ],
            [
                load(20),
                keep(0),
                branch(Test::AtLeast, 0, 0, 1),
                load(16),
                answer(1),
            ],
            // The 0 is used.
            [
                load(20),
                keep(0),
                branch(Test::Equal, 0, 0, 1),
                branch(Test::Equal, 3, 0, 0),
                answer(1),
            ],
        ] {
            assert_eq!(tidy(&program), program);
        }
    }

    #[test]
    fn a_test_that_is_entered_in_its_middle_stays() {
        for into in [1, 2] {
            let program = [
                branch(Test::Equal, 7, into, 0),
                load(20),
                keep(0),
                branch(Test::Equal, 0, 0, 1),
                load(16),
                answer(1),
            ];
            assert_eq!(tidy(&program), program, "{into}");
        }
    }
}
