/* The terminal: typing into it, pasting into it, changing its line discipline. */
#include "attempt.h"

#include <sys/ioctl.h>
#include <termios.h>

enum { STDIN, CONTROLLING };

static int terminal(long which) {
    int fd = which == CONTROLLING ? open("/dev/tty", O_RDWR | O_NOCTTY) : STDIN_FILENO;
    if (fd < 0 || !isatty(fd)) absent(which == CONTROLLING ? "no controlling terminal" : "stdin is no terminal");
    return fd;
}

/* An empty line: whoever reads it next runs nothing. */
static long push(long which, unsigned long garbage) {
    char byte = '\n';
    return syscall(SYS_ioctl, terminal(which), garbage | TIOCSTI, &byte);
}

static void inject(long which) { judge(push(which, 0), "typed a byte"); }
static void inject_garbage(long which) { judge(push(which, GARBAGE), "typed a byte"); }
static void inject_low_garbage(long which) { judge(push(which, 1UL << 32), "typed a byte"); }

/* Asks for the state of the shift keys; pasting is another number of the same call. A pty says ENOTTY: let through. */
static long console(long which, unsigned long garbage) {
    char request = 6;
    return syscall(SYS_ioctl, terminal(which), garbage | TIOCLINUX, &request);
}

static void linux_console(long which) { judge_reach(console(which, 0), "TIOCLINUX"); }
static void linux_console_garbage(long which) { judge_reach(console(which, GARBAGE), "TIOCLINUX"); }

/* To what it is already. */
static long discipline(long which, unsigned long garbage) {
    int number = 0, fd = terminal(which);
    return syscall(SYS_ioctl, fd, garbage | TIOCSETD, &number);
}

static void line_discipline(long which) { judge(discipline(which, 0), "set the line discipline"); }
static void line_discipline_garbage(long which) { judge(discipline(which, GARBAGE), "set the line discipline"); }

/* The terminal of somebody else's session: neither to be taken, nor its foreground to be given away. */
static int somebody_elses(void) {
    int fd = terminal(STDIN);
    if (open("/dev/tty", O_RDWR | O_NOCTTY) >= 0) absent("the terminal is our own");
    return fd;
}

static void take_foreground(long arg) {
    (void)arg;
    pid_t group = getpgrp();
    judge(ioctl(somebody_elses(), TIOCSPGRP, &group), "is in the foreground");
}

static void take_terminal(long steal) {
    int fd = somebody_elses();
    setsid();
    judge(ioctl(fd, TIOCSCTTY, steal), "took the terminal");
}

static void hang_up(long arg) {
    (void)arg;
    judge(syscall(SYS_ioctl, somebody_elses(), TIOCNOTTY), "hung it up");
}

#define EACH(name, op) {"stdin-" name, op, STDIN}, {"tty-" name, op, CONTROLLING}

static const struct attempt attempts[] = {
    EACH("tiocsti", inject),
    EACH("tiocsti-garbage", inject_garbage),
    EACH("tiocsti-one-bit", inject_low_garbage),
    EACH("tioclinux", linux_console),
    EACH("tioclinux-garbage", linux_console_garbage),
    EACH("tiocsetd", line_discipline),
    EACH("tiocsetd-garbage", line_discipline_garbage),
    {"foreground", take_foreground, 0},
    {"take", take_terminal, 0},
    {"steal", take_terminal, 1},
    {"hang-up", hang_up, 0},
};

ATTEMPTS(attempts)
