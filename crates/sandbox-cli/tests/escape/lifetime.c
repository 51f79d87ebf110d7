/* What a command does to outlive its sandbox. Not the protocol of the others: the harness runs one mode, lets the run
 * end (by itself, by a limit, by a kill), and then looks: no process, and no byte more in FILE.
 *
 *   escape-lifetime MODE FILE SECONDS [COUNT]
 *
 * Every process of every mode appends a byte to FILE each 20 ms while it lives, and gives up after SECONDS by its own
 * clock, so that a failed test does not stay behind. COUNT bounds the fork bomb.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int heartbeat = -1;
static double deadline;
static long limit;
static volatile int *started; /* shared by every process of this run */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void beat_until_the_end(void) {
    struct timespec pause = {0, 20 * 1000 * 1000};
    while (now() < deadline) {
        if (write(heartbeat, ".", 1) < 0 && errno == EPIPE) break;
        nanosleep(&pause, NULL);
    }
    _exit(0);
}

static void ignore_signals(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
}

static void close_standard(void) {
    close(0);
    close(1);
    close(2);
}

/* Returns once `count` processes have started, or at the deadline. */
static void await_started(int count) {
    struct timespec pause = {0, 1000 * 1000};
    while (*started < count && now() < deadline) nanosleep(&pause, NULL);
}

static void leave_daemon(void (*before)(void)) {
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        ignore_signals();
        if (before) before();
        __sync_fetch_and_add(started, 1);
        beat_until_the_end();
    }
    await_started(1);
    exit(0);
}

static void setsid_double_fork(void) { leave_daemon(close_standard); }
static void setsid_hold_output(void) { leave_daemon(NULL); }

static void stop_self(void) { raise(SIGSTOP); }
static void setsid_stopped(void) {
    if (fork() == 0) {
        setsid();
        if (write(heartbeat, ".", 1) < 0) _exit(1);
        __sync_fetch_and_add(started, 1);
        stop_self();
        beat_until_the_end();
    }
    await_started(1);
    exit(0);
}

static void sigstop_self(void) {
    if (write(heartbeat, ".", 1) < 0) exit(1);
    stop_self();
    beat_until_the_end();
}

static void ignore_term(void) {
    ignore_signals();
    beat_until_the_end();
}

/* A signal to everybody, only where "everybody" is the sandbox: the victim outside must be out of reach, and whoever
 * is not confined must not be root. */
static void refuse_when_bare(void) {
    char here[64] = "";
    const char *victim = getenv("ESCAPE_PID"), *host = getenv("ESCAPE_PIDNS");
    ssize_t length = readlink("/proc/self/ns/pid", here, sizeof here - 1);
    int own_namespace = host && length > 0 && strcmp(host, here) != 0;
    int out_of_reach = victim && kill(atoi(victim), 0) != 0 && errno == EPERM;
    if (own_namespace || out_of_reach) return;
    puts("ESCAPED the outside is in reach: not done");
    exit(1);
}

static void signal_all(int number) {
    refuse_when_bare();
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            setsid();
            __sync_fetch_and_add(started, 1);
            beat_until_the_end();
        }
    await_started(3);
    int result = kill(-1, number);
    printf("kill(-1, %d): %s\n", number, result == 0 ? "done" : strerror(errno));
    fflush(stdout);
}

static void kill_all(void) { signal_all(SIGKILL); }
static void stop_all(void) {
    signal_all(SIGSTOP);
    beat_until_the_end();
}

/* Its process group, which must be nobody else's: a sandbox that shares it with its supervisor kills that too. */
static void kill_group(void) {
    refuse_when_bare();
    if (write(heartbeat, ".", 1) < 0) exit(1);
    kill(0, SIGKILL);
    beat_until_the_end();
}

static void kill_init(void) {
    refuse_when_bare();
    printf("kill(1, 9): %s\n", kill(1, SIGKILL) == 0 ? "done" : strerror(errno));
    fflush(stdout);
    beat_until_the_end();
}

/* As many processes as it may have, never more than `limit` in all. */
static void fork_bomb(void) {
    ignore_signals();
    while (now() < deadline && __sync_fetch_and_add(started, 1) < limit) {
        pid_t child = fork();
        if (child == 0) setsid();
        if (child < 0) __sync_fetch_and_sub(started, 1);
    }
    beat_until_the_end();
}

/* Each child forks its successor and ends: a pid is gone before anybody can kill it. */
static void fork_chain(void) {
    ignore_signals();
    while (now() < deadline && __sync_fetch_and_add(started, 1) < limit) {
        if (write(heartbeat, ".", 1) < 0) _exit(1);
        if (fork() != 0) _exit(0);
        setsid();
    }
    _exit(0);
}

static void busy_loop_without_output(void) {
    close_standard();
    while (now() < deadline) {
        if (write(heartbeat, ".", 1) < 0) break;
        for (volatile long spin = 0; spin < 5000000; spin++) {}
    }
}

static void endless_output(void) {
    static char block[4096];
    memset(block, 'y', sizeof block);
    while (now() < deadline && write(1, block, sizeof block) > 0) {}
}

/* Three generations of sessions of their own; the parents end at once, all are orphans. */
static void grow(int depth) {
    for (int i = 0; i < 3; i++) {
        if (fork() != 0) continue;
        setsid();
        ignore_signals();
        __sync_fetch_and_add(started, 1);
        if (depth > 1) grow(depth - 1);
        beat_until_the_end();
    }
}

static void orphan_tree(void) {
    grow(3);
    await_started(3 + 9 + 27);
    exit(0);
}

static void *beat_in_thread(void *unused) {
    beat_until_the_end();
    return unused;
}

/* The first thread ends, its process does not. */
static void leaderless(void) {
    pthread_t thread;
    ignore_signals();
    if (pthread_create(&thread, NULL, beat_in_thread, NULL) != 0) exit(1);
    syscall(SYS_exit, 0);
}

static const struct { const char *name; void (*run)(void); } modes[] = {
    {"setsid-double-fork", setsid_double_fork},
    {"setsid-hold-output", setsid_hold_output},
    {"setsid-stopped", setsid_stopped},
    {"sigstop-self", sigstop_self},
    {"ignore-term", ignore_term},
    {"kill-all", kill_all},
    {"stop-all", stop_all},
    {"kill-group", kill_group},
    {"kill-init", kill_init},
    {"fork-bomb", fork_bomb},
    {"fork-chain", fork_chain},
    {"busy-loop-without-output", busy_loop_without_output},
    {"endless-output", endless_output},
    {"orphan-tree", orphan_tree},
    {"leaderless", leaderless},
};

int main(int argc, char **argv) {
    const size_t count = sizeof modes / sizeof *modes;
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (size_t i = 0; i < count; i++) puts(modes[i].name);
        return 0;
    }
    if (argc < 4) {
        fputs("usage: escape-lifetime MODE FILE SECONDS [COUNT]\n", stderr);
        return 2;
    }
    heartbeat = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    started = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (heartbeat < 0 || started == MAP_FAILED) {
        perror(argv[2]);
        return 2;
    }
    deadline = now() + strtod(argv[3], NULL);
    limit = argc > 4 ? strtol(argv[4], NULL, 10) : 1000;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(argv[1], modes[i].name) != 0) continue;
        modes[i].run();
        return 0;
    }
    fprintf(stderr, "%s: unknown mode\n", argv[1]);
    return 2;
}
