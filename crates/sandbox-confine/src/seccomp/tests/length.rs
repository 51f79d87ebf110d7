//! Long rule lists: jump offsets of BPF are one byte, and a program that overflows them fails open. And short
//! ones: the kernel compiles a filter at every start of a command, in time proportional to its length.

use std::time::Instant;

use sandbox_types::policy::SyscallProfile;

use super::super::numbers;
use super::super::{FilterSpec, Inet, Toggles};
use super::{Answer, EPERM, Filter, native};

#[test]
fn two_hundred_extra_rules_leave_other_abis_killed_and_unknown_numbers_refused() {
    let candidates: Vec<String> = numbers::names()
        .filter(|name| *name != "execve" && numbers::number(name, native()).is_some())
        .take(200)
        .map(str::to_owned)
        .collect();
    assert_eq!(candidates.len(), 200);
    let toggles = Toggles {
        inet: Inet::TcpOnly,
        ..Toggles::namespaced()
    };
    let spec = FilterSpec {
        deny: candidates.clone(),
        ..FilterSpec::new(SyscallProfile::Unrestricted, toggles)
    };
    let filter = Filter::of(&spec);
    for name in &candidates {
        assert_ne!(filter.call(name, &[]), Answer::Allow, "{name}");
    }
    for number in 0..512 {
        assert_eq!(
            filter.foreign(0x4000_0003, number, &[]),
            Answer::KillProcess,
            "{number}"
        );
    }
    assert_eq!(filter.call("read", &[]), Answer::Allow);
    assert_eq!(filter.call("mount", &[]), EPERM);
}

#[test]
fn every_profile_is_short() {
    for profile in SyscallProfile::ALL {
        for toggles in [
            Toggles::namespaced(),
            Toggles {
                inet: Inet::TcpOnly,
                ..Toggles::shared_host()
            },
        ] {
            let start = Instant::now();
            let filter = Filter::of(&FilterSpec::new(profile, toggles));
            let length = filter.0.instructions();
            println!(
                "{profile} {toggles:?}: {length} instructions in {:?}",
                start.elapsed()
            );
            assert!(length < 300, "{profile}: {length}");
        }
    }
}
