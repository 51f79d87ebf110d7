/* New namespaces and mounts: every call that makes or enters one, with every flag, also with garbage above bit 31. */
#include "attempt.h"

#include <linux/mount.h>
#include <sys/mount.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

struct clone3_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static const struct { long flag; const char *file; } namespaces[] = {
    {CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mnt"},  {CLONE_NEWPID, "pid"},       {CLONE_NEWNET, "net"},
    {CLONE_NEWIPC, "ipc"},   {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWTIME, "time"},
};

static const char *namespace_file(long flag) {
    for (size_t i = 0; i < COUNT(namespaces); i++)
        if (namespaces[i].flag == flag) return namespaces[i].file;
    return "?";
}

/* The child of a clone that worked ends at once; the parent tells. */
static void judge_clone(long pid, const char *detail) {
    if (pid == 0) _exit(0);
    int saved = errno;
    if (pid > 0) waitpid((pid_t)pid, NULL, __WALL);
    errno = saved;
    judge(pid, detail);
}

static void clone_flag(long flag) { judge_clone(syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0), "cloned"); }

static void clone_garbage(long flag) {
    judge_clone(syscall(SYS_clone, GARBAGE | (unsigned long)flag | SIGCHLD, 0, 0, 0, 0), "cloned");
}

static void clone3_flag(long flag) {
    struct clone3_args args = {.flags = (uint64_t)flag, .exit_signal = SIGCHLD};
    judge_clone(syscall(SYS_clone3, &args, sizeof args), "cloned");
}

static void unshare_flag(long flag) { judge(syscall(SYS_unshare, flag), "unshared"); }
static void unshare_garbage(long flag) { judge(syscall(SYS_unshare, GARBAGE | (unsigned long)flag), "unshared"); }

static int namespace_fd(const char *process, long flag) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/ns/%s", process, namespace_file(flag));
    int fd = open(path, O_RDONLY);
    if (fd < 0) denied();
    return fd;
}

/* Entering one's own namespace needs the same right as entering another's; for the user namespace it is EINVAL. */
static void judge_setns(long result) {
    if (result < 0 && errno == EINVAL) escaped("setns reached the kernel: EINVAL");
    judge(result, "entered");
}

static void setns_self(long flag) { judge_setns(syscall(SYS_setns, namespace_fd("self", flag), flag)); }

static void setns_garbage(long flag) {
    judge_setns(syscall(SYS_setns, namespace_fd("self", flag), GARBAGE | (unsigned long)flag));
}

static void setns_outside(long flag) { judge_setns(syscall(SYS_setns, namespace_fd(outside("ESCAPE_PID"), flag), flag)); }

static void setns_init(long flag) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", init_pid());
    judge_setns(syscall(SYS_setns, namespace_fd(pid, flag), flag));
}

static void setns_pidfd(long flag) {
    long fd = syscall(SYS_pidfd_open, outside_number("ESCAPE_PID"), 0);
    if (fd < 0) denied();
    judge_setns(syscall(SYS_setns, fd, flag));
}

static void mount_tmpfs(long arg) {
    (void)arg;
    scratch();
    int result = mount("tmpfs", ".", "tmpfs", 0, NULL);
    if (result == 0) umount2(scratch_dir, MNT_DETACH);
    judge(result, "mounted");
}

static void mount_proc(long arg) {
    (void)arg;
    scratch();
    int result = mount("proc", ".", "proc", 0, NULL);
    if (result == 0) umount2(scratch_dir, MNT_DETACH);
    judge(result, "mounted");
}

static void mount_bind(long arg) {
    (void)arg;
    scratch();
    int result = mount("/", ".", NULL, MS_BIND | MS_REC, NULL);
    if (result == 0) umount2(scratch_dir, MNT_DETACH);
    judge(result, "mounted");
}

/* The scratch directory is no mount point, so EINVAL is all that these can come to: after the permission check. */
static void mount_flags(long flags) {
    scratch();
    judge_reach(mount(NULL, ".", NULL, (unsigned long)flags, NULL), "mount");
}

static void unmount(long flags) {
    scratch();
    judge_reach(umount2(".", (int)flags), "umount2");
}

static void pivot(long arg) {
    (void)arg;
    scratch();
    judge_reach(syscall(SYS_pivot_root, ".", "."), "pivot_root");
}

static void change_root(long arg) { (void)arg; judge(chroot("/"), "changed the root"); }
static void open_filesystem(long arg) { (void)arg; judge(syscall(SYS_fsopen, "tmpfs", 0), "opened"); }
static void pick_filesystem(long arg) { (void)arg; judge(syscall(SYS_fspick, AT_FDCWD, "/", 0), "picked"); }
static void configure_filesystem(long arg) { (void)arg; judge_reach(syscall(SYS_fsconfig, -1, 6, NULL, NULL, 0), "fsconfig"); }
static void mount_filesystem(long arg) { (void)arg; judge_reach(syscall(SYS_fsmount, -1, 0, 0), "fsmount"); }
static void clone_tree(long flags) { judge(syscall(SYS_open_tree, AT_FDCWD, ".", OPEN_TREE_CLONE | flags), "cloned a tree"); }
static void plain_tree(long arg) { (void)arg; judge(syscall(SYS_open_tree, AT_FDCWD, ".", 0), "open_tree was let through"); }

static void clone_tree_attr(long arg) {
    (void)arg;
    struct { uint64_t set, clear, propagation, userns; } attr = {0};
    judge(syscall(SYS_open_tree_attr, AT_FDCWD, ".", OPEN_TREE_CLONE, &attr, sizeof attr), "cloned a tree");
}

static void move_a_mount(long arg) { (void)arg; judge_reach(syscall(SYS_move_mount, -1, "", -1, "", 4), "move_mount"); }

static void set_mount_attr(long arg) {
    (void)arg;
    struct { uint64_t set, clear, propagation, userns; } attr = {.clear = 1};
    scratch();
    judge_reach(syscall(SYS_mount_setattr, AT_FDCWD, ".", 0, &attr, sizeof attr), "mount_setattr");
}

/* Time has no bit in clone(2): its flag lies in the byte of the exit signal. */
#define ALL_BUT_TIME(name, op)                                                                            \
    {name "-user", op, CLONE_NEWUSER}, {name "-mount", op, CLONE_NEWNS}, {name "-pid", op, CLONE_NEWPID}, \
    {name "-net", op, CLONE_NEWNET}, {name "-ipc", op, CLONE_NEWIPC}, {name "-uts", op, CLONE_NEWUTS},    \
    {name "-cgroup", op, CLONE_NEWCGROUP}
#define ALL(name, op) ALL_BUT_TIME(name, op), {name "-time", op, CLONE_NEWTIME}

static const struct attempt attempts[] = {
    ALL_BUT_TIME("clone", clone_flag),
    {"clone-user-and-all", clone_flag,
     CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP},
    ALL_BUT_TIME("clone-garbage", clone_garbage),
    {"clone3-plain", clone3_flag, 0},
    ALL("clone3", clone3_flag),
    ALL("unshare", unshare_flag),
    {"unshare-garbage-user", unshare_garbage, CLONE_NEWUSER},
    ALL("setns-self", setns_self),
    ALL("setns-garbage", setns_garbage),
    ALL("setns-init", setns_init),
    ALL("setns-outside", setns_outside),
    {"setns-pidfd-user", setns_pidfd, CLONE_NEWUSER},
    {"setns-pidfd-mount", setns_pidfd, CLONE_NEWNS},
    {"setns-pidfd-all", setns_pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP},
    {"mount-tmpfs", mount_tmpfs, 0},
    {"mount-proc", mount_proc, 0},
    {"mount-bind", mount_bind, 0},
    {"mount-remount", mount_flags, MS_REMOUNT | MS_BIND},
    {"mount-propagation", mount_flags, MS_SHARED},
    {"mount-move", mount_flags, MS_MOVE},
    {"umount-detach", unmount, MNT_DETACH},
    {"umount-expire", unmount, MNT_EXPIRE},
    {"pivot-root", pivot, 0},
    {"chroot", change_root, 0},
    {"fsopen", open_filesystem, 0},
    {"fspick", pick_filesystem, 0},
    {"fsconfig", configure_filesystem, 0},
    {"fsmount", mount_filesystem, 0},
    {"open-tree", plain_tree, 0},
    {"open-tree-clone", clone_tree, 0},
    {"open-tree-clone-recursive", clone_tree, AT_RECURSIVE},
    {"open-tree-attr", clone_tree_attr, 0},
    {"move-mount", move_a_mount, 0},
    {"mount-setattr", set_mount_attr, 0},
};

ATTEMPTS(attempts)
