# What every program of these tests begins with.
import ctypes, errno, fcntl, mmap, os, shutil, stat, subprocess, sys

os.umask(0o022)
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
FCHMODAT2, OPENAT2, RENAMEAT2 = 452, 437, 316
NOREPLACE, EXCHANGE = 1, 2


def syscall(number, *args):
    result = libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def renameat2(old, new, flags):
    syscall(RENAMEAT2, AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), flags)


def attempt(function, *args, **kwargs):
    """Calls it and prints what became of it."""
    try:
        result = function(*args, **kwargs)
        print("ok" if result is None else result)
    except OSError as error:
        print(errno.errorcode[error.errno])


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()
