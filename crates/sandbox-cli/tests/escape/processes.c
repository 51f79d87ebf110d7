/* Acting on processes outside (ESCAPE_PID) and on the sandbox's init: tracing, memory, descriptors, signals, scheduling.
 *
 * The victim gets signal 0 only, and its scheduling is set to what it already is. Init gets real signals when it is
 * pid 1 of a namespace of its own, and must shrug them off. After the run the harness checks that the victim lives and
 * is not stopped: a signal sent by the kernel on our behalf cannot be seen to arrive from in here.
 */
#include "attempt.h"

#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>

enum { OUTSIDE, INIT };

static pid_t target(long which) { return which == INIT ? init_pid() : (pid_t)outside_number("ESCAPE_PID"); }

static void attach(long which) {
    pid_t pid = target(which);
    long result = ptrace(PTRACE_ATTACH, pid, NULL, NULL);
    if (result == 0) {
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
    judge(result, "attached");
}

/* The tracer's end detaches what it seized. */
static void seize(long which) { judge(ptrace(PTRACE_SEIZE, target(which), NULL, NULL), "seized"); }

/* No address is known over there: EFAULT says that the permission was granted. */
static void judge_memory(ssize_t moved) {
    if (moved < 0 && errno == EFAULT) escaped("allowed, only the address was wrong");
    judge(moved, "moved bytes");
}

static void vm_read(long which) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)16, 1};
    judge_memory(process_vm_readv(target(which), &here, 1, &there, 1, 0));
}

static void vm_write(long which) {
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)16, 1};
    judge_memory(process_vm_writev(target(which), &here, 1, &there, 1, 0));
}

static int pidfd_of(long which) {
    long fd = syscall(SYS_pidfd_open, target(which), 0);
    if (fd < 0) denied();
    return (int)fd;
}

static void steal_fd(long which) { judge(syscall(SYS_pidfd_getfd, pidfd_of(which), 0, 0), "took its stdin"); }
static void pidfd_signal(long which) { judge(syscall(SYS_pidfd_send_signal, pidfd_of(which), 0, NULL, 0), "may signal"); }

static void pidfd_of_proc_signal(long which) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", target(which));
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) denied();
    judge(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), "may signal");
}

static void madvise_memory(long which) {
    struct iovec there = {(void *)4096, 4096};
    int fd = pidfd_of(which);
    long result = syscall(SYS_process_madvise, fd, &there, 1, MADV_COLD, 0);
    if (result < 0 && errno == ENOMEM) escaped("allowed, only the address was wrong");
    judge(result, "advised");
}

static void compare(long which) { judge(syscall(SYS_kcmp, getpid(), target(which), KCMP_VM, 0, 0), "compared"); }

static void robust_list(long which) {
    void *head;
    size_t size;
    judge(syscall(SYS_get_robust_list, target(which), &head, &size), "read");
}

static void move_pages_of(long which) {
    void *page = (void *)4096;
    int node;
    judge(syscall(SYS_move_pages, target(which), 1UL, &page, NULL, &node, 0), "queried");
}

static void migrate(long which) {
    unsigned long nodes = 1;
    judge(syscall(SYS_migrate_pages, target(which), 8UL * sizeof nodes, &nodes, &nodes), "migrated");
}

static void limits_of(long which) {
    struct rlimit limit;
    pid_t pid = target(which);
    if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit) != 0) denied();
    judge(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), "set its limits");
}

static void priority(long which) {
    pid_t pid = target(which);
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, (id_t)pid);
    if (errno) denied();
    judge(setpriority(PRIO_PROCESS, (id_t)pid, nice), "set its priority");
}

static void affinity(long which) {
    cpu_set_t cpus;
    pid_t pid = target(which);
    if (sched_getaffinity(pid, sizeof cpus, &cpus) != 0) denied();
    judge(sched_setaffinity(pid, sizeof cpus, &cpus), "set its affinity");
}

static void scheduler(long which) {
    struct sched_param param;
    pid_t pid = target(which);
    int policy = sched_getscheduler(pid);
    if (policy < 0 || sched_getparam(pid, &param) != 0) denied();
    judge(sched_setscheduler(pid, policy, &param), "set its scheduler");
}

/* By its group, which a session leader's is its own, and by its user. Group 0 and user 0 are the caller's. */
static void priority_by(long kind) {
    if (!own_pid_namespace()) absent("pid 1 is the host's");
    errno = 0;
    int nice = getpriority((int)kind, kind == PRIO_PGRP ? 1 : getuid());
    if (errno) denied();
    judge(setpriority((int)kind, kind == PRIO_PGRP ? 1 : getuid(), nice), "set its priority");
}

static void io_priority(long which) {
    pid_t pid = target(which);
    long now = syscall(SYS_ioprio_get, 1, pid);
    if (now < 0) denied();
    judge(syscall(SYS_ioprio_set, 1, pid, now), "set its I/O priority");
}

static siginfo_t forged(void) {
    siginfo_t info = {0};
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    return info;
}

/* Signal 0 asks whether it may; pid 1 of a namespace may be asked and does not mind, see below. */
static void signal_kill(long which) { judge(kill(target(which), 0), "may signal"); }
static void signal_tkill(long which) { judge(syscall(SYS_tkill, target(which), 0), "may signal"); }

static void signal_group(long which) {
    pid_t group = getpgid(target(which));
    if (group < 0) denied();
    if (group <= 1 || group == getpgrp()) absent("not a group of its own");
    judge(kill(-group, 0), "may signal the group");
}

static void signal_tgkill(long which) {
    pid_t pid = target(which);
    judge(syscall(SYS_tgkill, pid, pid, 0), "may signal");
}

static void signal_queue(long which) {
    siginfo_t info = forged();
    judge(syscall(SYS_rt_sigqueueinfo, target(which), 0, &info), "may signal");
}

static void signal_thread_queue(long which) {
    siginfo_t info = forged();
    pid_t pid = target(which);
    judge(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info), "may signal");
}

static char state_of(pid_t pid) {
    char path[64], line[512] = "", *end;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "re");
    if (!stat) return '?';
    if (!fgets(line, sizeof line, stat)) *line = 0;
    fclose(stat);
    end = strrchr(line, ')');
    return end && end[1] ? end[2] : '?';
}

static void pause_briefly(void) {
    struct timespec moment = {0, 50 * 1000 * 1000};
    nanosleep(&moment, NULL);
}

/* A pipe whose input notification is addressed to the victim. */
static void signal_by_owner(long which) {
    pid_t pid = target(which);
    int ends[2];
    if (pipe(ends) != 0) denied();
    if (fcntl(ends[0], F_SETOWN, pid) != 0 || fcntl(ends[0], F_SETSIG, SIGSTOP) != 0) denied();
    if (fcntl(ends[0], F_SETFL, O_ASYNC) != 0 || write(ends[1], "x", 1) != 1) denied();
    pause_briefly();
    /* Else the pipe stops it once more when it is closed. */
    fcntl(ends[0], F_SETFL, 0);
    if (state_of(pid) == 'T') {
        kill(pid, SIGCONT);
        escaped("stopped it");
    }
    denied_because("not seen to stop");
}

/* Real signals, and only where pid 1 is certainly not the host's. */
static void init_survives(long number) {
    if (!own_pid_namespace()) absent("pid 1 is the host's");
    int result = kill(1, (int)number);
    pause_briefly();
    if (result == 0 && state_of(1) == 'T') escaped("init is stopped");
    if (result == 0) denied_because("no effect");
    denied();
}

#define EACH(name, op) {"outside-" name, op, OUTSIDE}, {"init-" name, op, INIT}

static const struct attempt attempts[] = {
    EACH("ptrace-attach", attach),
    EACH("ptrace-seize", seize),
    EACH("vm-read", vm_read),
    EACH("vm-write", vm_write),
    EACH("pidfd-getfd", steal_fd),
    EACH("process-madvise", madvise_memory),
    EACH("kcmp", compare),
    EACH("robust-list", robust_list),
    EACH("move-pages", move_pages_of),
    EACH("migrate-pages", migrate),
    EACH("prlimit", limits_of),
    EACH("setpriority", priority),
    EACH("affinity", affinity),
    EACH("scheduler", scheduler),
    EACH("ioprio", io_priority),
    {"init-setpriority-group", priority_by, PRIO_PGRP},
    {"init-setpriority-user", priority_by, PRIO_USER},
    EACH("kill", signal_kill),
    {"outside-kill-group", signal_group, OUTSIDE},
    EACH("tkill", signal_tkill),
    EACH("tgkill", signal_tgkill),
    EACH("sigqueue", signal_queue),
    EACH("thread-sigqueue", signal_thread_queue),
    EACH("pidfd-signal", pidfd_signal),
    {"outside-proc-pidfd-signal", pidfd_of_proc_signal, OUTSIDE},
    {"outside-fcntl-owner", signal_by_owner, OUTSIDE},
    {"init-fcntl-owner", signal_by_owner, INIT},
    {"init-survives-term", init_survives, SIGTERM},
    {"init-survives-stop", init_survives, SIGSTOP},
    {"init-survives-usr1", init_survives, SIGUSR1},
    {"init-survives-rt", init_survives, 34},
    {"init-survives-kill", init_survives, SIGKILL},
};

ATTEMPTS(attempts)
