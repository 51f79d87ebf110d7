//! Every family, type and protocol against a table written a second time.

use sandbox_types::policy::SyscallProfile;

use super::super::{FilterSpec, Inet, Toggles};
use super::{Answer, EPERM, Filter, GARBAGE};

const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;
const STREAM: u64 = 1;
const DGRAM: u64 = 2;
const RAW: u64 = 3;
const SEQPACKET: u64 = 5;

fn expected(toggles: Toggles, family: u64, kind: u64, protocol: u64) -> Answer {
    let allowed = match (family, kind, protocol) {
        (UNIX, STREAM | DGRAM | SEQPACKET, _) => toggles.unix_sockets,
        (INET | INET6, STREAM, 0 | 6) | (NETLINK, RAW | DGRAM, 0) => toggles.inet != Inet::None,
        (INET | INET6, DGRAM, 0 | 17) | (INET, DGRAM, 1) | (INET6, DGRAM, 58) => toggles.inet == Inet::Any,
        (INET | INET6, STREAM, 262) if toggles.inet != Inet::None => {
            return Answer::Errno(libc::EPROTONOSUPPORT);
        }
        (UNIX | INET | INET6 | NETLINK, ..) => false,
        _ => return Answer::Errno(libc::EAFNOSUPPORT),
    };
    if allowed { Answer::Allow } else { EPERM }
}

#[test]
fn sockets_are_an_allow_list_of_family_type_and_protocol() {
    let protocols = [
        0, 1, 2, 6, 9, 15, 16, 17, 33, 58, 132, 136, 255, 256, 262, 0x106_0000,
    ];
    for inet in [Inet::None, Inet::TcpOnly, Inet::Any] {
        for unix_sockets in [false, true] {
            let toggles = Toggles {
                unix_sockets,
                inet,
                ..Toggles::namespaced()
            };
            let filter = Filter::of(&FilterSpec::new(SyscallProfile::Unrestricted, toggles));
            for family in (0..50).chain([127, 128, 257, 0x8000_0002]) {
                for kind in 0..12 {
                    for protocol in protocols {
                        let expect = expected(toggles, family, kind, protocol);
                        let args = [family, kind, protocol];
                        assert_eq!(filter.call("socket", &args), expect, "{toggles:?} {args:?}");
                        let garbage = [GARBAGE | family, GARBAGE | 0x8_0800 | kind, GARBAGE | protocol];
                        assert_eq!(
                            filter.call("socket", &garbage),
                            expect,
                            "{toggles:?} {garbage:x?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn socket_flags_other_than_the_two_known_are_refused() {
    let filter = Filter::profile(SyscallProfile::Network);
    for flag in (4..32).map(|bit| 1 << bit).filter(|flag| 0x8_0800 & flag == 0) {
        assert_eq!(
            filter.call("socket", &[INET, STREAM | flag, 0]),
            EPERM,
            "{flag:#x}"
        );
    }
}

#[test]
fn socketpair_makes_unix_sockets_even_where_socket_does_not() {
    let filter = Filter::of(&FilterSpec::new(SyscallProfile::Network, Toggles::shared_host()));
    assert_eq!(filter.call("socketpair", &[UNIX, STREAM, 0]), Answer::Allow);
    assert_eq!(
        filter.call("socketpair", &[GARBAGE | UNIX, SEQPACKET | 0x8_0800, 0]),
        Answer::Allow
    );
    for family in [INET, 30, 40, 44] {
        assert_eq!(filter.call("socketpair", &[family, STREAM, 0]), EPERM, "{family}");
    }
}

#[test]
fn narrow_profiles_make_no_sockets_at_all() {
    for profile in [
        SyscallProfile::Essential,
        SyscallProfile::Minimal,
        SyscallProfile::Compute,
    ] {
        for family in 0..50 {
            assert_eq!(
                Filter::profile(profile).call("socket", &[family, STREAM, 0]),
                EPERM,
                "{profile} {family}"
            );
        }
    }
}
