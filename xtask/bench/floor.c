/* The floor of a confined start: what the kernel asks for the same walls, and nothing else.
 *
 * One process makes namespaces, root, Landlock domain and filter like those of the default policy and
 * executes /bin/true in them, without an init, a supervisor or a look at the host. `floor once` does it once;
 * `floor` once for every line it reads, answering "ok", a tab and the nanoseconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMESPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET)
#define READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define DEVICE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Ranges of the filter: with the head, about as many instructions as the default profile's. */
#define RANGES 128
#define LAST_CALL 480

static struct sock_filter filter[4 + 2 * RANGES];
static unsigned short filter_length;
static char uid_map[64], gid_map[64];
static char stack[64 * 1024] __attribute__((aligned(16)));

static _Noreturn void fail(const char *what)
{
    dprintf(2, "floor: %s: %s\n", what, strerror(errno));
    _exit(125);
}

static int must(long result, const char *what)
{
    if (result < 0)
        fail(what);
    return (int)result;
}

static void emit(unsigned short code, unsigned char if_true, unsigned char if_false, unsigned value)
{
    filter[filter_length++] = (struct sock_filter){ code, if_true, if_false, value };
}

/* A balanced tree over ranges of four numbers each. */
static void emit_ranges(unsigned first, unsigned end)
{
    if (end - first == 1) {
        emit(BPF_RET | BPF_K, 0, 0,
             first * 4 < LAST_CALL ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | ENOSYS);
        return;
    }
    unsigned middle = (first + end) / 2;
    emit(BPF_JMP | BPF_JGE | BPF_K, (unsigned char)(2 * (middle - first) - 1), 0, middle * 4);
    emit_ranges(first, middle);
    emit_ranges(middle, end);
}

static void compile_filter(void)
{
    emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    emit(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ARCHITECTURE);
    emit(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);
    emit(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    emit_ranges(0, RANGES);
}

static void write_file(const char *path, const char *text)
{
    int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);
    must(write(fd, text, strlen(text)), path);
    close(fd);
}

static void attach(int tree, int root, const char *path, unsigned long long attributes)
{
    struct mount_attr attr = { .attr_set = attributes };
    must(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr), path);
    must(syscall(SYS_move_mount, tree, "", root, path, MOVE_MOUNT_F_EMPTY_PATH), path);
    close(tree);
}

static void bind_tree(const char *source, int root, const char *path, unsigned long long attributes)
{
    attach(must(syscall(SYS_open_tree, AT_FDCWD, source,
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), source),
           root, path, attributes);
}

static int new_file_system(const char *kind, const char *key, const char *value)
{
    int context = must(syscall(SYS_fsopen, kind, FSOPEN_CLOEXEC), kind);
    if (key)
        must(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0), key);
    must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), kind);
    int mount = must(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0), kind);
    close(context);
    return mount;
}

static void build_root(void)
{
    static const char *const dirs[] = { "usr", "etc", "etc/ssl", "proc", "dev", "dev/pts", "dev/shm",
                                        "tmp", "var", "run", "home", "home/sandbox" };
    static const char *const links[][2] = { { "usr/bin", "bin" }, { "usr/sbin", "sbin" },
                                            { "usr/lib", "lib" }, { "usr/lib64", "lib64" },
                                            { "/proc/self/fd", "dev/fd" }, { "pts/ptmx", "dev/ptmx" } };
    static const char *const files[] = { "etc/passwd", "etc/group", "etc/hosts", "etc/hostname",
                                         "etc/resolv.conf", "etc/nsswitch.conf" };
    static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                           "/dev/urandom", "/dev/tty" };
    struct mount_attr slave = { .propagation = 1 << 18 /* MS_PRIVATE */ };
    struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };

    must(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &slave, sizeof slave), "private mounts");
    int root = new_file_system("tmpfs", "mode", "0755");
    must(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "root");
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        must(mkdirat(root, dirs[i], 0755), dirs[i]);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        must(symlinkat(links[i][0], root, links[i][1]), links[i][1]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int file = must(openat(root, files[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0644), files[i]);
        must(write(file, "sandbox\n", 8), files[i]);
        close(file);
    }
    bind_tree("/usr", root, "usr", READ_ONLY);
    bind_tree("/etc/ssl", root, "etc/ssl", READ_ONLY);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        close(must(openat(root, devices[i] + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0644), devices[i]));
        bind_tree(devices[i], root, devices[i] + 1, DEVICE);
    }
    bind_tree("/dev/null", root, "etc/passwd", DEVICE);
    attach(new_file_system("proc", NULL, NULL), root, "proc", DEVICE | MOUNT_ATTR_NODEV);
    attach(new_file_system("devpts", "ptmxmode", "0666"), root, "dev/pts", DEVICE);
    /* Directories of the root that stay writable. */
    static const char *const writable[] = { "tmp", "dev/shm", "home/sandbox" };
    for (size_t i = 0; i < sizeof writable / sizeof *writable; i++) {
        int tree = must(syscall(SYS_open_tree, root, writable[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC),
                        writable[i]);
        attach(tree, root, writable[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    }
    must(syscall(SYS_mount_setattr, root, "", AT_EMPTY_PATH, &read_only, sizeof read_only), "read-only root");
    must(fchdir(root), "root");
    must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */), "old root");
    must(chdir("/"), "/");
}

static void raise_loopback(void)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    must(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
    close(fd);
}

static void restrict_paths(void)
{
    static const char *const readable[] = { "/usr", "/etc", "/etc/ssl", "/proc", "/dev/pts", "/var" };
    static const char *const writable[] = { "/tmp", "/dev/shm", "/home/sandbox" };
    static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                           "/dev/urandom", "/dev/tty" };
    const unsigned long long all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    const unsigned long long read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                                    LANDLOCK_ACCESS_FS_EXECUTE;
    const unsigned long long device = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    const struct { const char *const *paths; size_t count; unsigned long long access; } groups[] = {
        { readable, 6, read }, { writable, 3, all }, { devices, 6, device },
    };
    struct landlock_ruleset_attr attr = { .handled_access_fs = all };
    int ruleset = must(syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0), "Landlock");
    for (size_t group = 0; group < sizeof groups / sizeof *groups; group++)
        for (size_t i = 0; i < groups[group].count; i++) {
            int place = must(open(groups[group].paths[i], O_PATH | O_CLOEXEC), groups[group].paths[i]);
            struct landlock_path_beneath_attr rule = { groups[group].access, place };
            must(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0), "rule");
            close(place);
        }
    must(syscall(SYS_landlock_restrict_self, ruleset, 0), "restrict");
    close(ruleset);
}

/* Runs in the memory of the suspended parent, as after vfork. */
static int child(void *unused)
{
    (void)unused;
    static char *const argv[] = { "true", NULL };
    static char *const envp[] = { "PATH=/usr/bin", "HOME=/home/sandbox", "SANDBOX=1", NULL };
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { 0 };
    struct sock_fprog program = { filter_length, filter };

    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", uid_map);
    write_file("/proc/self/gid_map", gid_map);
    must(sethostname("sandbox", 7), "hostname");
    raise_loopback();
    build_root();
    must(setsid(), "setsid");
    must(syscall(SYS_capset, &header, none), "capset");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    restrict_paths();
    must(syscall(SYS_close_range, 3, ~0U, 0), "close_range");
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
    execve("/bin/true", argv, envp);
    fail("/bin/true");
}

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void run(void)
{
    int status;
    struct rusage usage;
    pid_t pid = must(clone(child, stack + sizeof stack, NAMESPACES | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL),
                     "clone");
    must(wait4(pid, &status, 0, &usage), "wait4");
    if (status != 0)
        exit(1);
}

int main(int argc, char **argv)
{
    char line[4096];
    snprintf(uid_map, sizeof uid_map, "%u %u 1", geteuid(), geteuid());
    snprintf(gid_map, sizeof gid_map, "%u %u 1", getegid(), getegid());
    compile_filter();
    if (argc > 1 && strcmp(argv[1], "once") == 0) {
        run();
        return 0;
    }
    while (fgets(line, sizeof line, stdin)) {
        long long start = now();
        run();
        printf("ok\t%lld\n", now() - start);
        fflush(stdout);
    }
    return 0;
}
