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

static const struct attempt attempts[] = {
    {"listed", listed, 0},
    {"probed", probed, 0},
    {"through-leaked", through_leaked, 0},
    {"enter-leaked", enter_leaked, 0},
};

ATTEMPTS(attempts)
