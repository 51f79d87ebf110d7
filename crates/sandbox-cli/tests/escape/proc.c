/* Other processes seen through /proc: the outside's, the sandbox's init, and whoever else is listed there.
 *
 * ESCAPE_PID is a process outside that sleeps, started by the same user. Reading what anybody may read of anybody (stat,
 * status, cmdline) is not an attempt; everything here needs the right to trace.
 */
#include "attempt.h"

enum kind {
    FILE_READ,   /* gives a byte */
    FILE_OPEN,   /* opens */
    FILE_WRITE,  /* opens for writing */
    FILE_SET,    /* takes a value, the one it has where that is told */
    LINK,        /* tells where it leads */
    DIRECTORY,   /* opens */
    LISTING,     /* names something */
    LINKS,       /* names something that tells where it leads */
};

static const struct entry {
    const char *name;
    enum kind kind;
} entries[] = {
    {"root", LINK},       {"cwd", LINK},        {"exe", LINK},       {"fd", LINKS},   {"map_files", LISTING},
    {"root/.", DIRECTORY}, {"cwd/.", DIRECTORY}, {"mem", FILE_OPEN},  {"environ", FILE_READ}, {"maps", FILE_READ},
    {"smaps", FILE_READ}, {"auxv", FILE_READ},  {"io", FILE_READ},   {"stack", FILE_READ}, {"syscall", FILE_READ},
    {"pagemap", FILE_OPEN}, {"ns/mnt", LINK},   {"oom_score_adj", FILE_WRITE}, {"timerslack_ns", FILE_SET},
    {"clear_refs", FILE_WRITE}, {"coredump_filter", FILE_WRITE},
};

static int names_something(const char *path, enum kind kind) {
    char target[PATH_MAX];
    DIR *dir = opendir(path);
    if (!dir) return 0;
    errno = ENODATA;
    for (struct dirent *item; (item = readdir(dir));) {
        if (item->d_name[0] == '.') continue;
        if (kind == LISTING || readlinkat(dirfd(dir), item->d_name, target, sizeof target) >= 0) return 1;
    }
    return 0;
}

static int takes_value(const char *path) {
    char value[32] = "50000";
    int fd = open(path, O_RDWR);
    if (fd < 0) return 0;
    ssize_t length = read(fd, value, sizeof value);
    return write(fd, value, length > 0 ? (size_t)length : strlen(value)) > 0;
}

/* 1 when the entry gave something away; else 0 and errno. */
static int gives(pid_t pid, const struct entry *entry) {
    char path[128], answer[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, entry->name);
    if (entry->kind == LISTING || entry->kind == LINKS) return names_something(path, entry->kind);
    if (entry->kind == FILE_SET) return takes_value(path);
    if (entry->kind == LINK) return readlink(path, answer, sizeof answer) >= 0;
    int fd = open(path, entry->kind == FILE_WRITE ? O_WRONLY : O_RDONLY);
    if (fd < 0 || entry->kind != FILE_READ) return fd >= 0;
    errno = ENODATA;
    return read(fd, answer, 1) > 0;
}

static void of_outside(long index) {
    if (gives((pid_t)outside_number("ESCAPE_PID"), &entries[index])) escaped("of the process outside");
    denied();
}

static void of_init(long index) {
    if (gives(init_pid(), &entries[index])) escaped("of init");
    denied();
}

/* Whether it is one of this program's own two, which have other numbers where /proc is that of an outer namespace. */
static int is_own(pid_t pid) {
    char path[64], there[64] = "", here[64] = "", line[256];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    if (readlink(path, there, sizeof there - 1) <= 0) return 0;
    if (readlink("/proc/self/ns/pid", here, sizeof here - 1) <= 0 || strcmp(here, there)) return 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    long number = 0;
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "NSpid:", 6)) number = strtol(strrchr(line, '\t'), NULL, 10);
    if (status) fclose(status);
    return number == getpid() || number == runner;
}

/* Every process in sight but this program's own two. */
static void of_any(long index) {
    DIR *proc = opendir("/proc");
    if (!proc) denied();
    int seen = 0;
    for (struct dirent *item; (item = readdir(proc));) {
        pid_t pid = (pid_t)strtol(item->d_name, NULL, 10);
        if (pid <= 0 || is_own(pid)) continue;
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
