/* Work on files, by one process or by several at once: `fsload OPERATION DIR COUNT [CLIENTS [SIZE]]`.
 *
 * It prints the nanoseconds from the moment that all clients were let go to the end of the last of them, and those of
 * the processor that they took. Files are DIR/dNNN/fNNNNN, a hundred to a directory; the clients share the COUNT. Data is
 * DIR/0, DIR/1 and so on, one file a client. A file that is missing, or longer or shorter than it should be, is an error. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EACH = 100, MIB = 1 << 20, BLOCK = 4096, CALLS = 20000, HELD = 900 };

static const char *directory;
static char path[4096];
static long count, clients = 1, size;
static char *buffer;

static void fail(const char *what) {
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    exit(1);
}

static void wrong(const char *what, long found, long expected) {
    fprintf(stderr, "%s %s: %ld, expected %ld\n", what, path, found, expected);
    exit(1);
}

static void name(char letter, long file) {
    snprintf(path, sizeof path, "%s/d%03ld/%c%05ld", directory, file / EACH, letter, file);
}

static void numbered(long number) { snprintf(path, sizeof path, "%s/%ld", directory, number); }

static void make_directories(long first, long last, long client) {
    (void)client;
    for (long number = (first + EACH - 1) / EACH; number * EACH < last; number++) {
        snprintf(path, sizeof path, "%s/d%03ld", directory, number);
        if (mkdir(path, 0755) && errno != EEXIST)
            fail("mkdir");
    }
}

static void create(long first, long last, long client) {
    (void)client;
    for (long file = first; file < last; file++) {
        name('f', file);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            fail("create");
        if (size > 0 && write(fd, buffer, size) != size)
            fail("write");
        if (close(fd))
            fail("close");
    }
}

static void look(long first, long last, long client) {
    (void)client;
    struct stat status;
    for (long file = first; file < last; file++) {
        name('f', file);
        if (lstat(path, &status))
            fail("stat");
    }
}

static void read_files(long first, long last, long client) {
    (void)client;
    for (long file = first; file < last; file++) {
        name('f', file);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            fail("open");
        long found = read(fd, buffer, MIB);
        if (found != size)
            wrong("read", found, size);
        close(fd);
    }
}

static void rename_files(long first, long last, long client) {
    (void)client;
    char from[sizeof path];
    for (long file = first; file < last; file++) {
        name('f', file);
        memcpy(from, path, sizeof from);
        name('g', file);
        if (rename(from, path))
            fail("rename to");
    }
}

static void unlink_letter(char letter, long first, long last) {
    for (long file = first; file < last; file++) {
        name(letter, file);
        if (unlink(path))
            fail("unlink");
    }
}

static void unlink_files(long first, long last, long client) {
    (void)client;
    unlink_letter('f', first, last);
}

static void unlink_renamed(long first, long last, long client) {
    (void)client;
    unlink_letter('g', first, last);
}

/* Each client lists all of it. */
static void list_and(int looks) {
    struct stat status;
    snprintf(path, sizeof path, "%s", directory);
    DIR *dir = opendir(path);
    if (!dir)
        fail("opendir");
    long found = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        found++;
        if (looks && fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW))
            fail("stat in");
    }
    closedir(dir);
    if (found != count)
        wrong("readdir", found, count);
}

static void list(long first, long last, long client) {
    (void)first, (void)last, (void)client;
    list_and(0);
}

static void list_long(long first, long last, long client) {
    (void)first, (void)last, (void)client;
    list_and(1);
}

/* Empty files in DIR itself. */
static void flat(long first, long last, long client) {
    (void)client;
    for (long file = first; file < last; file++) {
        snprintf(path, sizeof path, "%s/file-%06ld", directory, file);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            fail("create");
        close(fd);
    }
}

static int open_numbered(long client, int flags) {
    numbered(client);
    int fd = open(path, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        fail("open");
    return fd;
}

/* COUNT mebibytes in all. */
static void write_data(long first, long last, long client) {
    int fd = open_numbered(client, O_WRONLY | O_CREAT);
    for (long block = first; block < last; block++)
        if (write(fd, buffer, MIB) != MIB)
            fail("write");
    if (close(fd))
        fail("close");
}

static void read_data(long first, long last, long client) {
    int fd = open_numbered(client, O_RDONLY);
    for (long block = first; block < last; block++) {
        long found = read(fd, buffer, MIB);
        if (found != MIB)
            wrong("read", found, MIB);
    }
    close(fd);
}

static uint64_t next(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

/* COUNT blocks in all, of files of SIZE mebibytes. */
static void read_random(long first, long last, long client) {
    int fd = open_numbered(client, O_RDONLY);
    uint64_t state = client + 1;
    for (long block = first; block < last; block++) {
        long at = next(&state) % (size * (MIB / BLOCK));
        if (pread(fd, buffer, BLOCK, at * BLOCK) != BLOCK)
            fail("read");
    }
    close(fd);
}

static void write_random(long first, long last, long client) {
    int fd = open_numbered(client, O_WRONLY);
    uint64_t state = client + 7;
    for (long block = first; block < last; block++) {
        long at = next(&state) % (size * (MIB / BLOCK));
        if (pwrite(fd, buffer, BLOCK, at * BLOCK) != BLOCK)
            fail("write");
    }
    if (close(fd))
        fail("close");
}

/* A file beneath SIZE directories, in each of COUNT chains. */
static void chain(long number) {
    int length = snprintf(path, sizeof path, "%s/c%05ld", directory, number);
    for (long level = 1; level < size && length < (int)sizeof path; level++)
        length += snprintf(path + length, sizeof path - length, "/d%ld", level);
}

static void chains(long first, long last, long client) {
    (void)client;
    for (long number = first; number < last; number++) {
        chain(number);
        for (char *slash = path + strlen(directory); (slash = strchr(slash + 1, '/'));) {
            *slash = 0;
            if (mkdir(path, 0755) && errno != EEXIST)
                fail("mkdir");
            *slash = '/';
        }
        if (mkdir(path, 0755) && errno != EEXIST)
            fail("mkdir");
        strcat(path, "/f");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            fail("create");
        close(fd);
    }
}

static int *held;

static void hold_chains(void) {
    held = calloc(count, sizeof *held);
    for (long number = 0; number < count; number++) {
        chain(number);
        strcat(path, "/f");
        held[number] = open(path, O_PATH | O_CLOEXEC);
        if (held[number] < 0)
            fail("open");
    }
}

/* What the kernel remembers does not count: each is asked for (statx(2), AT_STATX_FORCE_SYNC), one after the other and
 * from the first again, so that a server that keeps fewer than COUNT at hand has none of them when its turn comes. The
 * files are held by O_PATH, so no name is looked up. */
static void getattr(long first, long last, long client) {
    (void)first, (void)last, (void)client;
    struct statx status;
    for (long number = 0; number < CALLS; number++)
        if (statx(held[number % count], "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status))
            fail("statx");
}

/* Looks at all files while the first of them are open; then these are written and closed, which must not need anything
 * that a server could have run out of. */
static void hold(long first, long last, long client) {
    int open_files[HELD];
    for (long file = 0; file < HELD; file++) {
        name('f', first + file);
        open_files[file] = open(path, O_RDWR | O_CLOEXEC);
        if (open_files[file] < 0)
            fail("open");
    }
    look(first, last, client);
    for (long file = 0; file < HELD; file++) {
        name('f', first + file);
        if (write(open_files[file], "x", 1) != 1)
            fail("write");
        if (close(open_files[file]))
            fail("close");
    }
}

/* The kernel forgets names and files of a mount that nobody uses, and what it has read of them. */
static int cool(void) {
    if (mount(NULL, directory, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL)) {
        fprintf(stderr, "remount %s: %s\n", directory, strerror(errno));
        return 1;
    }
    return 0;
}

static long long nanoseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int later(const void *one, const void *other) {
    long long a = *(const long long *)one, b = *(const long long *)other;
    return (a > b) - (a < b);
}

/* Opens files one after the other, from the first again after the COUNTth, while somebody else makes DIR/large writable,
 * which a layered file system copies for it. Prints the nanoseconds of the 99th percentile and of the longest, how many
 * were opened, and how long the other one waited. */
static int open_beside(void) {
    enum { MOST = 1000000 };
    static long long took[MOST];
    int done[2], status;
    if (pipe2(done, O_CLOEXEC | O_NONBLOCK))
        fail("pipe");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    long long start = nanoseconds(CLOCK_MONOTONIC), waited = 0;
    if (!child) {
        snprintf(path, sizeof path, "%s/large", directory);
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0 || write(fd, "x", 1) != 1 || close(fd))
            fail("append to");
        waited = nanoseconds(CLOCK_MONOTONIC) - start;
        _exit(write(done[1], &waited, sizeof waited) != sizeof waited);
    }
    long opened = 0;
    for (; read(done[0], &waited, sizeof waited) < 0 && opened < MOST; opened++) {
        name('f', opened % count);
        long long before = nanoseconds(CLOCK_MONOTONIC);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        took[opened] = nanoseconds(CLOCK_MONOTONIC) - before;
        if (fd < 0)
            fail("open");
        close(fd);
    }
    if (wait(&status) < 0 || status || !opened)
        return 1;
    qsort(took, opened, sizeof *took, later);
    printf("%lld %lld %ld %lld\n", took[opened * 99 / 100], took[opened - 1], opened, waited);
    return 0;
}

static const struct {
    const char *name;
    void (*run)(long first, long last, long client);
} operations[] = {
    {"mkdir", make_directories}, {"create", create},           {"stat", look},
    {"read", read_files},        {"rename", rename_files},     {"unlink", unlink_files},
    {"unlink-renamed", unlink_renamed}, {"list", list},        {"list-long", list_long},
    {"flat", flat},              {"write-data", write_data},   {"read-data", read_data},
    {"read-random", read_random}, {"write-random", write_random}, {"chains", chains},
    {"getattr", getattr},        {"hold", hold},
};

static long long spent(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL;
}

static void run(void (*work)(long, long, long)) {
    int gate[2], ready[2];
    if (pipe(gate) || pipe(ready))
        fail("pipe");
    for (long client = 0; client < clients; client++) {
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child > 0)
            continue;
        char byte;
        close(gate[1]);
        memset(buffer, 'x', MIB);
        if (write(ready[1], "", 1) != 1 || read(gate[0], &byte, 1) < 0)
            fail("pipe");
        work(count * client / clients, count * (client + 1) / clients, client);
        _exit(0);
    }
    char byte;
    close(ready[1]);
    for (long client = 0; client < clients; client++)
        if (read(ready[0], &byte, 1) != 1)
            fail("pipe");
    long long start = nanoseconds(CLOCK_MONOTONIC);
    close(gate[1]);
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    long long took = nanoseconds(CLOCK_MONOTONIC) - start;
    if (failed)
        exit(1);
    printf("%lld %lld\n", took, spent());
}

int main(int words, char **word) {
    if (words < 3) {
        fputs("usage: fsload OPERATION DIR COUNT [CLIENTS [SIZE]] | fsload cool DIR\n", stderr);
        return 2;
    }
    directory = word[2];
    if (!strcmp(word[1], "cool"))
        return cool();
    count = words > 3 ? atol(word[3]) : 0;
    clients = words > 4 ? atol(word[4]) : 1;
    size = words > 5 ? atol(word[5]) : 0;
    buffer = malloc(MIB);
    if (!strcmp(word[1], "open-beside"))
        return open_beside();
    if (!strcmp(word[1], "getattr"))
        hold_chains();
    for (size_t number = 0; number < sizeof operations / sizeof *operations; number++) {
        if (strcmp(operations[number].name, word[1]))
            continue;
        run(operations[number].run);
        return 0;
    }
    fprintf(stderr, "no operation %s\n", word[1]);
    return 2;
}
