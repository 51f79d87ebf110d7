/* Runs a program and says how long it took: `stopwatch PROGRAM [ARGUMENT]…` prints the nanoseconds on the
 * clock, those of the processor, and the kibibytes that the largest of its processes had resident. What the program prints is dropped; its
 * status is this one's.
 *
 * Inside a sandbox or a mount it reads the clock around the work alone, so that no start is in the figure. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long nanoseconds(struct timeval time) {
    return time.tv_sec * 1000000000LL + time.tv_usec * 1000LL;
}

int main(int count, char **words) {
    if (count < 2) {
        fputs("usage: stopwatch PROGRAM [ARGUMENT]...\n", stderr);
        return 2;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    pid_t child;
    struct rusage usage;
    int status;
    long long start = now();
    int error = posix_spawnp(&child, words[1], &quiet, NULL, words + 1, environ);
    if (error) {
        fprintf(stderr, "%s: %s\n", words[1], strerror(error));
        return 127;
    }
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    long long took = now() - start;
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr, "%s: wait status %#x\n", words[1], status);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    }
    long long worked = nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
    printf("%lld %lld %ld\n", took, worked, usage.ru_maxrss);
    return 0;
}
