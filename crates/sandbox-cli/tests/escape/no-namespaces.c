/* Runs a program as on a host that gives no namespaces: `no-namespaces PROGRAM ARGS...`.
 *
 * What Docker's profile and AppArmor come to: unshare(2) and clone(2) with a namespace flag are EPERM, clone3(2) is
 * ENOSYS, for the program and all that it starts. The filter is written out, so that no library is needed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} */
#define NAMESPACES 0x7E020000

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, yes, no)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv) {
    struct sock_filter code[] = {
        LOAD(arch),
        JUMP(BPF_JEQ, NATIVE, 0, 6), /* else: allow */
        LOAD(nr),
        JUMP(BPF_JEQ, SYS_clone3, 5, 0),
        JUMP(BPF_JEQ, SYS_unshare, 5, 0),
        JUMP(BPF_JEQ, SYS_clone, 0, 2), /* else: allow */
        LOAD(args[0]), /* the low half: both machines are little-endian */
        JUMP(BPF_JSET, NAMESPACES, 2, 0),
        ANSWER(SECCOMP_RET_ALLOW),
        ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
        ANSWER(SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    if (argc < 2) {
        fputs("usage: no-namespaces PROGRAM ARGS...\n", stderr);
        return 125;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        perror("no-namespaces");
        return 125;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
