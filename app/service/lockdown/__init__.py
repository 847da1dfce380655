"""Takes from an encode process everything that compressing a picture does not need, for good.

A decoder that a stranger's file has taken over can then still compute, answer on its one socket and write its one
result file: it opens no file and no socket, starts and signals no process, and makes no memory executable. Each wall
stands without the others, because a kernel may lack any of them; `Lockdown` tells which stand.

It has no setting: a tracer or profiler works from outside, and a wall that can be turned off gets turned off.
"""

import contextlib
import os
import resource
import sys
from typing import Final

from app.service.encode_protocol import Lockdown
from app.service.lockdown import kernel, landlock, seccomp

#: A job needs two descriptors beside the dozen that are there: its source's, and the map's copy of that.
_MAX_DESCRIPTORS: Final = 64


def lock(*, control_fd: int, result_fd: int, memory_bytes: int) -> Lockdown:
    """Lock the calling process down, all its threads included; it cannot be undone.

    Whatever opens files or maps code must have run before: a codec's first use, an import, a kernel's compilation.

    Parameters
    ----------
    control_fd
        The connected socket that stays usable, for `recvmsg`, `recvfrom` and `sendto`.
    result_fd
        The file that stays writable, by `pwrite`. So does standard error, where the end of a process is explained.
        All other descriptors from 3 on are lost.
    memory_bytes
        The most address space, and the longest result.

    Returns
    -------
    Lockdown
        What is in force. A wall that the kernel lacks is left out, never an error.
    """
    _drop_descriptors(keep={control_fd, result_fd})
    _limit_resources(memory_bytes)
    if not (sys.platform == "linux" and kernel.forbid_new_privileges()):
        return Lockdown(landlock=0, seccomp=False)
    # This order: the filter allows no call that landlock needs.
    abi = landlock.restrict()
    return Lockdown(landlock=abi, seccomp=seccomp.restrict(control_fd=control_fd, result_fd=result_fd))


def _drop_descriptors(keep: set[int]) -> None:
    """Point what was inherited at /dev/null: the fork server's pipes lead to processes that trust what comes by them.

    Not closed: whoever believes to own such a number would later close the source that got it next.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are all that is wanted
        number = int(name)
        if number > seccomp.STANDARD_ERROR and number not in keep:
            with contextlib.suppress(OSError):  # the listing's own, closed by now
                os.fstat(number)
                os.dup2(null, number, inheritable=False)
    os.close(null)


def _limit_resources(memory_bytes: int) -> None:
    # A memory file counts against no address space, so its length is bounded, too.
    bounds = {resource.RLIMIT_FSIZE: memory_bytes, resource.RLIMIT_NOFILE: _MAX_DESCRIPTORS}
    if sys.platform == "linux":  # elsewhere the limit is not enforced, or refuses what is mapped already
        bounds[resource.RLIMIT_AS] = memory_bytes
    # No RLIMIT_CPU: it counts a whole life, and this process lives for thousands of pictures.
    for kind, bound in bounds.items():
        _, hard = resource.getrlimit(kind)
        lowest = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (lowest, lowest))
