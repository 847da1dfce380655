"""System calls that have no wrapper in Python, or none in every C library."""

import ctypes
import os
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_libc: Final = ctypes.CDLL(None, use_errno=True)
#: Variadic: every argument is a register, so each has to be as wide as one.
_syscall: Final = _libc.syscall
_syscall.restype = ctypes.c_long


def call(number: int, *arguments: int) -> int:
    """Make system call `number` and return what it does.

    Raises
    ------
    OSError
        The kernel refused, or does not know the call.
    """
    result: int = _syscall(ctypes.c_long(number), *(ctypes.c_ulong(one) for one in arguments))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def forbid_new_privileges() -> bool:
    """Let no program that this process ever becomes gain rights; landlock and seccomp want that first.

    Returns False where the kernel cannot.
    """
    on, unused = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return bool(_libc.prctl(_PR_SET_NO_NEW_PRIVS, on, unused, unused, unused) == 0)
