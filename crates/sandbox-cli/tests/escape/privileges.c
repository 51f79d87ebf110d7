/* Privileges held, and every way to gain one.
 *
 * ESCAPE_SETUID is a copy of `whoami`, set-uid and set-gid, owned by somebody who is neither the caller nor inside.
 */
#include "attempt.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

/* What a confined process has of it, or an escape. */
static const struct { const char *field; unsigned long long wanted; } lines[] = {
    {"CapInh", 0}, {"CapPrm", 0}, {"CapEff", 0}, {"CapBnd", 0}, {"CapAmb", 0}, {"NoNewPrivs", 1}, {"Seccomp", 2},
};

/* One bit a capability, by a prctl that answers for each. */
static unsigned long long by_prctl(int option, unsigned long second) {
    unsigned long long set = 0;
    for (unsigned long capability = 0; capability < 64; capability++) {
        int held = second ? prctl(option, second, capability, 0, 0) : prctl(option, capability, 0, 0, 0);
        if (held == 1) set |= 1ULL << capability;
    }
    return set;
}

/* The same as /proc/self/status, where there is no /proc. */
static unsigned long long by_call(long index) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0) absent("capget: %s", errno_name(errno));
    unsigned long long inheritable = sets[0].inheritable | (unsigned long long)sets[1].inheritable << 32;
    unsigned long long permitted = sets[0].permitted | (unsigned long long)sets[1].permitted << 32;
    unsigned long long effective = sets[0].effective | (unsigned long long)sets[1].effective << 32;
    switch (index) {
    case 0: return inheritable;
    case 1: return permitted;
    case 2: return effective;
    case 3: return by_prctl(PR_CAPBSET_READ, 0);
    case 4: return by_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET);
    case 5: return (unsigned long long)prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    default: return (unsigned long long)prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    }
}

static unsigned long long held(long index) {
    char line[256];
    size_t length = strlen(lines[index].field);
    FILE *status = fopen("/proc/self/status", "re");
    if (!status) return by_call(index);
    while (fgets(line, sizeof line, status))
        if (strncmp(line, lines[index].field, length) == 0 && line[length] == ':') return strtoull(line + length + 1, NULL, 16);
    absent("no %s in /proc/self/status", lines[index].field);
}

static void status_line(long index) {
    unsigned long long value = held(index);
    if (value == lines[index].wanted) denied_because("%s=%llx", lines[index].field, value);
    escaped("%s=%llx", lines[index].field, value);
}

static void no_new_privs(long arg) {
    (void)arg;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) denied_because("no_new_privs=1");
    escaped("no_new_privs is off");
}

static void set_uid_program(long arg) {
    (void)arg;
    const char *program = outside("ESCAPE_SETUID");
    int ends[2], uid, gid;
    if (pipe(ends) != 0) denied();
    pid_t child = fork();
    if (child == 0) {
        char *argv[] = {"whoami", NULL};
        dup2(ends[1], STDOUT_FILENO);
        execv(program, argv);
        dprintf(STDOUT_FILENO, "! %d", errno);
        _exit(127);
    }
    close(ends[1]);
    char answer[64] = "";
    ssize_t length = read(ends[0], answer, sizeof answer - 1);
    waitpid(child, NULL, 0);
    if (length > 0 && *answer == '!') denied_because("not executed: errno=%s", errno_name(atoi(answer + 1)));
    if (length <= 0 || sscanf(answer, "%d %d", &uid, &gid) != 2) escaped("no answer from the set-uid program");
    if (uid == (int)geteuid() && gid == (int)getegid()) denied_because("gained nothing");
    escaped("became %d:%d", uid, gid);
}

static uid_t other(uid_t mine) { return mine == 0 ? 65534 : 0; }

static void set_uid(long arg) { (void)arg; judge(syscall(SYS_setuid, other(getuid())), "changed user"); }
static void set_resuid(long arg) {
    (void)arg;
    uid_t uid = other(getuid());
    judge(syscall(SYS_setresuid, uid, uid, uid), "changed user");
}
static void set_gid(long arg) { (void)arg; judge(syscall(SYS_setgid, other(getgid())), "changed group"); }
static void set_resgid(long arg) {
    (void)arg;
    gid_t gid = other(getgid());
    judge(syscall(SYS_setresgid, gid, gid, gid), "changed group");
}
static void set_groups(long arg) {
    (void)arg;
    gid_t groups[] = {0};
    judge(syscall(SYS_setgroups, 1, groups), "set its groups");
}
static void drop_groups(long arg) { (void)arg; judge(syscall(SYS_setgroups, 0, NULL), "dropped its groups"); }

/* Tells nothing by its result: ask again what it is now. */
static void set_fsuid(long arg) {
    (void)arg;
    uid_t wanted = other(getuid());
    syscall(SYS_setfsuid, wanted);
    if ((uid_t)syscall(SYS_setfsuid, -1) == wanted) escaped("changed its file-system user");
    denied_because("unchanged");
}

static void set_capabilities(uint32_t effective, uint32_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{effective, effective, inheritable}, {0, 0, 0}};
    judge(syscall(SYS_capset, &header, data), "capset");
}

static void raise_effective(long arg) { (void)arg; set_capabilities(1U << CAP_SYS_ADMIN, 0); }
static void raise_inheritable(long arg) { (void)arg; set_capabilities(0, 1U << CAP_SYS_ADMIN); }
static void raise_ambient(long arg) {
    (void)arg;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    syscall(SYS_capget, &header, data);
    data[0].inheritable |= 1U << CAP_SYS_ADMIN;
    syscall(SYS_capset, &header, data);
    judge(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0), "raised an ambient capability");
}

static void drop_bounding(long arg) { (void)arg; judge(prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM, 0, 0, 0), "holds CAP_SETPCAP"); }
static void secure_bits(long arg) { (void)arg; judge(prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS), 0, 0, 0), "set its secure bits"); }

/* Writing maps again would give other identities. */
static void identity_map(long group) {
    int fd = open(group ? "/proc/self/gid_map" : "/proc/self/uid_map", O_WRONLY);
    if (fd < 0) denied();
    judge(write(fd, "0 0 1\n", 6), "wrote its identity map");
}

static const struct attempt attempts[] = {
    {"no-inheritable", status_line, 0},
    {"no-permitted", status_line, 1},
    {"no-effective", status_line, 2},
    {"no-bounding", status_line, 3},
    {"no-ambient", status_line, 4},
    {"no-new-privs", status_line, 5},
    {"no-new-privs-asked", no_new_privs, 0},
    {"seccomp-filter", status_line, 6},
    {"setuid-program", set_uid_program, 0},
    {"setuid", set_uid, 0},
    {"setresuid", set_resuid, 0},
    {"setgid", set_gid, 0},
    {"setresgid", set_resgid, 0},
    {"setgroups", set_groups, 0},
    {"setgroups-none", drop_groups, 0},
    {"setfsuid", set_fsuid, 0},
    {"capset-effective", raise_effective, 0},
    {"capset-inheritable", raise_inheritable, 0},
    {"ambient-raise", raise_ambient, 0},
    {"bounding-drop", drop_bounding, 0},
    {"securebits", secure_bits, 0},
    {"uid-map", identity_map, 0},
    {"gid-map", identity_map, 1},
};

ATTEMPTS(attempts)
