/* Sockets: the host's listeners, and address families that lead around the network rule.
 *
 * Outside listen: ESCAPE_UNIX (pathname, stream), ESCAPE_ABSTRACT (abstract name, stream and datagram), ESCAPE_TCP
 * (port on 127.0.0.1), ESCAPE_UDP (port on 127.0.0.1 that echoes); ESCAPE_READONLY_DIR/socket is a pathname one in a granted
 * directory. ESCAPE_OTHER_PORT is a port that a rule on ports does not allow (any free one).
 */
#include "attempt.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* As <linux/vm_sockets.h> has it, which older headers lack. */
struct vsock_address { sa_family_t family; unsigned short reserved; unsigned port, cid; unsigned char rest[4]; };

static int open_socket(int family, int type, int protocol) {
    int fd = socket(family, type, protocol);
    if (fd < 0) denied();
    return fd;
}

/* The kernel found the listener even when it would not talk: wrong type, full queue. */
static void judge_connect(int result, const char *detail) {
    if (result < 0 && (errno == EPROTOTYPE || errno == EAGAIN || errno == EINPROGRESS))
        escaped("%s: found it (%s)", detail, errno_name(errno));
    judge(result, detail);
}

static socklen_t pathname(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) absent("the path of the socket is too long");
    strcpy(address->sun_path, path);
    return sizeof *address;
}

static socklen_t abstract_name(struct sockaddr_un *address) {
    const char *name = outside("ESCAPE_ABSTRACT");
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(name) >= sizeof address->sun_path - 1) absent("the abstract name is too long");
    strcpy(address->sun_path + 1, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void unix_path(long type) {
    struct sockaddr_un address;
    socklen_t length = pathname(&address, outside("ESCAPE_UNIX"));
    judge_connect(connect(open_socket(AF_UNIX, (int)type, 0), (struct sockaddr *)&address, length), "pathname socket");
}

static void unix_path_granted(long type) {
    struct sockaddr_un address;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/socket", outside("ESCAPE_READONLY_DIR"));
    socklen_t length = pathname(&address, path);
    judge_connect(connect(open_socket(AF_UNIX, (int)type, 0), (struct sockaddr *)&address, length), "pathname socket");
}

static void unix_path_symlink(long arg) {
    (void)arg;
    struct sockaddr_un address;
    const char *path = outside("ESCAPE_UNIX");
    scratch();
    if (symlink(path, "s") != 0) denied();
    socklen_t length = pathname(&address, "s");
    judge_connect(connect(open_socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, length), "by symlink");
}

static void unix_path_fd(long arg) {
    (void)arg;
    struct sockaddr_un address;
    char link[32];
    int fd = open(outside("ESCAPE_UNIX"), O_PATH);
    if (fd < 0) denied();
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    socklen_t length = pathname(&address, link);
    judge_connect(connect(open_socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, length), "by path fd");
}

static void unix_path_send(long arg) {
    (void)arg;
    struct sockaddr_un address;
    socklen_t length = pathname(&address, outside("ESCAPE_UNIX"));
    int fd = open_socket(AF_UNIX, SOCK_DGRAM, 0);
    judge_connect((int)sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length), "datagram");
}

static void abstract_connect(long type) {
    struct sockaddr_un address;
    socklen_t length = abstract_name(&address);
    judge_connect(connect(open_socket(AF_UNIX, (int)type, 0), (struct sockaddr *)&address, length), "abstract socket");
}

static void abstract_send(long arg) {
    (void)arg;
    struct sockaddr_un address;
    socklen_t length = abstract_name(&address);
    int fd = open_socket(AF_UNIX, SOCK_DGRAM, 0);
    judge_connect((int)sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length), "datagram");
}

static struct sockaddr_in loopback(long port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void tcp_connect(long protocol) {
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    int fd = open_socket(AF_INET, SOCK_STREAM, (int)protocol);
    judge_connect(connect(fd, (struct sockaddr *)&address, sizeof address), "TCP");
}

static void tcp_mapped(long protocol) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)outside_number("ESCAPE_TCP"))};
    address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
    address.sin6_addr.s6_addr[12] = 127;
    address.sin6_addr.s6_addr[15] = 1;
    int fd = open_socket(AF_INET6, SOCK_STREAM, (int)protocol);
    judge_connect(connect(fd, (struct sockaddr *)&address, sizeof address), "TCP over IPv6");
}

static void fastopen_sendto(long protocol) {
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    int fd = open_socket(AF_INET, SOCK_STREAM, (int)protocol);
    judge_connect((int)sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address), "fast open");
}

static void fastopen_sendto_garbage(long arg) {
    (void)arg;
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    int fd = open_socket(AF_INET, SOCK_STREAM, 0);
    judge_connect((int)syscall(SYS_sendto, fd, "x", 1UL, GARBAGE | MSG_FASTOPEN, &address, sizeof address), "fast open");
}

static struct msghdr message(struct sockaddr_in *address, struct iovec *data) {
    struct msghdr message = {.msg_name = address, .msg_namelen = sizeof *address, .msg_iov = data, .msg_iovlen = 1};
    return message;
}

static void fastopen_sendmsg(long arg) {
    (void)arg;
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    struct iovec data = {"x", 1};
    struct msghdr one = message(&address, &data);
    judge_connect((int)sendmsg(open_socket(AF_INET, SOCK_STREAM, 0), &one, MSG_FASTOPEN), "fast open");
}

static void fastopen_sendmmsg(long arg) {
    (void)arg;
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    struct iovec data = {"x", 1};
    struct mmsghdr one = {.msg_hdr = message(&address, &data)};
    judge_connect(sendmmsg(open_socket(AF_INET, SOCK_STREAM, 0), &one, 1, MSG_FASTOPEN), "fast open");
}

static void fastopen_option(long arg) {
    (void)arg;
    struct sockaddr_in address = loopback(outside_number("ESCAPE_TCP"));
    int fd = open_socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) != 0) denied();
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) judge_connect(-1, "fast open");
    judge_connect((int)write(fd, "x", 1), "fast open");
}

/* A datagram went nowhere unless it comes back. */
static void udp_echo(long arg) {
    (void)arg;
    struct sockaddr_in address = loopback(outside_number("ESCAPE_UDP"));
    struct timeval patience = {.tv_usec = 500 * 1000};
    char byte;
    int fd = open_socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) != 1) denied();
    judge(recv(fd, &byte, 1, 0), "echoed");
}

static void bind_port(long protocol) {
    struct sockaddr_in address = loopback(outside_number("ESCAPE_OTHER_PORT"));
    int fd = open_socket(AF_INET, SOCK_STREAM, (int)protocol);
    judge(bind(fd, (struct sockaddr *)&address, sizeof address), "bound");
}

static void listen_autobind(long protocol) { judge(listen(open_socket(AF_INET, SOCK_STREAM, (int)protocol), 1), "listens"); }

/* Any answer of the hypervisor or of the loopback transport, a reset too, means that the message left. */
static void vsock_connect(long cid) {
    struct vsock_address address = {.family = AF_VSOCK, .port = 0xfffffffe, .cid = (unsigned)cid};
    int fd = open_socket(AF_VSOCK, SOCK_STREAM, 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof address);
    if (result < 0 && (errno == EPERM || errno == EACCES || errno == ENODEV)) denied();
    escaped("cid %ld: %s", cid, result < 0 ? errno_name(errno) : "connected");
}

static void family_stream(long family) { judge(socket((int)family, SOCK_STREAM, 0), "socket"); }
static void family_packet(long family) { judge(socket((int)family, SOCK_SEQPACKET, 0), "socket"); }
static void family_datagram(long family) { judge(socket((int)family, SOCK_DGRAM, 0), "socket"); }
static void family_raw(long family) { judge(socket((int)family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"); }
static void raw_protocol(long protocol) { judge(socket(AF_INET, SOCK_RAW, (int)protocol), "socket"); }
static void raw_protocol6(long protocol) { judge(socket(AF_INET6, SOCK_RAW, (int)protocol), "socket"); }
static void ping_socket(long family) { judge(socket((int)family, SOCK_DGRAM, family == AF_INET ? 1 : 58), "socket"); }
static void stream_protocol(long protocol) { judge(socket(AF_INET, SOCK_STREAM, (int)protocol), "socket"); }
static void stream_protocol6(long protocol) { judge(socket(AF_INET6, SOCK_STREAM, (int)protocol), "socket"); }
static void datagram_protocol(long protocol) { judge(socket(AF_INET, SOCK_DGRAM, (int)protocol), "socket"); }
static void old_packet(long type) { judge(socket(AF_INET, (int)type, htons(3)), "socket"); }
static void netlink_raw(long protocol) { judge(socket(AF_NETLINK, SOCK_RAW, (int)protocol), "socket"); }
static void netlink_datagram(long protocol) { judge(socket(AF_NETLINK, SOCK_DGRAM, (int)protocol), "socket"); }

static void garbage_family(long family) {
    judge(syscall(SYS_socket, GARBAGE | (unsigned long)family, GARBAGE | SOCK_STREAM, GARBAGE), "socket");
}

static void garbage_netlink(long protocol) {
    judge(syscall(SYS_socket, GARBAGE | AF_NETLINK, GARBAGE | SOCK_RAW, GARBAGE | (unsigned long)protocol), "socket");
}

static void garbage_protocol(long protocol) {
    judge(syscall(SYS_socket, AF_INET, SOCK_STREAM, GARBAGE | (unsigned long)protocol), "socket");
}

static void garbage_raw(long protocol) {
    judge(syscall(SYS_socket, GARBAGE | AF_INET, GARBAGE | SOCK_RAW, GARBAGE | (unsigned long)protocol), "socket");
}

static void pair_family(long family) {
    int ends[2];
    judge(socketpair((int)family, SOCK_SEQPACKET, 0, ends), "pair");
}

static const struct attempt attempts[] = {
    {"unix-path", unix_path, SOCK_STREAM},
    {"unix-path-datagram", unix_path, SOCK_DGRAM},
    {"unix-path-sequential", unix_path, SOCK_SEQPACKET},
    {"unix-path-sendto", unix_path_send, 0},
    {"unix-path-symlink", unix_path_symlink, 0},
    {"unix-path-fd", unix_path_fd, 0},
    {"unix-granted-dir", unix_path_granted, SOCK_STREAM},
    {"unix-abstract", abstract_connect, SOCK_STREAM},
    {"unix-abstract-datagram", abstract_connect, SOCK_DGRAM},
    {"unix-abstract-sendto", abstract_send, 0},
    {"tcp-loopback", tcp_connect, 0},
    {"tcp-loopback-mapped", tcp_mapped, 0},
    {"tcp-mptcp", tcp_connect, IPPROTO_MPTCP},
    {"tcp-mptcp-mapped", tcp_mapped, IPPROTO_MPTCP},
    {"tcp-fastopen-sendto", fastopen_sendto, 0},
    {"tcp-fastopen-sendto-garbage", fastopen_sendto_garbage, 0},
    {"tcp-fastopen-mptcp", fastopen_sendto, IPPROTO_MPTCP},
    {"tcp-fastopen-sendmsg", fastopen_sendmsg, 0},
    {"tcp-fastopen-sendmmsg", fastopen_sendmmsg, 0},
    {"tcp-fastopen-option", fastopen_option, 0},
    {"udp-echo", udp_echo, 0},
    {"bind-port", bind_port, 0},
    {"bind-port-mptcp", bind_port, IPPROTO_MPTCP},
    {"listen-autobind", listen_autobind, 0},
    {"listen-autobind-mptcp", listen_autobind, IPPROTO_MPTCP},
    {"vsock-stream", family_stream, AF_VSOCK},
    {"vsock-datagram", family_datagram, AF_VSOCK},
    {"vsock-sequential", family_packet, AF_VSOCK},
    {"vsock-host", vsock_connect, 2},
    {"vsock-local", vsock_connect, 1},
    {"mptcp", stream_protocol, IPPROTO_MPTCP},
    {"mptcp-ipv6", stream_protocol6, IPPROTO_MPTCP},
    {"smc", stream_protocol, 256},
    {"sctp", stream_protocol, 132},
    {"dccp", stream_protocol, 33},
    {"udp-lite", datagram_protocol, 136},
    {"packet-raw", family_raw, AF_PACKET},
    {"packet-datagram", family_datagram, AF_PACKET},
    {"packet-old", old_packet, SOCK_PACKET},
    {"raw-icmp", raw_protocol, IPPROTO_ICMP},
    {"raw-ip", raw_protocol, IPPROTO_RAW},
    {"raw-tcp", raw_protocol, IPPROTO_TCP},
    {"raw-icmp-ipv6", raw_protocol6, 58},
    {"ping", ping_socket, AF_INET},
    {"ping-ipv6", ping_socket, AF_INET6},
    {"netlink-audit", netlink_raw, 9},
    {"netlink-uevent", netlink_raw, 15},
    {"netlink-netfilter", netlink_raw, 12},
    {"netlink-generic", netlink_raw, 16},
    {"netlink-generic-datagram", netlink_datagram, 16},
    {"netlink-sock-diag", netlink_raw, 4},
    {"netlink-xfrm", netlink_raw, 6},
    {"netlink-selinux", netlink_raw, 7},
    {"netlink-iscsi", netlink_raw, 8},
    {"netlink-fib-lookup", netlink_raw, 10},
    {"netlink-connector", netlink_raw, 11},
    {"netlink-usersock", netlink_raw, 2},
    {"netlink-scsi", netlink_raw, 18},
    {"netlink-rdma", netlink_raw, 20},
    {"netlink-crypto", netlink_raw, 21},
    {"family-alg", family_packet, 38},
    {"family-xdp", family_raw, 44},
    {"family-smc", family_stream, 43},
    {"family-bluetooth", family_raw, 31},
    {"family-key", family_raw, 15},
    {"family-can", family_raw, 29},
    {"family-tipc", family_packet, 30},
    {"family-rds", family_packet, 21},
    {"family-qrtr", family_datagram, 42},
    {"family-nfc", family_packet, 39},
    {"family-llc", family_stream, 26},
    {"family-kcm", family_packet, 41},
    {"family-mctp", family_datagram, 45},
    {"family-pppox", family_stream, 24},
    {"family-ax25", family_packet, 3},
    {"family-x25", family_packet, 9},
    {"family-appletalk", family_datagram, 5},
    {"family-netrom", family_packet, 6},
    {"family-rxrpc", family_datagram, 33},
    {"family-phonet", family_datagram, 35},
    {"family-ieee802154", family_raw, 36},
    {"family-iucv", family_stream, 32},
    {"garbage-vsock", garbage_family, AF_VSOCK},
    {"garbage-netlink-audit", garbage_netlink, 9},
    {"garbage-netlink-generic", garbage_netlink, 16},
    {"garbage-mptcp", garbage_protocol, IPPROTO_MPTCP},
    {"garbage-raw", garbage_raw, IPPROTO_ICMP},
    {"pair-tipc", pair_family, 30},
};

ATTEMPTS(attempts)
