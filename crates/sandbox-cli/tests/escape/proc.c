/* Other processes seen through /proc: the outside's, the sandbox's init, and whoever else is listed there.
 *
 * ESCAPE_PID is a process outside that sleeps, started by the same user. Reading what anybody may read of anybody (stat,
 * status, cmdline) is not an attempt; everything here needs the right to trace.
 */
#include "attempt.h"

enum kind { FILE_READ, FILE_OPEN, LINK, DIRECTORY, ENTRY_WRITE };

static const struct entry {
    const char *name;
    enum kind kind;
} entries[] = {
    {"root", LINK},       {"cwd", LINK},        {"exe", LINK},       {"fd", DIRECTORY},   {"map_files", DIRECTORY},
    {"root/.", DIRECTORY}, {"cwd/.", DIRECTORY}, {"mem", FILE_OPEN},  {"environ", FILE_READ}, {"maps", FILE_READ},
    {"smaps", FILE_READ}, {"auxv", FILE_READ},  {"io", FILE_READ},   {"stack", FILE_READ}, {"syscall", FILE_READ},
    {"pagemap", FILE_OPEN}, {"ns/mnt", LINK},   {"oom_score_adj", ENTRY_WRITE}, {"timerslack_ns", ENTRY_WRITE},
    {"clear_refs", ENTRY_WRITE}, {"coredump_filter", ENTRY_WRITE},
};

/* 1 when the entry gave something away; else 0 and errno. */
static int gives(pid_t pid, const struct entry *entry) {
    char path[128], byte[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, entry->name);
    if (entry->kind == LINK) return readlink(path, byte, sizeof byte) >= 0;
    int flags = entry->kind == ENTRY_WRITE ? O_WRONLY : O_RDONLY;
    int fd = open(path, flags | O_CLOEXEC | (entry->kind == DIRECTORY ? O_DIRECTORY : 0));
    if (fd < 0) return 0;
    int gave = 1;
    if (entry->kind == FILE_READ) {
        ssize_t got = read(fd, byte, 1);
        gave = got > 0;
        if (got == 0) errno = ENODATA;
    }
    if (entry->kind == DIRECTORY) {
        DIR *dir = fdopendir(fd);
        int listed = 0;
        for (struct dirent *item; dir && (item = readdir(dir));) listed += item->d_name[0] != '.';
        if (dir) closedir(dir);
        if (!listed) errno = ENODATA;
        return listed > 0;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return gave;
}

static void of_outside(long index) {
    if (gives((pid_t)outside_number("ESCAPE_PID"), &entries[index])) escaped("of the process outside");
    denied();
}

static void of_init(long index) {
    if (gives(init_pid(), &entries[index])) escaped("of init");
    denied();
}

/* Every process in sight but this program's own two. */
static void of_any(long index) {
    DIR *proc = opendir("/proc");
    if (!proc) denied();
    int seen = 0;
    for (struct dirent *item; (item = readdir(proc));) {
        pid_t pid = (pid_t)strtol(item->d_name, NULL, 10);
        if (pid <= 0 || pid == getpid() || pid == runner) continue;
        seen++;
        if (gives(pid, &entries[index])) escaped("of process %d", pid);
    }
    if (!seen) denied_because("nobody in sight");
    denied_because("%d others, last errno=%s", seen, errno_name(errno));
}

#define TARGETS(name, index) {"outside-" name, of_outside, index}, {"init-" name, of_init, index}, {"any-" name, of_any, index}

static const struct attempt attempts[] = {
    TARGETS("root", 0),      TARGETS("cwd", 1),       TARGETS("exe", 2),           TARGETS("fd", 3),
    TARGETS("map-files", 4), TARGETS("list-root", 5), TARGETS("list-cwd", 6),      TARGETS("mem", 7),
    TARGETS("environ", 8),   TARGETS("maps", 9),      TARGETS("smaps", 10),        TARGETS("auxv", 11),
    TARGETS("io", 12),       TARGETS("stack", 13),    TARGETS("syscall", 14),      TARGETS("pagemap", 15),
    TARGETS("ns", 16),       TARGETS("oom-score", 17), TARGETS("timerslack", 18),  TARGETS("clear-refs", 19),
    TARGETS("coredump-filter", 20),
};

ATTEMPTS(attempts)
