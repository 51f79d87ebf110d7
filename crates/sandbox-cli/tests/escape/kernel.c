/* The kernel's own surface: what an ordinary program never asks for, and what only an administrator may. */
#include "attempt.h"

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>

static void bpf_map(long arg) {
    (void)arg;
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = attr.value_size = 4;
    attr.max_entries = 1;
    judge(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr), "made a map");
}

static void bpf_program(long arg) {
    (void)arg;
    struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attr.insns = (uintptr_t)code;
    attr.insn_cnt = COUNT(code);
    attr.license = (uintptr_t) "GPL";
    judge(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr), "loaded a program");
}

static long perf(pid_t pid, int cpu) {
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK};
    attr.exclude_kernel = attr.exclude_hv = 1;
    return syscall(SYS_perf_event_open, &attr, pid, cpu, -1, 0);
}

static void perf_self(long arg) { (void)arg; judge(perf(0, -1), "measures itself"); }
static void perf_system(long arg) { (void)arg; judge(perf(-1, 0), "measures a processor"); }
static void perf_outside(long arg) { (void)arg; judge(perf((pid_t)outside_number("ESCAPE_PID"), -1), "measures the outside"); }

static void fault_handler(long flags) { judge(syscall(SYS_userfaultfd, flags), "opened"); }

/* struct io_uring_params is 120 bytes of zero. */
static void ring_setup(long arg) {
    (void)arg;
    uint32_t params[30] = {0};
    judge(syscall(SYS_io_uring_setup, 1, params), "made a ring");
}

static void ring_enter(long arg) { (void)arg; judge_reach(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0), "io_uring_enter"); }
static void ring_register(long arg) { (void)arg; judge_reach(syscall(SYS_io_uring_register, -1, 0, NULL, 0), "io_uring_register"); }

static void release_memory(long arg) { (void)arg; judge_reach(syscall(SYS_process_mrelease, -1, 0), "process_mrelease"); }

static void key_session(long arg) { (void)arg; judge(syscall(SYS_keyctl, 0, -3, 1), "has a session keyring"); }
static void key_join(long arg) { (void)arg; judge(syscall(SYS_keyctl, 1, NULL), "joined a session keyring"); }
static void key_add(long arg) { (void)arg; judge(syscall(SYS_add_key, "user", "escape", "x", 1UL, -2), "added a key"); }
static void key_request(long arg) { (void)arg; judge_reach(syscall(SYS_request_key, "user", "escape-none", NULL, 0), "request_key"); }

static void load_kernel(long arg) { (void)arg; judge_reach(syscall(SYS_kexec_load, 0, ~0UL, NULL, 0), "kexec_load"); }
#ifdef SYS_kexec_file_load
static void load_kernel_file(long arg) { (void)arg; judge_reach(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, ~0UL), "kexec_file_load"); }
#endif
static void load_module(long arg) { (void)arg; judge_reach(syscall(SYS_init_module, NULL, 0UL, ""), "init_module"); }
static void load_module_file(long arg) { (void)arg; judge_reach(syscall(SYS_finit_module, -1, "", 0), "finit_module"); }
static void unload_module(long arg) { (void)arg; judge_reach(syscall(SYS_delete_module, "escape_none", O_NONBLOCK), "delete_module"); }

/* With wrong magic nothing can reboot; EINVAL comes after the permission check. */
static void restart(long arg) { (void)arg; judge_reach(syscall(SYS_reboot, 0, 0, LINUX_REBOOT_CMD_CAD_OFF, NULL), "reboot"); }
static void swap_on(long arg) { (void)arg; judge_reach(syscall(SYS_swapon, "/escape-none", 0), "swapon"); }
static void swap_off(long arg) { (void)arg; judge_reach(syscall(SYS_swapoff, "/escape-none"), "swapoff"); }
static void accounting(long arg) { (void)arg; judge_reach(syscall(SYS_acct, "/escape-none"), "acct"); }
static void quota(long arg) { (void)arg; judge_reach(syscall(SYS_quotactl, 0x80000700UL, NULL, 0, NULL), "quotactl"); }
static void quota_fd(long arg) { (void)arg; judge_reach(syscall(SYS_quotactl_fd, -1, 0x80000700UL, 0, NULL), "quotactl_fd"); }

static void kernel_log(long action) {
    char line[256];
    judge(syscall(SYS_syslog, action, line, sizeof line), "read the kernel's log");
}

static void set_clock(long arg) {
    (void)arg;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    judge(syscall(SYS_clock_settime, CLOCK_REALTIME, &now), "set the clock");
}

static void set_time_zone(long arg) {
    (void)arg;
    struct timezone zone = {0};
    syscall(SYS_gettimeofday, NULL, &zone);
    judge(syscall(SYS_settimeofday, NULL, &zone), "set the time zone");
}

static void adjust_clock(long arg) {
    (void)arg;
    struct timex now = {0};
    if (syscall(SYS_adjtimex, &now) < 0) denied();
    now.modes = ADJ_TICK;
    judge(syscall(SYS_adjtimex, &now), "adjusted the clock");
}

static void adjust_named_clock(long arg) {
    (void)arg;
    struct timex now = {0};
    if (syscall(SYS_clock_adjtime, CLOCK_REALTIME, &now) < 0) denied();
    now.modes = ADJ_TICK;
    judge(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &now), "adjusted the clock");
}

static void set_host_name(long arg) {
    (void)arg;
    struct utsname names;
    uname(&names);
    judge(sethostname(names.nodename, strlen(names.nodename)), "set the host name");
}

static void set_domain_name(long arg) {
    (void)arg;
    char name[65] = "";
    if (getdomainname(name, sizeof name - 1) != 0) denied();
    judge(setdomainname(name, strlen(name)), "set the domain name");
}

static void port_permissions(long arg) {
    (void)arg;
#ifdef SYS_ioperm
    judge(syscall(SYS_ioperm, 0x80UL, 1UL, 1), "may use a port");
#else
    absent("no such call on this architecture");
#endif
}

static void port_level(long arg) {
    (void)arg;
#ifdef SYS_iopl
    judge(syscall(SYS_iopl, 3), "may use every port");
#else
    absent("no such call on this architecture");
#endif
}

static void descriptor_table(long arg) {
    (void)arg;
#ifdef SYS_modify_ldt
    unsigned entry[4] = {0, 0, 0, 0x51}; /* a 32-bit data segment of one byte */
    judge(syscall(SYS_modify_ldt, 1, entry, sizeof entry), "wrote a descriptor");
#else
    absent("no such call on this architecture");
#endif
}

static void execution_domain(long domain) { judge(syscall(SYS_personality, domain), "changed"); }
static void fanotify(long flags) { judge(syscall(SYS_fanotify_init, flags, O_RDONLY), "opened"); }
static void profile_cookie(long arg) {
    (void)arg;
    char name[64];
#ifdef SYS_lookup_dcookie
    judge_reach(syscall(SYS_lookup_dcookie, 1L, name, sizeof name), "lookup_dcookie");
#else
    (void)name;
    absent("no such call on this architecture");
#endif
}

static void hang_up(long arg) {
    (void)arg;
    if (setsid() < 0) denied();
    judge(syscall(SYS_vhangup), "hung up");
}

/* Down is free, up again is not. */
static void limit_raise(long arg) {
    (void)arg;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) denied();
    limit.rlim_cur = --limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) denied();
    limit.rlim_max++;
    judge(setrlimit(RLIMIT_NOFILE, &limit), "raised a hard limit");
}

static void nice_raise(long arg) {
    (void)arg;
    judge(setpriority(PRIO_PROCESS, 0, -20), "raised its priority");
}

static void realtime(long arg) {
    (void)arg;
    struct sched_param param = {.sched_priority = 1};
    judge(sched_setscheduler(0, SCHED_FIFO, &param), "became real-time");
}

static void io_realtime(long arg) { (void)arg; judge(syscall(SYS_ioprio_set, 1, 0, 1L << 13), "became real-time for I/O"); }

static void oom_shield(long arg) {
    (void)arg;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd < 0) denied();
    judge(write(fd, "-1000", 5), "is out of the OOM killer's reach");
}

static void add_listener(long arg) {
    (void)arg;
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    judge(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program), "has a listener");
}

static const struct attempt attempts[] = {
    {"bpf-map", bpf_map, 0},
    {"bpf-program", bpf_program, 0},
    {"perf-self", perf_self, 0},
    {"perf-system", perf_system, 0},
    {"perf-outside", perf_outside, 0},
    {"userfaultfd", fault_handler, 0},
    {"userfaultfd-user-only", fault_handler, 1},
    {"io-uring-setup", ring_setup, 0},
    {"io-uring-enter", ring_enter, 0},
    {"io-uring-register", ring_register, 0},
    {"process-mrelease", release_memory, 0},
    {"keyctl-session", key_session, 0},
    {"keyctl-join", key_join, 0},
    {"add-key", key_add, 0},
    {"request-key", key_request, 0},
    {"kexec-load", load_kernel, 0},
#ifdef SYS_kexec_file_load
    {"kexec-file-load", load_kernel_file, 0},
#endif
    {"init-module", load_module, 0},
    {"finit-module", load_module_file, 0},
    {"delete-module", unload_module, 0},
    {"iopl", port_level, 0},
    {"ioperm", port_permissions, 0},
    {"modify-ldt", descriptor_table, 0},
    {"reboot", restart, 0},
    {"swapon", swap_on, 0},
    {"swapoff", swap_off, 0},
    {"acct", accounting, 0},
    {"quotactl", quota, 0},
    {"quotactl-fd", quota_fd, 0},
    {"syslog-read", kernel_log, 3},
    {"syslog-size", kernel_log, 10},
    {"clock-settime", set_clock, 0},
    {"settimeofday", set_time_zone, 0},
    {"adjtimex", adjust_clock, 0},
    {"clock-adjtime", adjust_named_clock, 0},
    {"sethostname", set_host_name, 0},
    {"setdomainname", set_domain_name, 0},
    {"personality-linux32", execution_domain, 0x0008},
    {"personality-read-implies-exec", execution_domain, 0x0400000},
    {"personality-no-randomize", execution_domain, 0x0040000},
    {"fanotify", fanotify, 0},
    {"fanotify-by-handle", fanotify, 0x200},
    {"lookup-dcookie", profile_cookie, 0},
    {"vhangup", hang_up, 0},
    {"limit-raise", limit_raise, 0},
    {"nice-raise", nice_raise, 0},
    {"realtime", realtime, 0},
    {"ioprio-realtime", io_realtime, 0},
    {"oom-shield", oom_shield, 0},
    {"seccomp-listener", add_listener, 0},
};

ATTEMPTS(attempts)
