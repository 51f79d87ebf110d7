//! Which sockets may be made, and how they may be used.
//!
//! `socket()` is an allow-list of (family, type, protocol). What is not on it fails as a kernel without the
//! feature would, so that libraries take their fallback: families that no policy allows (vsock, packet, alg, xdp,
//! smc, …) with EAFNOSUPPORT, Multipath TCP with EPROTONOSUPPORT. What a policy could allow and this one does not
//! (unix, inet, netlink), and raw sockets, are EPERM.

use super::arguments::allow_each;
use super::conditions::{Case, Condition, bits_clear, int_is, int_is_ignoring, int_is_none_of};
use super::spec::{Inet, Toggles};

/// The cases of a call on sockets; `None` when it is allowed whatever its arguments.
pub(super) fn cases(call: &str, toggles: Toggles) -> Option<Vec<Case>> {
    let ports_ruled = toggles.inet == Inet::TcpOnly;
    match call {
        "socket" => Some(socket(toggles)),
        "socketpair" => Some(vec![Case::allow([int_is(0, AF_UNIX)])]),
        "sendto" | "sendmmsg" if ports_ruled => Some(allow_each([bits_clear(3, MSG_FASTOPEN)])),
        "sendmsg" if ports_ruled => Some(allow_each([bits_clear(2, MSG_FASTOPEN)])),
        "setsockopt" if ports_ruled => Some(setsockopt()),
        _ => None,
    }
}

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const AF_NETLINK: u32 = 16;

/// A mask of at least this compares all bits but the last six: enough for every TCP option, and a few rules
/// instead of one for each bit of an int. What lies beyond gets no rule, which is EPERM.
const BELOW_64: u64 = 0xFFFF_FFC0;

const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
const SOCK_RAW: u32 = 3;
const SOCK_SEQPACKET: u32 = 5;
/// `SOCK_CLOEXEC | SOCK_NONBLOCK`, which share the argument with the type.
const SOCK_FLAGS: u32 = 0x0008_0800;

const NETLINK_ROUTE: u32 = 0;
const IPPROTO_ICMP: u32 = 1;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;
const IPPROTO_ICMPV6: u32 = 58;
const IPPROTO_MPTCP: u32 = 262;

/// Connects while sending, past Landlock's hook on connect.
const MSG_FASTOPEN: u64 = 0x2000_0000;
const TCP_FASTOPEN_CONNECT: u32 = 30;
/// Turns a TCP socket into one of another protocol, which Landlock would no longer recognize.
const TCP_ULP: u32 = 31;

fn socket(toggles: Toggles) -> Vec<Case> {
    let mut cases = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK]
        .map(|family| Case::family(int_is(0, family)))
        .to_vec();
    if toggles.unix_sockets {
        cases.extend([SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET].map(|kind| Case::allow(pair(AF_UNIX, kind))));
    }
    if toggles.inet != Inet::None {
        // Datagram and raw, which are the same for netlink and differ in one bit.
        let kind = int_is_ignoring(1, SOCK_FLAGS | (SOCK_DGRAM ^ SOCK_RAW), SOCK_DGRAM & SOCK_RAW);
        cases.push(Case::allow([
            int_is(0, AF_NETLINK),
            kind,
            int_is(2, NETLINK_ROUTE),
        ]));
        cases.extend(
            [(AF_INET, IPPROTO_ICMP), (AF_INET6, IPPROTO_ICMPV6)]
                .into_iter()
                .flat_map(|(family, ping)| inet(toggles.inet, family, ping)),
        );
    }
    cases
}

fn inet(inet: Inet, family: u32, ping: u32) -> Vec<Case> {
    let datagram: &[u32] = if inet == Inet::Any {
        &[0, IPPROTO_UDP, ping]
    } else {
        &[]
    };
    let stream = [0, IPPROTO_TCP].map(|protocol| triple(family, SOCK_STREAM, protocol));
    let datagram = datagram
        .iter()
        .map(|protocol| triple(family, SOCK_DGRAM, *protocol));
    let mut cases: Vec<Case> = stream.into_iter().chain(datagram).map(Case::allow).collect();
    cases.push(Case::errno(
        libc::EPROTONOSUPPORT,
        triple(family, SOCK_STREAM, IPPROTO_MPTCP),
    ));
    cases
}

fn pair(family: u32, kind: u32) -> [Condition; 2] {
    [int_is(0, family), int_is_ignoring(1, SOCK_FLAGS, kind)]
}

fn triple(family: u32, kind: u32, protocol: u32) -> [Condition; 3] {
    let [family, kind] = pair(family, kind);
    [family, kind, int_is(2, protocol)]
}

/// Any option of the levels a TCP or netlink socket has, except two of TCP.
fn setsockopt() -> Vec<Case> {
    const SOL_SOCKET: u32 = 1;
    const SOL_IP: u32 = 0;
    const SOL_IPV6: u32 = 41;
    const SOL_NETLINK: u32 = 270;
    let small = |condition: &Condition| condition.mask >= BELOW_64;
    let options = int_is_none_of(2, &[TCP_FASTOPEN_CONNECT, TCP_ULP])
        .into_iter()
        .filter(small);
    let at_tcp = options.map(|option| Case::allow([int_is(1, IPPROTO_TCP), option]));
    let levels = [SOL_SOCKET, SOL_IP, SOL_IPV6, SOL_NETLINK].map(|level| int_is(1, level));
    allow_each(levels).into_iter().chain(at_tcp).collect()
}
