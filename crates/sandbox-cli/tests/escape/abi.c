/* Other doors into the kernel on x86_64: i386 calls through int 0x80, x32 numbers, numbers beyond the table, and
 * numbers with garbage above bit 31.
 *
 * A filter that kills shows as `DENIED signal=SIGSYS`. Without i386 emulation int 0x80 faults: ABSENT.
 */
#include "attempt.h"

#include <sys/mman.h>
#include <sys/socket.h>

#ifdef __x86_64__

static void no_emulation(int number) {
    (void)number;
    absent("int 0x80 faults");
}

static long int80(long number, long a, long b, long c) {
    long result;
    signal(SIGSEGV, no_emulation);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    signal(SIGSEGV, SIG_DFL);
    result = (int)result;
    if (result >= 0 || result < -4095) return result;
    errno = (int)-result;
    return -1;
}

/* i386 sees only addresses below 4 GiB. */
static long low(const void *data, size_t size) {
    void *place = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (place == MAP_FAILED) absent("no memory below 4 GiB");
    memcpy(place, data, size);
    return (long)place;
}

static void i386_getpid(long arg) { (void)arg; judge(int80(20, 0, 0, 0), "getpid"); }
static void i386_open(long arg) { (void)arg; judge(int80(5, low("/", 2), O_RDONLY, 0), "open"); }

static void i386_exec(long arg) {
    (void)arg;
    long path = low("/proc/self/exe", 15);
    int argv[] = {(int)path, (int)low("--list", 7), 0};
    int out = open("/dev/null", O_WRONLY);
    int saved = dup(STDOUT_FILENO);
    pid_t child = fork();
    if (child == 0) {
        if (out >= 0) dup2(out, STDOUT_FILENO);
        int80(11, path, low(argv, sizeof argv), 0);
        _exit(errno == EPERM || errno == ENOSYS || errno == EACCES ? 77 : 78);
    }
    close(saved);
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) denied_because("signal=%s", signal_name(WTERMSIG(status)));
    if (WEXITSTATUS(status) == 77) denied_because("errno=EPERM");
    escaped("execve: exit status %d", WEXITSTATUS(status));
}

static void i386_socket(long arg) {
    (void)arg;
    int args[] = {AF_UNIX, SOCK_STREAM, 0};
    judge(int80(102, 1, low(args, sizeof args), 0), "socketcall");
}

static void i386_vsock(long arg) {
    (void)arg;
    int args[] = {AF_VSOCK, SOCK_STREAM, 0};
    judge(int80(102, 1, low(args, sizeof args), 0), "socketcall");
}

static void i386_unshare(long flag) { judge(int80(310, flag, 0, 0), "unshare"); }
static void i386_ptrace(long arg) { (void)arg; judge(int80(26, 0, 0, 0), "ptrace traceme"); }
static void i386_keyctl(long arg) { (void)arg; judge(int80(288, 0, -3, 1), "keyctl"); }
static void i386_modify_ldt(long arg) { (void)arg; judge(int80(123, 0, low("", 1), 8), "modify_ldt"); }

/* The number as it is, garbage and all, in the register. */
static long raw(unsigned long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    if (result >= 0 || result < -4095) return result;
    errno = (int)-result;
    return -1;
}

#define X32 0x40000000UL

static void x32_getpid(long arg) { (void)arg; judge(raw(X32 | SYS_getpid, 0, 0, 0), "getpid"); }
static void x32_open(long arg) { (void)arg; judge(raw(X32 | SYS_open, (long)"/", O_RDONLY, 0), "open"); }
static void x32_socket(long family) { judge(raw(X32 | SYS_socket, family, SOCK_STREAM, 0), "socket"); }
static void x32_unshare(long flag) { judge(raw(X32 | SYS_unshare, flag, 0, 0), "unshare"); }
static void x32_ptrace(long arg) { (void)arg; judge(raw(X32 | 521, 0, 0, 0), "ptrace traceme"); }

/* x32's own numbers without its bit: the kernel must not know them. */
static void x32_without_bit(long number) { judge(raw((unsigned long)number, 0, 0, 0), "a call without the bit"); }

static void garbage_unshare(long flag) { judge(raw(GARBAGE | SYS_unshare, flag, 0, 0), "unshare"); }
static void garbage_vsock(long arg) { (void)arg; judge(raw(GARBAGE | SYS_socket, AF_VSOCK, SOCK_STREAM, 0), "socket"); }
static void garbage_keyctl(long arg) { (void)arg; judge(raw(GARBAGE | SYS_keyctl, 0, -3, 1), "keyctl"); }

static void unknown_number(long number) { judge(raw((unsigned long)number, 0, 0, 0), "a call nobody knows"); }

static const struct attempt attempts[] = {
    {"i386-getpid", i386_getpid, 0},
    {"i386-open", i386_open, 0},
    {"i386-execve", i386_exec, 0},
    {"i386-socketcall-unix", i386_socket, 0},
    {"i386-socketcall-vsock", i386_vsock, 0},
    {"i386-unshare-user", i386_unshare, CLONE_NEWUSER},
    {"i386-unshare-mount", i386_unshare, CLONE_NEWNS},
    {"i386-ptrace", i386_ptrace, 0},
    {"i386-keyctl", i386_keyctl, 0},
    {"i386-modify-ldt", i386_modify_ldt, 0},
    {"x32-getpid", x32_getpid, 0},
    {"x32-open", x32_open, 0},
    {"x32-socket-unix", x32_socket, AF_UNIX},
    {"x32-socket-vsock", x32_socket, AF_VSOCK},
    {"x32-unshare-user", x32_unshare, CLONE_NEWUSER},
    {"x32-ptrace", x32_ptrace, 0},
    {"x32-number-without-bit", x32_without_bit, 521},
    {"garbage-unshare-user", garbage_unshare, CLONE_NEWUSER},
    {"garbage-vsock", garbage_vsock, 0},
    {"garbage-keyctl", garbage_keyctl, 0},
    {"unknown-500", unknown_number, 500},
    {"unknown-600", unknown_number, 600},
    {"unknown-1023", unknown_number, 1023},
    {"unknown-65535", unknown_number, 65535},
    {"unknown-largest", unknown_number, 0x3fffffff},
    {"unknown-negative", unknown_number, 0xffffffff},
};

#else

static void other_architecture(long arg) {
    (void)arg;
    absent("not x86_64");
}

static const struct attempt attempts[] = {{"i386-getpid", other_architecture, 0}, {"x32-getpid", other_architecture, 0}};

#endif

ATTEMPTS(attempts)
