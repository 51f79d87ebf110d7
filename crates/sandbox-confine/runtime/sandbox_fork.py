"""Be forked by ``sandbox fork``: load once, run a thousand times.

    import numpy                      # whatever takes long
    import sandbox_fork

    number = sandbox_fork.ready()     # returns in each clone, with its number
    print(number, work(number))

Started as ``sandbox fork --count 1000 -- python3 program.py``, which makes this module known to the interpreter.
"""

import os
import sys

__all__ = ["ForkError", "available", "ready"]

_number = None


class ForkError(RuntimeError):
    """This process cannot be forked; the message says why, and what to do."""


def available():
    """Whether this process was started to be forked."""
    return "SANDBOX_FORK_SOCKET" in os.environ


def ready():
    """Say that this process is ready, and be forked.

    Returns in each clone, with its number, from 0 on; ``os.environ["CLONE_ID"]`` has it, too. In the process that calls
    it does not return. What was registered with ``os.register_at_fork`` runs, so that ``random`` answers differently in
    each clone. Raises ForkError where this process has more than one thread, or nobody forks it.
    """
    global _number
    if _number is not None:
        raise ForkError("this is clone %d already; a program is ready once" % _number)
    if not available():
        raise ForkError("nobody forks this process: start it with sandbox fork -- python3 PROGRAM")
    try:
        # Only who is forked has to load it.
        import ctypes

        # Of the kind that keeps the interpreter's lock: no other thread may run meanwhile.
        library = ctypes.PyDLL(os.environ["SANDBOX_FORK_LIBRARY"])
    except (ImportError, KeyError, OSError) as error:
        raise ForkError("this interpreter cannot load what it is forked by (libsandbox_fork.so): %r" % error) from error
    library.sandbox_fork_ready.restype = ctypes.c_longlong
    library.sandbox_fork_error.restype = ctypes.c_char_p
    python = ctypes.pythonapi
    for function in (python.PyOS_BeforeFork, python.PyOS_AfterFork_Parent, python.PyOS_AfterFork_Child):
        function.restype = None
    # Else each clone would write once more what is left in the buffers.
    for stream in (sys.stdout, sys.stderr):
        # What is there instead of them may be anything.
        if hasattr(stream, "flush") and not getattr(stream, "closed", False):
            stream.flush()
    python.PyOS_BeforeFork()
    number = library.sandbox_fork_ready()
    if number < 0:
        python.PyOS_AfterFork_Parent()
        raise ForkError(library.sandbox_fork_error().decode() + _names_of_threads())
    python.PyOS_AfterFork_Child()
    os.environ.pop("SANDBOX_FORK_SOCKET", None)
    os.environ["CLONE_ID"] = str(number)
    _number = number
    return number


def _names_of_threads():
    threading = sys.modules.get("threading")
    names = [thread.name for thread in threading.enumerate()] if threading else []
    return "; those that Python knows: " + ", ".join(names) if len(names) > 1 else ""
