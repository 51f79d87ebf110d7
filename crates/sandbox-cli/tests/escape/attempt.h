/* The protocol every escape program speaks.
 *
 * `escape-GROUP` runs all of its attempts, `escape-GROUP NAME...` the named ones, `escape-GROUP --list` prints the
 * names. Each attempt runs in a child of its own for at most five seconds and writes exactly one line:
 *
 *   NAME DENIED errno=EPERM        refused; also `signal=SIGSYS` when a filter killed the child
 *   NAME ESCAPED detail            it worked, or no verdict was reached: a doubt counts as an escape
 *   NAME ABSENT why                the harness, or the machine, lacks what the attempt needs
 *
 * Exit status: 0 when nothing escaped, 1 when something did, 2 for a name that is unknown.
 * An attempt that succeeds must do no harm: it asks for what is already so, or undoes what it did.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "numbers.h"

#define ATTEMPT_SECONDS 5
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct attempt {
    const char *name;
    void (*run)(long arg);
    long arg;
};

static const char *current;   /* the attempt this child makes */
static pid_t runner;          /* the process that forks the attempts: not a target */
static char scratch_dir[PATH_MAX];

static const char *errno_name(int number) {
    static char unnamed[16];
#define NAME(e) case e: return #e;
    switch (number) {
    NAME(EPERM) NAME(ENOENT) NAME(ESRCH) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(ENOEXEC) NAME(EBADF)
    NAME(ECHILD) NAME(EAGAIN) NAME(ENOMEM) NAME(EACCES) NAME(EFAULT) NAME(ENOTBLK) NAME(EBUSY) NAME(EEXIST)
    NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL) NAME(ENFILE) NAME(EMFILE) NAME(ENOTTY)
    NAME(ETXTBSY) NAME(EFBIG) NAME(ENOSPC) NAME(ESPIPE) NAME(EROFS) NAME(EMLINK) NAME(EPIPE) NAME(EDOM)
    NAME(ERANGE) NAME(ENAMETOOLONG) NAME(ENOSYS) NAME(ELOOP) NAME(ENODATA) NAME(EOVERFLOW) NAME(EUSERS)
    NAME(ENOTSOCK) NAME(EPROTOTYPE) NAME(ENOPROTOOPT) NAME(EPROTONOSUPPORT) NAME(ESOCKTNOSUPPORT)
    NAME(EOPNOTSUPP) NAME(EAFNOSUPPORT) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(ENETDOWN) NAME(ENETUNREACH)
    NAME(ECONNABORTED) NAME(ECONNRESET) NAME(ENOTCONN) NAME(ETIMEDOUT) NAME(ECONNREFUSED) NAME(EHOSTUNREACH)
    NAME(ESTALE) NAME(EDQUOT) NAME(ENOKEY) NAME(EINPROGRESS)
    }
#undef NAME
    snprintf(unnamed, sizeof unnamed, "%d", number);
    return unnamed;
}

static const char *signal_name(int number) {
    static char unnamed[16];
    switch (number) {
    case SIGSYS: return "SIGSYS";
    case SIGKILL: return "SIGKILL";
    case SIGSEGV: return "SIGSEGV";
    case SIGALRM: return "SIGALRM";
    }
    snprintf(unnamed, sizeof unnamed, "%d", number);
    return unnamed;
}

/* Removes the scratch directory and the plain files an attempt left in it. */
static void tidy(void) {
    if (!*scratch_dir || chdir(scratch_dir) != 0) return;
    DIR *dir = opendir(".");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(AT_FDCWD, entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(scratch_dir);
}

static void report(const char *name, const char *verdict, const char *detail) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s %s %s\n", name, verdict, detail);
    if (length >= (int)sizeof line) {
        length = sizeof line;
        line[sizeof line - 1] = '\n';
    }
    if (write(STDOUT_FILENO, line, (size_t)length) != length) _exit(3);
}

#define VERDICT(verdict, status)                         \
    char detail[400];                                    \
    va_list args;                                        \
    va_start(args, format);                              \
    vsnprintf(detail, sizeof detail, format, args);      \
    va_end(args);                                        \
    tidy();                                              \
    report(current, verdict, detail);                    \
    _exit(status)

__attribute__((unused, noreturn, format(printf, 1, 2))) static void escaped(const char *format, ...) {
    VERDICT("ESCAPED", 1);
}

__attribute__((unused, noreturn, format(printf, 1, 2))) static void absent(const char *format, ...) {
    VERDICT("ABSENT", 0);
}

__attribute__((unused, noreturn, format(printf, 1, 2))) static void denied_because(const char *format, ...) {
    VERDICT("DENIED", 0);
}

__attribute__((unused, noreturn)) static void denied(void) {
    denied_because("errno=%s", errno_name(errno));
}

/* Success is the escape. */
__attribute__((unused, noreturn)) static void judge(long result, const char *detail) {
    if (result < 0) denied();
    escaped("%s", detail);
}

/* Getting past the permission check is the escape: any other complaint means that the kernel looked at the rest. */
__attribute__((unused, noreturn)) static void judge_reach(long result, const char *detail) {
    if (result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS)) denied();
    escaped("%s reached the kernel: %s", detail, result < 0 ? errno_name(errno) : "success");
}

/* What the harness put outside, or ABSENT. */
__attribute__((unused)) static const char *outside(const char *variable) {
    const char *value = getenv(variable);
    if (!value || !*value) absent("%s is not set", variable);
    return value;
}

__attribute__((unused)) static long outside_number(const char *variable) {
    return strtol(outside(variable), NULL, 10);
}

/* Enters a fresh private directory: the attempt's own writable place. */
__attribute__((unused)) static void scratch(void) {
    const char *places[] = {getenv("ESCAPE_SCRATCH"), getenv("TMPDIR"), "/tmp", getenv("HOME"), "."};
    for (size_t i = 0; i < COUNT(places); i++) {
        if (!places[i]) continue;
        snprintf(scratch_dir, sizeof scratch_dir, "%s/escape-XXXXXX", places[i]);
        if (mkdtemp(scratch_dir) && chdir(scratch_dir) == 0) {
            char here[PATH_MAX];
            if (getcwd(here, sizeof here)) snprintf(scratch_dir, sizeof scratch_dir, "%s", here);
            return;
        }
    }
    *scratch_dir = 0;
    absent("no writable directory");
}

/* Whether pid 1 is the sandbox's own init. Nobody may harm the host's to find out, so unknown means no. */
__attribute__((unused)) static int own_pid_namespace(void) {
    char here[64] = "";
    const char *host = getenv("ESCAPE_PIDNS");
    ssize_t length = readlink("/proc/self/ns/pid", here, sizeof here - 1);
    return host && *host && length > 0 && strcmp(here, host) != 0;
}

/* The process that started the command: pid 1 in a pid namespace, else the runner's parent. */
__attribute__((unused)) static pid_t init_pid(void) {
    if (own_pid_namespace()) return 1;
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", runner);
    FILE *stat = fopen(path, "re");
    int parent = 0;
    if (stat && fgets(line, sizeof line, stat) && strrchr(line, ')')) sscanf(strrchr(line, ')'), ") %*c %d", &parent);
    if (stat) fclose(stat);
    if (parent <= 1) absent("no init of our own in sight");
    return parent;
}

static int make_attempt(const struct attempt *attempt) {
    pid_t child = fork();
    if (child < 0) {
        report(attempt->name, "ESCAPED", "no verdict: fork failed");
        return 1;
    }
    if (child == 0) {
        current = attempt->name;
        alarm(ATTEMPT_SECONDS);
        attempt->run(attempt->arg);
        escaped("no verdict: the attempt returned");
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status) && WEXITSTATUS(status) <= 1) return WEXITSTATUS(status);
    char detail[64];
    int killed = WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGKILL);
    if (killed)
        snprintf(detail, sizeof detail, "signal=%s", signal_name(WTERMSIG(status)));
    else if (WIFSIGNALED(status))
        snprintf(detail, sizeof detail, "no verdict: ended by %s", signal_name(WTERMSIG(status)));
    else
        snprintf(detail, sizeof detail, "no verdict: exit status %d", WEXITSTATUS(status));
    report(attempt->name, killed ? "DENIED" : "ESCAPED", detail);
    return !killed;
}

static int run_attempts(int argc, char **argv, const struct attempt *attempts, size_t count) {
    int worst = 0;
    runner = getpid();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int a = 1; a < argc; a++) wanted |= !strcmp(argv[a], attempts[i].name);
        if (argc == 2 && !strcmp(argv[1], "--list"))
            printf("%s\n", attempts[i].name);
        else if (wanted)
            worst |= make_attempt(&attempts[i]);
    }
    for (int a = 1; a < argc; a++) {
        int known = !strcmp(argv[a], "--list");
        for (size_t i = 0; i < count; i++) known |= !strcmp(argv[a], attempts[i].name);
        if (known) continue;
        fprintf(stderr, "%s: unknown attempt\n", argv[a]);
        return 2;
    }
    return worst;
}

#define ATTEMPTS(table)                                      \
    int main(int argc, char **argv) {                        \
        return run_attempts(argc, argv, table, COUNT(table)); \
    }

#endif
