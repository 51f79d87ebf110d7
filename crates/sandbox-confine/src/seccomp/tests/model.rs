//! The program decides as the rules do: the compiler is checked against an evaluation of its input.

use std::collections::HashSet;

use sandbox_types::policy::SyscallProfile;

use super::super::conditions::{Case, Verdict};
use super::super::numbers::{self, Arch};
use super::super::rules::{Rule, plan};
use super::super::{FilterSpec, Inet, Toggles};
use super::{Answer, ENOSYS, EPERM, Filter, native};

fn decide(rules: &[Rule], number: u32, args: &[u64; 6]) -> Answer {
    let holds = |case: &Case| {
        case.when
            .iter()
            .all(|c| args[usize::from(c.argument)] & c.mask == c.value)
    };
    let matching = rules
        .iter()
        .find(|rule| rule.number == number && holds(&rule.case));
    matching.map_or(EPERM, |rule| match rule.case.verdict {
        Verdict::Allow => Answer::Allow,
        Verdict::Errno(errno) => Answer::Errno(errno),
    })
}

/// A small generator, the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Often a value that a rule compares with, one bit off it, or with garbage above it.
    fn argument(&mut self, interesting: &[u64]) -> u64 {
        let near = interesting[usize::try_from(self.next()).unwrap() % interesting.len()];
        match self.next() % 5 {
            0 => self.next(),
            1 => near ^ (1 << (self.next() % 64)),
            2 => near | (self.next() << 32),
            _ => near,
        }
    }
}

fn interesting(rules: &[Rule], number: u32) -> Vec<u64> {
    let conditions = rules
        .iter()
        .filter(|rule| rule.number == number)
        .flat_map(|rule| &rule.case.when);
    conditions
        .flat_map(|c| [c.value, c.mask, c.value | !c.mask])
        .chain([0])
        .collect()
}

fn specs() -> Vec<FilterSpec> {
    let mut all = Vec::new();
    for profile in SyscallProfile::ALL {
        for inet in [Inet::None, Inet::TcpOnly, Inet::Any] {
            for host in [Toggles::namespaced(), Toggles::shared_host()] {
                all.push(FilterSpec::new(profile, Toggles { inet, ..host }));
            }
        }
        all.push(FilterSpec {
            nested: true,
            ..FilterSpec::new(profile, Toggles::namespaced())
        });
    }
    all
}

#[test]
fn the_program_decides_as_the_rules_do() {
    let mut random = Numbers(0x9E37_79B9_7F4A_7C15);
    for spec in specs() {
        let (rules, filter) = (plan(&spec, native()).unwrap(), Filter::of(&spec));
        for number in numbers::numbers(native()) {
            let values = interesting(&rules, number);
            for _ in 0..values.len().min(150) * 4 {
                let args = [(); 6].map(|()| random.argument(&values));
                let expect = decide(&rules, number, &args);
                assert_eq!(
                    filter.number(number, &args),
                    expect,
                    "{number} {args:x?} under {spec:?}"
                );
            }
        }
    }
}

#[test]
fn no_two_cases_of_one_call_overlap_with_different_verdicts() {
    for spec in specs() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let rules = plan(&spec, arch).unwrap();
            for (i, a) in rules.iter().enumerate() {
                for b in rules.iter().skip(i + 1).filter(|b| b.number == a.number) {
                    assert!(
                        a.case.verdict == b.case.verdict || disjoint(&a.case, &b.case),
                        "{a:?} {b:?}"
                    );
                }
            }
        }
    }
}

fn disjoint(a: &Case, b: &Case) -> bool {
    a.when.iter().any(|x| {
        b.when
            .iter()
            .any(|y| x.argument == y.argument && (x.value ^ y.value) & x.mask & y.mask != 0)
    })
}

#[test]
fn the_rules_for_the_other_architecture_name_the_same_calls() {
    for spec in specs() {
        let named = |arch| -> Vec<&str> {
            let ruled: HashSet<u32> = plan(&spec, arch)
                .unwrap()
                .iter()
                .map(|rule| rule.number)
                .collect();
            let has = |name: &&str| numbers::number(name, arch).is_some_and(|number| ruled.contains(&number));
            numbers::names().filter(has).collect()
        };
        let here = named(Arch::X86_64);
        assert!(named(Arch::Aarch64).iter().all(|name| here.contains(name)));
        assert_eq!(decide(&plan(&spec, Arch::Aarch64).unwrap(), 435, &[0; 6]), ENOSYS);
    }
}
