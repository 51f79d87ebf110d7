// The peer of `cargo xtask bench fork`: a bare loop of fork(2), of a process with as much memory. Arguments and answers
// are those of crates/sandbox-confine/examples/fork_driver.rs.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *memory;
static size_t size;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void touch(void) {
    for (size_t at = 0; at < size; at += 4096)
        ((volatile char *)memory)[at]++;
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    size = (size_t)atol(argv[1]) << 20;
    if (size) {
        memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return 1;
        madvise(memory, size, strcmp(argv[2], "huge") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
        touch();
    }
    char line[64], word[32];
    int count;
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%31s %d", word, &count) == 2) {
        int writes = !strcmp(word, "write");
        long long start = now();
        for (int i = 0; i < count; i++) {
            pid_t pid = fork();
            if (pid < 0) {
                perror("fork");
                return 1;
            }
            if (pid == 0) {
                if (writes)
                    touch();
                _exit(0);
            }
        }
        long long made = now() - start;
        while (wait(NULL) > 0) {
        }
        printf("ok\t%lld\t%lld\n", made, now() - start);
        fflush(stdout);
    }
    return 0;
}
