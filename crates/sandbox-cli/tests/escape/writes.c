/* Writing files outside: content, names and metadata.
 *
 * ESCAPE_VICTIM_DIR is a directory that is not granted, ESCAPE_READONLY_DIR one that is granted for reading; both hold
 * `file` and `doomed`, owned by whoever starts the sandbox. Every attempt is made on both: `victim-` shows that the
 * path is out of reach, `readonly-` that reach is not enough.
 */
#include "paths.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

enum { VICTIM, READONLY };

static const char *base(long where) { return outside(where == VICTIM ? "ESCAPE_VICTIM_DIR" : "ESCAPE_READONLY_DIR"); }
static char *file_in(long where) { return format_path("%s/file", base(where)); }
static char *new_in(long where) { return format_path("%s/new-%d", base(where), (int)getpid()); }

static void judge_created(long result, const char *path) {
    if (result >= 0) unlink(path);
    judge(result, "created");
}

static int readonly_fd(long where) {
    int fd = open(file_in(where), O_RDONLY);
    if (fd < 0) denied();
    return fd;
}

static void w_create(long w) { const char *path = new_in(w); judge_created(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600), path); }
static void w_creat_existing(long w) { judge(creat(file_in(w), 0600), "truncated"); }
static void w_append(long w) { judge(open(file_in(w), O_WRONLY | O_APPEND), "opened to append"); }
static void w_read_write(long w) { judge(open(file_in(w), O_RDWR), "opened for writing"); }
static void w_truncate_open(long w) { judge(open(file_in(w), O_RDONLY | O_TRUNC), "truncated"); }
static void w_truncate(long w) { judge(truncate(file_in(w), 0), "truncated"); }
static void w_openat2_truncate(long w) { judge(openat2_raw(AT_FDCWD, file_in(w), O_RDONLY | O_TRUNC, 0, 0), "truncated"); }

static void w_openat2_create(long w) {
    const char *path = new_in(w);
    judge_created(openat2_raw(AT_FDCWD, path, O_CREAT | O_WRONLY, 0600, RESOLVE_NO_MAGICLINKS), path);
}

static void w_openat2_in_root(long w) {
    int root = open("/", O_PATH | O_DIRECTORY);
    judge(openat2_raw(root, file_in(w), O_RDWR, 0, RESOLVE_IN_ROOT), "opened for writing");
}

static void w_tmpfile(long w) { judge(open(base(w), O_TMPFILE | O_WRONLY, 0600), "unnamed file"); }

static void w_reopen(long w) {
    judge(open(format_path("/proc/self/fd/%d", readonly_fd(w)), O_RDWR), "read-only fd reopened for writing");
}

static void w_reopen_path_fd(long w) {
    int fd = open(file_in(w), O_PATH);
    if (fd < 0) denied();
    judge(open(format_path("/proc/self/fd/%d", fd), O_RDWR), "path fd reopened for writing");
}

static void w_symlink_through(long w) {
    const char *target = file_in(w);
    scratch();
    if (symlink(target, "link") != 0) denied();
    judge(open("link", O_RDWR), "opened for writing");
}

static void w_self_root(long w) { judge(open(format_path("/proc/self/root%s", file_in(w)), O_RDWR), "opened for writing"); }

static void w_mkdir(long w) {
    const char *path = new_in(w);
    int result = mkdir(path, 0700);
    if (result == 0) rmdir(path);
    judge(result, "made a directory");
}

static void w_symlink(long w) { const char *path = new_in(w); judge_created(symlink("/", path), path); }
static void w_fifo(long w) { const char *path = new_in(w); judge_created(mkfifo(path, 0600), path); }

static void w_unlink(long w) {
    const char *path = format_path("%s/doomed", base(w));
    int result = unlink(path);
    if (result == 0) close(open(path, O_CREAT | O_WRONLY, 0600));
    judge(result, "unlinked");
}

static void w_rename_out(long w) {
    const char *path = file_in(w);
    scratch();
    int result = rename(path, "stolen");
    if (result == 0) rename("stolen", path);
    judge(result, "renamed out");
}

static void w_rename_in(long w) {
    const char *path = new_in(w);
    scratch();
    close(open("own", O_CREAT | O_WRONLY, 0600));
    int result = rename("own", path);
    if (result == 0) unlink(path);
    judge(result, "renamed in");
}

static void w_rename_within(long w) {
    const char *from = file_in(w), *to = new_in(w);
    long result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (result == 0) rename(to, from);
    judge(result, "renamed");
}

static void w_exchange(long w) {
    const char *path = file_in(w);
    scratch();
    close(open("own", O_CREAT | O_WRONLY, 0600));
    long result = syscall(SYS_renameat2, AT_FDCWD, "own", AT_FDCWD, path, RENAME_EXCHANGE);
    if (result == 0) syscall(SYS_renameat2, AT_FDCWD, "own", AT_FDCWD, path, RENAME_EXCHANGE);
    judge(result, "exchanged");
}

static void w_link_out(long w) {
    const char *path = file_in(w);
    scratch();
    judge(link(path, "linked"), "linked into the sandbox");
}

static void w_link_in(long w) {
    const char *path = new_in(w);
    scratch();
    close(open("own", O_CREAT | O_WRONLY, 0600));
    judge_created(link("own", path), path);
}

static void w_link_fd(long w) {
    int fd = readonly_fd(w);
    scratch();
    judge(linkat(AT_FDCWD, format_path("/proc/self/fd/%d", fd), AT_FDCWD, "linked", AT_SYMLINK_FOLLOW), "linked by fd");
}

/* Metadata is set to what it already is: what counts is that it may be set. */
static struct stat stat_of(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) denied();
    return st;
}

static void w_chmod(long w) { const char *path = file_in(w); judge(chmod(path, stat_of(path).st_mode & 07777), "chmod"); }
static void w_chown(long w) { const char *path = file_in(w); judge(chown(path, getuid(), getgid()), "chown"); }
static void w_lchown(long w) { judge(lchown(file_in(w), getuid(), getgid()), "lchown"); }

static void w_fchmodat2(long w) {
    const char *path = file_in(w);
    judge(syscall(SYS_fchmodat2, AT_FDCWD, path, stat_of(path).st_mode & 07777, AT_SYMLINK_NOFOLLOW), "fchmodat2");
}

static void w_utime(long w) {
    const char *path = file_in(w);
    struct stat st = stat_of(path);
    struct utimbuf times = {.actime = st.st_atime, .modtime = st.st_mtime};
    judge(utime(path, &times), "utime");
}

static void w_utimensat(long w) {
    const char *path = file_in(w);
    struct stat st = stat_of(path);
    struct timespec times[] = {st.st_atim, st.st_mtim};
    judge(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), "utimensat");
}

static void w_setxattr(long w) {
    const char *path = file_in(w);
    int result = setxattr(path, "user.escape", "x", 1, 0);
    if (result == 0) removexattr(path, "user.escape");
    judge(result, "setxattr");
}

static void w_lsetxattr(long w) {
    const char *path = file_in(w);
    int result = lsetxattr(path, "user.escape", "x", 1, 0);
    if (result == 0) lremovexattr(path, "user.escape");
    judge(result, "lsetxattr");
}

static void w_removexattr(long w) {
    int result = removexattr(file_in(w), "user.escape-not-there");
    if (result < 0 && errno != ENODATA) denied();
    escaped("removexattr was let through");
}

static void w_setxattrat(long w) {
    const char *path = file_in(w);
    struct { uint64_t value; uint32_t size, flags; } args = {.value = (uintptr_t)"x", .size = 1};
    long result = syscall(SYS_setxattrat, AT_FDCWD, path, 0, "user.escape", &args, sizeof args);
    if (result == 0) removexattr(path, "user.escape");
    judge(result, "setxattrat");
}

static void w_fchmod(long w) { int fd = readonly_fd(w); judge(fchmod(fd, stat_of(file_in(w)).st_mode & 07777), "fchmod on a read-only fd"); }
static void w_fchown(long w) { judge(fchown(readonly_fd(w), getuid(), getgid()), "fchown on a read-only fd"); }

static void w_futimens(long w) {
    int fd = readonly_fd(w);
    struct stat st = stat_of(file_in(w));
    struct timespec times[] = {st.st_atim, st.st_mtim};
    judge(futimens(fd, times), "futimens on a read-only fd");
}

static void w_fsetxattr(long w) {
    int fd = readonly_fd(w), result = fsetxattr(fd, "user.escape", "x", 1, 0);
    if (result == 0) fremovexattr(fd, "user.escape");
    judge(result, "fsetxattr on a read-only fd");
}

static void w_setflags(long w) {
    int fd = readonly_fd(w), flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) denied();
    judge(ioctl(fd, FS_IOC_SETFLAGS, &flags), "inode flags on a read-only fd");
}

static void w_setflags_garbage(long w) {
    int fd = readonly_fd(w), flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) denied();
    judge(syscall(SYS_ioctl, fd, GARBAGE | FS_IOC_SETFLAGS, &flags), "inode flags on a read-only fd");
}

static void w_file_setattr(long w) {
    const char *path = file_in(w);
    struct { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; } attr = {0};
    if (syscall(SYS_file_setattr - 1, AT_FDCWD, path, &attr, sizeof attr, 0) != 0) denied();
    judge(syscall(SYS_file_setattr, AT_FDCWD, path, &attr, sizeof attr, 0), "file_setattr");
}

static void w_rmdir(long w) {
    const char *path = base(w);
    errno = 0;
    int result = rmdir(path);
    if (errno == ENOTEMPTY) escaped("only its content saved the directory");
    judge(result, "removed");
}

/* The kernel's own files and the system's: opened for writing, never written. */
static const char *const knobs[] = {
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
    "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs",
    // The last is a program that nobody runs: ETXTBSY would hide what refuses it.
    "/sys/power/state", "/etc/passwd", "/usr/bin/tsort",
};

static void write_knob(long index) { judge(open(knobs[index], O_WRONLY), knobs[index]); }

#define BOTH(name, op) {"victim-" name, op, VICTIM}, {"readonly-" name, op, READONLY}

static const struct attempt attempts[] = {
    BOTH("create", w_create),
    BOTH("append", w_append),
    BOTH("read-write", w_read_write),
    BOTH("openat2-create", w_openat2_create),
    BOTH("openat2-in-root", w_openat2_in_root),
    BOTH("tmpfile", w_tmpfile),
    BOTH("reopen", w_reopen),
    BOTH("reopen-path-fd", w_reopen_path_fd),
    BOTH("symlink-through", w_symlink_through),
    BOTH("self-root", w_self_root),
    BOTH("mkdir", w_mkdir),
    BOTH("rmdir", w_rmdir),
    BOTH("symlink", w_symlink),
    BOTH("fifo", w_fifo),
    BOTH("unlink", w_unlink),
    BOTH("rename-out", w_rename_out),
    BOTH("rename-in", w_rename_in),
    BOTH("rename-within", w_rename_within),
    BOTH("exchange", w_exchange),
    BOTH("link-out", w_link_out),
    BOTH("link-in", w_link_in),
    BOTH("link-fd", w_link_fd),
    BOTH("chmod", w_chmod),
    BOTH("chown", w_chown),
    BOTH("lchown", w_lchown),
    BOTH("fchmodat2", w_fchmodat2),
    BOTH("utime", w_utime),
    BOTH("utimensat", w_utimensat),
    BOTH("setxattr", w_setxattr),
    BOTH("lsetxattr", w_lsetxattr),
    BOTH("removexattr", w_removexattr),
    BOTH("setxattrat", w_setxattrat),
    BOTH("fchmod", w_fchmod),
    BOTH("fchown", w_fchown),
    BOTH("futimens", w_futimens),
    BOTH("fsetxattr", w_fsetxattr),
    BOTH("setflags", w_setflags),
    BOTH("setflags-garbage", w_setflags_garbage),
    BOTH("file-setattr", w_file_setattr),
    BOTH("truncate-open", w_truncate_open),
    BOTH("openat2-truncate", w_openat2_truncate),
    BOTH("truncate", w_truncate),
    BOTH("creat-existing", w_creat_existing),
    {"write-core-pattern", write_knob, 0},
    {"write-modprobe", write_knob, 1},
    {"write-sysrq", write_knob, 2},
    {"write-drop-caches", write_knob, 3},
    {"write-irq-affinity", write_knob, 4},
    {"write-uevent-helper", write_knob, 5},
    {"write-cgroup-procs", write_knob, 6},
    {"write-power-state", write_knob, 7},
    {"write-passwd", write_knob, 8},
    {"write-system-binary", write_knob, 9},
};

ATTEMPTS(attempts)
