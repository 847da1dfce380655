"""Seccomp: a filter that the kernel asks before each system call of this process.

A list of what is allowed, not of what is forbidden: the codecs need few calls once they are warm, and new kernels bring
new calls. Everything else fails with EPERM instead of ending the process: glibc's malloc asks
/proc/sys/vm/overcommit_memory and /sys/devices/system/cpu/online in the middle of a life, and does without.

Not by libseccomp: its bindings on PyPI (pyseccomp 0.1.2 of 2021) load a library that an image may lack.
"""

import os
import platform
import sys
from dataclasses import dataclass
from typing import Final

from app.service.lockdown import kernel
from app.service.lockdown.bpf import Check, Rule, assemble

_SET_MODE_FILTER: Final = 1
#: For all threads of the process, not the calling one alone.
_FLAG_TSYNC: Final = 1


@dataclass(frozen=True, slots=True)
class _Machine:
    """A kind of processor: its column in the tables below, and its number in linux/audit.h."""

    column: int
    audit_arch: int
    seccomp: int
    clone3: int = 435


_MACHINES: Final = {"x86_64": _Machine(0, 0xC000003E, 317), "aarch64": _Machine(1, 0xC00000B7, 277)}

#: Allowed with any arguments: memory, threads' life and locks, clocks, signals of one's own. (x86_64, aarch64).
FREE: Final = {
    "brk": (12, 214),
    "madvise": (28, 233),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "rseq": (334, 293),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "set_robust_list": (273, 99),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettimeofday": (96, 169),
    "nanosleep": (35, 101),
    "setitimer": (38, 103),
    "sysinfo": (99, 179),
    "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
}

#: Allowed with some arguments only: see `_checks`.
CHECKED: Final = {
    "clone": (56, 220),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "newfstatat": (262, 79),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "pwrite64": (18, 68),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "tgkill": (234, 131),
    "write": (1, 64),
}

STANDARD_ERROR: Final = 2
_PROT_EXEC: Final = 0x4
_AT_EMPTY_PATH: Final = 0x1000
_CLONE_THREAD: Final = 0x0001_0000
#: Every flag of clone(2) that makes a namespace: NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_CLONE_NAMESPACES: Final = 0x80 | 0x0002_0000 | 0x7E00_0000
_PR_SET_NAME: Final = 15
_F_DUPFD_CLOEXEC: Final = 1030


def restrict(*, control_fd: int, result_fd: int) -> bool:
    """Deny every system call but those that an encode needs, to all threads.

    Returns False where the kernel has no seccomp, or the processor is neither x86_64 nor aarch64.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.maxsize < 1 << 32:
        return False
    rules = [Rule(numbers[machine.column]) for numbers in FREE.values()]
    checks = _checks(control_fd, result_fd)
    rules += [Rule(numbers[machine.column], checks[name]) for name, numbers in CHECKED.items()]
    program = assemble(machine.audit_arch, rules, unknown=(machine.clone3,))
    try:
        return kernel.call(machine.seccomp, _SET_MODE_FILTER, _FLAG_TSYNC, program.address) == 0
    except OSError:
        return False


def _checks(control_fd: int, result_fd: int) -> dict[str, tuple[Check, ...]]:
    no_code = (Check(argument=2, mask=_PROT_EXEC, value=0),)
    control = (Check(argument=0, value=control_fd),)
    return {
        # A thread, never a process.
        "clone": (Check(argument=0, mask=_CLONE_THREAD | _CLONE_NAMESPACES, value=_CLONE_THREAD),),
        # Python's mmap keeps a copy of the descriptor.
        "fcntl": (Check(argument=1, value=_F_DUPFD_CLOEXEC),),
        "fstat": (),
        "mmap": no_code,
        "mprotect": no_code,
        # glibc's fstat. A filter cannot see that the path is empty: whether a path exists can still be found out.
        "newfstatat": (Check(argument=3, value=_AT_EMPTY_PATH),),
        # A thread names itself.
        "prctl": (Check(argument=0, value=_PR_SET_NAME),),
        # Its own limits (pid 0), to read (no new ones: a null pointer, in two halves).
        "prlimit64": (
            Check(argument=0, value=0),
            Check(argument=2, value=0),
            Check(argument=2, value=0, high=True),
        ),
        "pwrite64": (Check(argument=0, value=result_fd),),
        "recvfrom": control,
        "recvmsg": control,
        "sendto": control,
        # abort(3) signals itself.
        "tgkill": (Check(argument=0, value=os.getpid()),),
        # The last words of a process that ends.
        "write": (Check(argument=0, value=STANDARD_ERROR),),
    }
