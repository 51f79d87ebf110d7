/* Reading files outside, by every road that leads there.
 *
 * ESCAPE_SECRET is a file that is not granted, ESCAPE_READONLY_DIR a directory that is granted for reading,
 * ESCAPE_VICTIM_DIR one that is not.
 */
#include "paths.h"

static void judge_read(int fd) {
    char byte;
    ssize_t got = fd < 0 ? -1 : read(fd, &byte, 1);
    if (got < 0) denied();
    if (got == 0) denied_because("empty");
    escaped("read the secret");
}

static const char *secret(void) { return outside("ESCAPE_SECRET"); }

static const char *climb(void) {
    static char dots[3 * 64 + 1];
    for (int i = 0; i < 64; i++) memcpy(dots + 3 * i, "../", 4);
    return dots;
}

static void read_absolute(long arg) { (void)arg; judge_read(open(secret(), O_RDONLY)); }

static void read_openat2(long resolve) {
    int root = open("/", O_PATH | O_DIRECTORY);
    judge_read((int)openat2_raw(root, resolve == RESOLVE_IN_ROOT ? secret() : secret() + 1, O_RDONLY, 0, (uint64_t)resolve));
}

static void read_reopened_path_fd(long arg) {
    (void)arg;
    int fd = open(secret(), O_PATH);
    if (fd < 0) denied();
    judge_read(open(format_path("/proc/self/fd/%d", fd), O_RDONLY));
}

static void read_symlink(long arg) {
    (void)arg;
    const char *target = secret();
    scratch();
    if (symlink(target, "link") != 0) denied();
    judge_read(open("link", O_RDONLY));
}

static void read_symlink_climb(long arg) {
    (void)arg;
    const char *target = format_path("%s%s", climb(), secret());
    scratch();
    if (symlink(target, "link") != 0) denied();
    judge_read(open("link", O_RDONLY));
}

static void read_dotdot(long arg) { (void)arg; judge_read(open(format_path("%s%s", climb(), secret()), O_RDONLY)); }

static void read_dotdot_from_granted(long arg) {
    (void)arg;
    int dir = open(outside("ESCAPE_READONLY_DIR"), O_PATH | O_DIRECTORY);
    if (dir < 0) denied();
    judge_read(openat(dir, format_path("%s%s", climb(), secret()), O_RDONLY));
}

static void read_self_root(long arg) { (void)arg; judge_read(open(format_path("/proc/self/root%s", secret()), O_RDONLY)); }

static void read_self_cwd(long arg) {
    (void)arg;
    judge_read(open(format_path("/proc/self/cwd/%s%s", climb(), secret()), O_RDONLY));
}

static void read_thread_root(long arg) {
    (void)arg;
    judge_read(open(format_path("/proc/thread-self/root%s", secret()), O_RDONLY));
}

static void read_hard_link(long arg) {
    (void)arg;
    const char *target = secret();
    scratch();
    if (link(target, "linked") != 0) denied();
    judge_read(open("linked", O_RDONLY));
}

static void list_victim_dir(long arg) { (void)arg; judge(open(outside("ESCAPE_VICTIM_DIR"), O_RDONLY | O_DIRECTORY), "listed"); }

static void execute_secret(long arg) {
    (void)arg;
    char *argv[] = {"secret", NULL};
    int result = execve(secret(), argv, argv + 1);
    if (errno == ENOEXEC) escaped("the kernel read it to execute it");
    judge(result, "executed");
}

static void read_kernel_memory(long arg) { (void)arg; judge(open("/proc/kcore", O_RDONLY), "opened"); }
static void read_shadow(long arg) { (void)arg; judge(open("/etc/shadow", O_RDONLY), "opened"); }

struct handle { struct file_handle head; unsigned char bytes[MAX_HANDLE_SZ]; };

static void handle_by_name(long arg) {
    (void)arg;
    struct handle handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount;
    if (name_to_handle_at(AT_FDCWD, secret(), &handle.head, &mount, 0) != 0) denied();
    judge_read(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY));
}

static void handle_of_granted(long arg) {
    (void)arg;
    const char *dir = outside("ESCAPE_READONLY_DIR");
    struct handle handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount;
    if (name_to_handle_at(AT_FDCWD, dir, &handle.head, &mount, 0) != 0) denied();
    judge(open_by_handle_at(open(dir, O_RDONLY), &handle.head, O_RDONLY), "opened by handle");
}

/* Guesses the handle of a filesystem's root (inode 2 on ext, 64 or 128 on xfs) through every mount we can name. */
static void handle_guess(long arg) {
    (void)arg;
    const uint32_t inodes[] = {2, 64, 128};
    const char *mounts[] = {"/", "/usr", "/etc/hosts", "/proc/self/exe", getenv("ESCAPE_READONLY_DIR"), "."};
    int refused = 0, other = ENOENT;
    for (size_t m = 0; m < COUNT(mounts); m++) {
        int mount = mounts[m] ? open(mounts[m], O_RDONLY) : -1;
        for (size_t i = 0; mount >= 0 && i < COUNT(inodes); i++) {
            struct handle handle = {.head = {.handle_bytes = 8, .handle_type = 1}};
            memcpy(handle.head.f_handle, &inodes[i], 4);
            int fd = open_by_handle_at(mount, &handle.head, O_RDONLY);
            if (fd >= 0) escaped("inode %u of the filesystem behind %s", inodes[i], mounts[m]);
            if (errno == EPERM || errno == ENOSYS || errno == EACCES) refused = errno;
            else other = errno;
        }
        if (mount >= 0) close(mount);
    }
    errno = refused ? refused : other;
    denied();
}

static const struct attempt attempts[] = {
    {"read-absolute", read_absolute, 0},
    {"read-openat2", read_openat2, 0},
    {"read-openat2-in-root", read_openat2, RESOLVE_IN_ROOT},
    {"read-openat2-beneath", read_openat2, RESOLVE_BENEATH},
    {"read-reopened-path-fd", read_reopened_path_fd, 0},
    {"read-symlink", read_symlink, 0},
    {"read-symlink-climb", read_symlink_climb, 0},
    {"read-dotdot", read_dotdot, 0},
    {"read-dotdot-from-granted", read_dotdot_from_granted, 0},
    {"read-self-root", read_self_root, 0},
    {"read-self-cwd", read_self_cwd, 0},
    {"read-thread-root", read_thread_root, 0},
    {"read-hard-link", read_hard_link, 0},
    {"read-shadow", read_shadow, 0},
    {"read-kernel-memory", read_kernel_memory, 0},
    {"list-victim-dir", list_victim_dir, 0},
    {"execute-secret", execute_secret, 0},
    {"handle-by-name", handle_by_name, 0},
    {"handle-of-granted", handle_of_granted, 0},
    {"handle-guess", handle_guess, 0},
};

ATTEMPTS(attempts)
