//! The program decides as the rules do: the compiler is checked against an evaluation of its input.

use std::collections::HashSet;

use sandbox_types::policy::SyscallProfile;

use super::super::conditions::{Case, List, Verdict};
use super::super::numbers::{self, Arch};
use super::super::rules::{self, Call, plan};
use super::super::{FilterSpec, Inet, Toggles};
use super::{Answer, ENOSYS, EPERM, Filter, native};

fn decide(calls: &[Call], number: u32, args: &[u64; 6]) -> Answer {
    let Some(call) = calls.iter().find(|call| call.number == number) else {
        return ENOSYS;
    };
    let verdict = match &call.answer {
        rules::Answer::Always(verdict) => *verdict,
        rules::Answer::ByArguments(cases) => by_arguments(cases, args),
    };
    match verdict {
        Verdict::Allow => Answer::Allow,
        Verdict::Errno(errno) => Answer::Errno(errno),
        Verdict::Pass => EPERM,
    }
}

fn by_arguments(cases: &[Case], args: &[u64; 6]) -> Verdict {
    let holds = |case: &&Case| {
        case.when
            .iter()
            .all(|c| args[usize::from(c.argument)] & c.mask == c.value)
    };
    let asked = |list| {
        let mut on_it = cases.iter().filter(move |case| case.list == list);
        on_it.find(holds).map_or(list.otherwise(), |case| case.verdict)
    };
    let first = cases.iter().map(|case| case.list).min().unwrap();
    match asked(first) {
        Verdict::Pass => asked(List::LAST),
        decided => decided,
    }
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

fn interesting(calls: &[Call], number: u32) -> Vec<u64> {
    let conditions = calls
        .iter()
        .flat_map(Call::cases)
        .filter(|(of, _)| *of == number)
        .flat_map(|(_, case)| &case.when);
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
        let (calls, filter) = (plan(&spec, native()).unwrap(), Filter::of(&spec));
        for number in 0..1024 {
            let values = interesting(&calls, number);
            for _ in 0..values.len().min(150) * 4 {
                let args = [(); 6].map(|()| random.argument(&values));
                let expect = decide(&calls, number, &args);
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
fn calls_whose_arguments_do_not_matter_are_decided_without_a_look_at_them() {
    for spec in specs() {
        let filter = Filter::of(&spec);
        for call in plan(&spec, native()).unwrap() {
            if let rules::Answer::Always(_) = call.answer {
                assert!(
                    filter.ignores_arguments(call.number),
                    "{} under {spec:?}",
                    call.number
                );
            }
        }
        let hot = "read write close futex mmap munmap lseek pread64 fstat newfstatat openat rt_sigprocmask \
            clock_gettime getpid poll epoll_wait epoll_pwait recvfrom wait4 brk";
        for number in hot
            .split_whitespace()
            .filter_map(|name| numbers::number(name, native()))
        {
            assert!(filter.ignores_arguments(number), "{number} under {spec:?}");
        }
    }
}

#[test]
fn no_two_cases_of_one_call_overlap_with_different_verdicts() {
    for spec in specs() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for call in plan(&spec, arch).unwrap() {
                let cases: Vec<_> = call.cases().map(|(_, case)| case).collect();
                for (i, a) in cases.iter().enumerate() {
                    for b in cases.iter().skip(i + 1).filter(|b| b.list == a.list) {
                        assert!(a.verdict == b.verdict || disjoint(a, b), "{a:?} {b:?}");
                    }
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
                .filter(|call| call.answer != rules::Answer::Always(Verdict::NOT_PERMITTED))
                .map(|call| call.number)
                .collect();
            let has = |name: &&str| numbers::number(name, arch).is_some_and(|number| ruled.contains(&number));
            numbers::names().filter(has).collect()
        };
        let here = named(Arch::X86_64);
        assert!(named(Arch::Aarch64).iter().all(|name| here.contains(name)));
        assert_eq!(decide(&plan(&spec, Arch::Aarch64).unwrap(), 435, &[0; 6]), ENOSYS);
    }
}
