/* Many small files, two levels deep, a hundred to a directory.
 *
 * `files fill DIR COUNT SIZE` makes those that are not there and appends to those that are;
 * `files churn DIR COUNT` creates them, looks at each, and unlinks them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EACH = 100 };

static char path[4096];

static void fail(void) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

static void name(const char *dir, int file) {
    snprintf(path, sizeof path, "%s/d%02d/e%02d/f%02d", dir, file / (EACH * EACH), file / EACH % EACH,
             file % EACH);
}

static void make_directory(const char *dir, int file, int levels) {
    int high = file / (EACH * EACH);
    if (levels == 1)
        snprintf(path, sizeof path, "%s/d%02d", dir, high);
    else
        snprintf(path, sizeof path, "%s/d%02d/e%02d", dir, high, file / EACH % EACH);
    if (mkdir(path, 0755) && errno != EEXIST)
        fail();
}

static void create(const char *dir, int file, int size) {
    static char text[1 << 16];
    if (file % (EACH * EACH) == 0)
        make_directory(dir, file, 1);
    if (file % EACH == 0)
        make_directory(dir, file, 2);
    name(dir, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        fail();
    if (size > 0) {
        /* A hundred different contents: git stores few objects, and no two neighbours are alike. */
        int length = snprintf(text, sizeof text, "%d\n", file % EACH);
        while (length < size && length + 16 < (int)sizeof text)
            length += snprintf(text + length, sizeof text - length, "line %d\n", length);
        if (write(fd, text, length) != length)
            fail();
    }
    if (close(fd))
        fail();
}

static void churn(const char *dir, int count) {
    struct stat status;
    for (int file = 0; file < count; file++)
        create(dir, file, 0);
    for (int file = 0; file < count; file++) {
        name(dir, file);
        if (stat(path, &status))
            fail();
    }
    for (int file = 0; file < count; file++) {
        name(dir, file);
        if (unlink(path))
            fail();
    }
}

int main(int count, char **words) {
    if (count == 5 && !strcmp(words[1], "fill")) {
        for (int file = 0; file < atoi(words[3]); file++)
            create(words[2], file, atoi(words[4]));
        return 0;
    }
    if (count == 4 && !strcmp(words[1], "churn")) {
        churn(words[2], atoi(words[3]));
        return 0;
    }
    fputs("usage: files fill DIR COUNT SIZE | files churn DIR COUNT\n", stderr);
    return 2;
}
