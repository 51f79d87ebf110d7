/*
 * sandbox_fork.h - be forked by `sandbox fork`.
 *
 *     #include "sandbox_fork.h"
 *
 *     int main(void) {
 *         load_what_takes_long();
 *         long number = sandbox_ready();
 *         if (number < 0) {
 *             fprintf(stderr, "%s\n", sandbox_ready_error());
 *             return 1;
 *         }
 *         return work(number);
 *     }
 *
 * Nothing is to be linked but, with a C library older than glibc 2.34, -ldl: the shared object is found inside the
 * sandbox, where `sandbox fork` puts it. A program that is linked statically cannot load it.
 */
#ifndef SANDBOX_FORK_H
#define SANDBOX_FORK_H

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function of the shared object; null where nobody forks this program. */
static inline void *sandbox_fork_symbol_(const char *name) {
    const char *path = getenv("SANDBOX_FORK_LIBRARY");
    void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    return library ? dlsym(library, name) : NULL;
}

/*
 * Says that this process is ready, and is forked. Returns in each clone, with its number, from 0 on; the variable
 * CLONE_ID has it, too. In the process that calls it does not return: that waits, and is forked as often as it is
 * asked for. -1 where it cannot be forked, with errno:
 *
 *     ENOTCONN  it was not started by `sandbox fork`
 *     EBUSY     it has more than one thread; it may call again when they have ended
 *     EALREADY  this is a clone
 *     EBADF     it has closed the descriptor by which it is forked
 */
static inline long sandbox_ready(void) {
    long long (*ready)(void) = NULL;
    long long number;
    *(void **)&ready = sandbox_fork_symbol_("sandbox_fork_ready");
    if (ready == NULL) {
        errno = ENOTCONN;
        return -1;
    }
    /* Else each clone would write once more what is left in the buffers. */
    fflush(NULL);
    number = ready();
    if (number < 0) {
        errno = (int)-number;
        return -1;
    }
    return (long)number;
}

/* Why sandbox_ready() has failed, in words. */
static inline const char *sandbox_ready_error(void) {
    const char *(*error)(void) = NULL;
    *(void **)&error = sandbox_fork_symbol_("sandbox_fork_error");
    return error ? error() : "this program was not started by sandbox fork, or cannot load libsandbox_fork.so";
}

#ifdef __cplusplus
}
#endif

#endif
