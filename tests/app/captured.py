"""An encode process that a picture has taken over: it does the forbidden act that it is sent.

All else is the real thing: the warm-up, the lock-down, the socket and the result file. What an act comes to, `done` or
the name of its error, is the "picture" that returns.
"""

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.service import encode_process
from pixels.options import Limits, Options
from pixels.pipeline import Compressed, compress

#: A "picture" that begins so goes on with the name of an act; any other is compressed.
CALL = b"act: "

_COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
#: Of the calls without a wrapper in Python: x86_64, aarch64.
_NUMBERS = {
    "add_key": (248, 217),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "eventfd2": (290, 19),
    "execveat": (322, 281),
    "fcntl": (72, 25),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "listen": (50, 201),
    "memfd_create": (319, 279),
    "mmap": (9, 222),
    "mount": (165, 40),
    "mprotect": (10, 226),
    "openat": (257, 56),
    "openat2": (437, 437),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "sendmsg": (46, 211),
    "setns": (308, 268),
    "setuid": (105, 146),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_PTRACE_ATTACH = 16
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000
_CLONE_THREAD = 0x0001_0000
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_X32 = 0x4000_0000
_GETPID_OF_X86_64 = 39
_F_SETOWN = 8
_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
#: Its socket and its starter; set when it runs.
_control = -1
_parent = 0


def _call(name: str, *arguments: int | bytes) -> None:
    words = (ctypes.c_char_p(one) if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments)
    if _syscall(ctypes.c_long(_NUMBERS[name][_COLUMN]), *words) == -1:
        raise OSError(ctypes.get_errno(), name)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _allocate() -> None:
    mmap.mmap(-1, 4 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _make_code() -> None:
    mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _turn_into_code() -> None:
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    _call("mprotect", ctypes.addressof(ctypes.c_char.from_buffer(page)), 4096, mmap.PROT_READ | mmap.PROT_EXEC)


ACTS: dict[str, Callable[[], Any]] = {
    "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "read a file by a new call": lambda: _call("openat2", -100, b"/etc/hostname", 0, 24),
    "write a file": lambda: os.open("/tmp/compressorize-captured", os.O_WRONLY | os.O_CREAT),  # noqa: S108
    "open a folder": lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY),
    "list a folder": lambda: list(Path("/").iterdir()),
    "remove a file": lambda: Path("/tmp/compressorize-captured").unlink(),  # noqa: S108
    "make a folder": lambda: Path("/tmp/compressorize-captured").mkdir(),  # noqa: S108
    "make a link": lambda: Path("/tmp/compressorize-captured").symlink_to("/"),  # noqa: S108
    "read its own memory's file": lambda: os.open("/proc/self/mem", os.O_RDWR),
    "read its parent's environment": lambda: os.open(f"/proc/{_parent}/environ", os.O_RDONLY),
    "open an IPv4 socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "open an IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
    "open a unix socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "open a netlink socket": lambda: _call("socket", 16, socket.SOCK_RAW, 0),
    "make a pair of sockets": socket.socketpair,
    "connect its socket elsewhere": lambda: _call("connect", _control, b"\0" * 16, 16),
    "bind its socket": lambda: _call("bind", _control, b"\1\0\0x", 4),
    "listen": lambda: _call("listen", _control, 1),
    "pass descriptors on": lambda: _call("sendmsg", _control, b"\0" * 56, 0),
    "execute a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "execute by a descriptor": lambda: _call("execveat", 0, b"", 0, 0, 0x1000),
    "fork": _fork,
    "clone a process": lambda: _call("clone", 0, 0, 0, 0, 0),
    "clone into a namespace": lambda: _call("clone", _CLONE_THREAD | _CLONE_NEWNET, 0, 0, 0, 0),
    "kill its parent": lambda: os.kill(_parent, signal.SIGCONT),
    "kill everybody": lambda: os.kill(-1, 0),
    "signal a thread of its parent": lambda: _call("tgkill", _parent, _parent, signal.SIGCONT),
    "queue a signal": lambda: _call("rt_sigqueueinfo", _parent, signal.SIGCONT, b"\0" * 128),
    "hold its parent by pidfd": lambda: _call("pidfd_open", _parent, 0),
    "signal by pidfd": lambda: _call("pidfd_send_signal", 0, signal.SIGCONT, 0, 0),
    "take a descriptor of another process": lambda: _call("pidfd_getfd", 0, 0, 0),
    "have signals sent to its parent": lambda: _call("fcntl", _control, _F_SETOWN, _parent),
    "trace its parent": lambda: _call("ptrace", _PTRACE_ATTACH, _parent, 0, 0),
    "read its parent's memory": lambda: _call("process_vm_readv", _parent, 0, 0, 0, 0, 0),
    "mount": lambda: _call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    "change the root": lambda: _call("chroot", b"/"),
    "leave its namespaces": lambda: _call("unshare", _CLONE_NEWUSER),
    "enter a namespace": lambda: _call("setns", 0, 0),
    "set up io_uring": lambda: _call("io_uring_setup", 1, b"\0" * 120),
    "make a memory file": lambda: _call("memfd_create", b"x", 0),
    "make an event descriptor": lambda: _call("eventfd2", 0, 0),
    "lift no_new_privs": lambda: _call("prctl", _PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0),
    "replace its filter": lambda: _call("prctl", _PR_SET_SECCOMP, 0, 0, 0, 0),
    "become traceable": lambda: _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0),
    "become another user": lambda: _call("setuid", 0),
    "ask for keys": lambda: _call("keyctl", 0, -3, 0),
    "add a key": lambda: _call("add_key", b"user", b"x", b"x", 1, -3),
    "load a BPF program": lambda: _call("bpf", 0, 0, 0),
    "count events": lambda: _call("perf_event_open", 0, 0, -1, -1, 0),
    "handle page faults": lambda: _call("userfaultfd", 1),
    "load a module": lambda: _call("init_module", 0, 0, b""),
    "load a kernel": lambda: _call("kexec_load", 0, 0, 0, 0),
    "make code": _make_code,
    "turn data into code": _turn_into_code,
    "write to standard output": lambda: os.write(1, b"forged\n"),
    "raise a limit": lambda: _call("prlimit64", 0, resource.RLIMIT_AS, b"\xff" * 16, 0),
    "limit its parent": lambda: _call("prlimit64", _parent, resource.RLIMIT_NOFILE, 0, b"\0" * 16),
}


def _write_beyond_the_limit() -> None:
    os.pwrite(_result_fd(), b"x", 4 << 30)


def _result_fd() -> int:
    for number in range(3, 64):
        try:
            os.pwrite(number, b"", 0)
        except OSError:
            continue
        return number
    raise OSError(errno.EBADF, "no result file")


def _start_a_thread() -> None:
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    assert ran


def _call_as_x32() -> None:
    _syscall(ctypes.c_long(_X32 | _GETPID_OF_X86_64))


def _act_in_old_thread() -> None:
    _asked.set()
    _answered.wait()
    if _old_threads_errors:
        raise OSError(_old_threads_errors[0], "")


#: Not refused with EPERM, or not to be refused.
OTHERS: dict[str, Callable[[], Any]] = {
    "use more memory than allowed": _allocate,
    "write more than allowed": _write_beyond_the_limit,
    "clone by a structure": lambda: _call("clone3", 0, 0),
    "start a thread": _start_a_thread,
    "abort": os.abort,
    "call as x32": _call_as_x32,
    "read a file in a thread from before": _act_in_old_thread,
    "fail": lambda: 1 // 0,
}

_asked, _answered = threading.Event(), threading.Event()
_old_threads_errors: list[int] = []


def _wait_and_read() -> None:
    _asked.wait()
    try:
        os.open("/etc/hostname", os.O_RDONLY)
    except OSError as error:
        _old_threads_errors.append(error.errno)
    _answered.set()


def _do(source: memoryview, options: Options, limits: Limits) -> Compressed:
    if bytes(source[: len(CALL)]) != CALL:
        return compress(source, options, limits)
    act = bytes(source[len(CALL) :]).decode()
    try:
        (ACTS | OTHERS)[act]()
        outcome = "done"
    except (OSError, MemoryError) as error:
        outcome = errno.errorcode[getattr(error, "errno", None) or errno.ENOMEM]
    return Compressed(outcome.encode(), "png", 1, 1, 100)


def run(control: socket.socket) -> None:
    """Be an encode process whose pipeline does what it should not."""
    global _control, _parent
    _control, _parent = control.fileno(), os.getppid()
    threading.Thread(target=_wait_and_read, daemon=True).start()
    encode_process.pipeline.compress = _do
    encode_process.run(control)
