/* Device nodes: made here, found in /dev, or more of them in /dev than a program needs. */
#include "attempt.h"

#include <sys/sysmacros.h>

struct node { mode_t type; unsigned major, minor; };

static const struct node nodes[] = {
    {S_IFCHR, 1, 1},    /* mem */
    {S_IFCHR, 1, 3},    /* null: harmless, but nobody makes nodes */
    {S_IFCHR, 1, 11},   /* kmsg */
    {S_IFCHR, 10, 229}, /* fuse */
    {S_IFCHR, 4, 64},   /* ttyS0 */
    {S_IFBLK, 8, 0},    /* sda */
    {S_IFBLK, 254, 0},  /* vda */
    {S_IFBLK, 7, 0},    /* loop0 */
};

static void make(long index) {
    const struct node *node = &nodes[index];
    scratch();
    judge(mknod("node", node->type | 0600, makedev(node->major, node->minor)), "made a node");
}

/* A whiteout is a character device 0/0 that opens nothing; anybody may make one. */
static void make_and_open(long index) {
    const struct node *node = &nodes[index];
    scratch();
    if (mknod("node", node->type | 0600, makedev(node->major, node->minor)) != 0) denied();
    judge(open("node", O_RDONLY | O_NONBLOCK | O_NOCTTY), "opened a node of its own");
}

static const char *const devices[] = {
    "mem", "kmem", "port", "kmsg", "kvm", "fuse", "vda", "sda", "nvme0n1", "net/tun", "vsock", "vhost-vsock", "vhost-net",
    "userfaultfd", "loop0", "loop-control", "zram0", "tty0", "tty1", "ttyS0", "console", "vcs", "vcsa", "hwrng",
    "cpu/0/msr", "cpu_dma_latency", "btrfs-control", "autofs", "snapshot", "mapper/control", "dri/card0", "input/event0",
    "rtc0", "uinput", "uhid", "hpet", "nvram", "sg0", "vga_arbiter",
};

/* Read-only and without blocking; nothing is read, and no watchdog is on the list. */
static void open_device(long index) {
    char path[64];
    snprintf(path, sizeof path, "/dev/%s", devices[index]);
    judge(open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY), "opened");
}

/* What a program needs, and what is no device. */
static int expected(const char *name) {
    static const char *const fine[] = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd", "core",
                                       "stdin", "stdout", "stderr", "mqueue"};
    for (size_t i = 0; i < COUNT(fine); i++)
        if (!strcmp(name, fine[i])) return 1;
    return 0;
}

/* The console of a terminal run is its own pty; every other node is one too many. */
static void extra_nodes(long arg) {
    (void)arg;
    DIR *dev = opendir("/dev");
    if (!dev) denied();
    for (struct dirent *item; (item = readdir(dev));)
        if (item->d_name[0] != '.' && !expected(item->d_name)) escaped("/dev/%s is there", item->d_name);
    denied_because("only the usual nodes");
}

static void pts_of_others(long arg) {
    (void)arg;
    DIR *pts = opendir("/dev/pts");
    if (!pts) denied();
    for (struct dirent *item; (item = readdir(pts));) {
        char path[300], *mine = ttyname(STDIN_FILENO);
        if (!isdigit((unsigned char)item->d_name[0])) continue;
        snprintf(path, sizeof path, "/dev/pts/%s", item->d_name);
        if (mine && !strcmp(mine, path)) continue;
        if (open(path, O_RDWR | O_NOCTTY | O_NONBLOCK) >= 0) escaped("opened %s", path);
    }
    denied_because("no terminal of others");
}

/* Those of the host that a program needs: only what a driver does with it may happen to one. */
static const char *const shared[] = {"null", "zero", "full", "random", "urandom", "tty"};

static const char *shared_path(long index) {
    static char path[64];
    snprintf(path, sizeof path, "/dev/%s", shared[index]);
    return path;
}

/* To what they are already. */
static void change_mode(long index) {
    struct stat status;
    if (stat(shared_path(index), &status) != 0) denied();
    judge(chmod(shared_path(index), status.st_mode & 07777), "changed the mode");
}

static void change_times(long index) {
    struct stat status;
    if (stat(shared_path(index), &status) != 0) denied();
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    judge(utimensat(AT_FDCWD, shared_path(index), times, 0), "changed the times");
}

#define SHARED(name, index) {"chmod-" name, change_mode, index}, {"utime-" name, change_times, index}
#define OPEN(name, index) {"open-" name, open_device, index}

static const struct attempt attempts[] = {
    {"mknod-mem", make, 0},
    {"mknod-null", make, 1},
    {"mknod-kmsg", make_and_open, 2},
    {"mknod-fuse", make_and_open, 3},
    {"mknod-serial", make_and_open, 4},
    {"mknod-sda", make, 5},
    {"mknod-vda", make_and_open, 6},
    {"mknod-loop", make_and_open, 7},
    OPEN("mem", 0), OPEN("kmem", 1), OPEN("port", 2), OPEN("kmsg", 3), OPEN("kvm", 4), OPEN("fuse", 5), OPEN("vda", 6),
    OPEN("sda", 7), OPEN("nvme0n1", 8), OPEN("tun", 9), OPEN("vsock", 10), OPEN("vhost-vsock", 11), OPEN("vhost-net", 12),
    OPEN("userfaultfd", 13), OPEN("loop0", 14), OPEN("loop-control", 15), OPEN("zram0", 16), OPEN("tty0", 17),
    OPEN("tty1", 18), OPEN("ttyS0", 19), OPEN("console", 20), OPEN("vcs", 21), OPEN("vcsa", 22), OPEN("hwrng", 23),
    OPEN("msr", 24), OPEN("cpu-dma-latency", 25), OPEN("btrfs-control", 26), OPEN("autofs", 27), OPEN("snapshot", 28),
    OPEN("mapper-control", 29), OPEN("dri-card0", 30), OPEN("input-event0", 31), OPEN("rtc0", 32), OPEN("uinput", 33),
    OPEN("uhid", 34), OPEN("hpet", 35), OPEN("nvram", 36), OPEN("sg0", 37), OPEN("vga-arbiter", 38),
    SHARED("null", 0), SHARED("zero", 1), SHARED("full", 2), SHARED("random", 3), SHARED("urandom", 4), SHARED("tty", 5),
    {"extra-nodes", extra_nodes, 0},
    {"pts-of-others", pts_of_others, 0},
};

ATTEMPTS(attempts)
