//! The search among the numbers alone, for both architectures, with an answer in place of each list.

use std::collections::BTreeMap;

use sandbox_types::policy::SyscallProfile;

use super::super::conditions::{List, Verdict};
use super::super::instruction::answer;
use super::super::numbers::Arch;
use super::super::ranges::{Fate, Range, ranges};
use super::super::rules::{self, plan};
use super::super::search::search;
use super::super::{FilterSpec, Toggles};
use super::interpreter::{Answer, run};
use super::{ENOSYS, EPERM};

/// What stands for a list: an errno that no filter uses.
fn stand_in(list: List) -> i32 {
    1000 + list as i32
}

fn program(arch: Arch, ranges: &[Range]) -> Vec<u8> {
    let starts: BTreeMap<_, _> = List::ALL.into_iter().zip(0..).collect();
    let lists = List::ALL.map(|list| answer(0x0005_0000 | stand_in(list).cast_unsigned()));
    let mut program = search(arch, ranges, &starts).concat();
    program.extend(lists.as_flattened());
    program
}

fn expected(fate: Fate) -> Answer {
    match fate {
        Fate::Always(Verdict::Allow) => Answer::Allow,
        Fate::Always(Verdict::Errno(errno)) => Answer::Errno(errno),
        Fate::Always(Verdict::Pass) => EPERM,
        Fate::Kill => Answer::KillProcess,
        Fate::Ask(list) => Answer::Errno(stand_in(list)),
    }
}

#[test]
fn each_number_has_the_answer_of_its_call_on_either_architecture() {
    for (arch, profile) in [Arch::X86_64, Arch::Aarch64]
        .into_iter()
        .flat_map(|arch| SyscallProfile::ALL.map(|profile| (arch, profile)))
    {
        for toggles in [Toggles::namespaced(), Toggles::shared_host()] {
            let calls = plan(&FilterSpec::new(profile, toggles), arch).unwrap();
            let program = program(arch, &ranges(&calls, arch));
            for number in 0..1024 {
                let call = calls.iter().find(|call| call.number == number);
                let expect = call.map_or(ENOSYS, |call| match &call.answer {
                    rules::Answer::Always(verdict) => expected(Fate::Always(*verdict)),
                    rules::Answer::ByArguments(cases) => {
                        expected(Fate::Ask(cases.iter().map(|case| case.list).min().unwrap()))
                    }
                });
                assert_eq!(
                    run(&program, number, arch.audit_token(), &[]),
                    expect,
                    "{number} {arch:?} {profile}"
                );
            }
        }
    }
}

#[test]
fn numbers_of_x32_are_killed_up_to_their_bounds() {
    let kill = Answer::KillProcess;
    for (number, on_x86_64) in [
        (0x3FFF_FFFF, ENOSYS),
        (0x4000_0000, kill),
        (0x7FFF_FFFF, kill),
        (0x8000_0000, ENOSYS),
        (0xBFFF_FFFF, ENOSYS),
        (0xC000_0000, kill),
        (0xFFFF_FFFE, kill),
        (u32::MAX, ENOSYS),
    ] {
        for (arch, expect) in [(Arch::X86_64, on_x86_64), (Arch::Aarch64, ENOSYS)] {
            let program = program(arch, &ranges(&[], arch));
            assert_eq!(
                run(&program, number, arch.audit_token(), &[]),
                expect,
                "{number:#x} {arch:?}"
            );
        }
    }
}

#[test]
fn a_search_too_long_for_the_offsets_of_a_jump_decides_all_the_same() {
    let fates = [
        Fate::Always(Verdict::Allow),
        Fate::Always(Verdict::Errno(libc::EPERM)),
        Fate::Ask(List::LAST),
        Fate::Kill,
    ];
    let many: Vec<Range> = (0_u32..1500)
        .zip(fates.into_iter().cycle())
        .map(|(index, fate)| Range {
            first: index * 3,
            fate,
            exceptions: vec![(index * 3 + 1, Fate::Ask(List::Refusals))],
        })
        .collect();
    let program = program(Arch::X86_64, &many);
    assert!(program.len() / 8 > 3000);
    for range in &many {
        for (number, fate) in [
            (range.first, range.fate),
            (range.first + 1, Fate::Ask(List::Refusals)),
            (range.first + 2, range.fate),
        ] {
            assert_eq!(
                run(&program, number, Arch::X86_64.audit_token(), &[]),
                expected(fate),
                "{number}"
            );
        }
    }
}
