/* What the two programs about paths share. */
#ifndef PATHS_H
#define PATHS_H

#include "attempt.h"

#include <linux/openat2.h>

/* A few results live at a time: each call takes the next of eight buffers. */
__attribute__((format(printf, 1, 2)))
static char *format_path(const char *format, ...) {
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    va_list args;
    va_start(args, format);
    vsnprintf(path, PATH_MAX, format, args);
    va_end(args);
    return path;
}

static long openat2_raw(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, dir, path, &how, sizeof how);
}

#endif
