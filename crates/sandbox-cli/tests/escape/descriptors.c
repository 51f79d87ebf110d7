/* Descriptors that leaked in. The harness starts the sandbox with ESCAPE_FD open on the host's `/`. */
#include "attempt.h"

static void listed(long arg) {
    (void)arg;
    char path[64], target[PATH_MAX];
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) denied();
    for (struct dirent *item; (item = readdir(dir));) {
        int fd = atoi(item->d_name);
        if (!isdigit((unsigned char)item->d_name[0]) || fd <= 2 || fd == dirfd(dir)) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        escaped("fd %d is %.200s", fd, target);
    }
    denied_because("none above 2");
}

/* The same without /proc, as far as a program could have been given one. */
static void probed(long arg) {
    (void)arg;
    for (int fd = 3; fd < 65536; fd++)
        if (fcntl(fd, F_GETFD) >= 0) escaped("fd %d is open", fd);
    denied_because("none above 2");
}

static void through_leaked(long arg) {
    (void)arg;
    judge(openat((int)outside_number("ESCAPE_FD"), "etc/passwd", O_RDONLY), "opened through the leaked directory");
}

static void enter_leaked(long arg) { (void)arg; judge(fchdir((int)outside_number("ESCAPE_FD")), "entered the leaked directory"); }

/* Standard input is a file of the caller's, not granted and opened for reading. */
static void input(void) {
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) absent("stdin is no regular file");
}

static void reopen_input(long flags) {
    input();
    judge(open("/proc/self/fd/0", (int)flags), "opened for writing");
}

static void reopen_device(long flags) {
    input();
    judge(open("/dev/stdin", (int)flags), "opened for writing");
}

static void input_mode(long arg) {
    (void)arg;
    struct stat status;
    input();
    if (fstat(STDIN_FILENO, &status) != 0) denied();
    judge(fchmod(STDIN_FILENO, status.st_mode & 07777), "changed the mode");
}

static const struct attempt attempts[] = {
    {"listed", listed, 0},
    {"probed", probed, 0},
    {"through-leaked", through_leaked, 0},
    {"enter-leaked", enter_leaked, 0},
    {"stdin-write", reopen_input, O_WRONLY},
    {"stdin-read-write", reopen_input, O_RDWR},
    {"stdin-append", reopen_input, O_WRONLY | O_APPEND},
    {"stdin-truncate", reopen_input, O_RDONLY | O_TRUNC},
    {"stdin-device-write", reopen_device, O_WRONLY},
    {"stdin-mode", input_mode, 0},
};

ATTEMPTS(attempts)
