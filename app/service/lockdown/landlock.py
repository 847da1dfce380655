"""Landlock: the kernel's access control that any process may tighten for itself (linux/landlock.h).

The packages for it on PyPI are pre-releases, or new and little used; what is needed is two system calls.
"""

import ctypes
import os
from typing import Final

from app.service.lockdown import kernel

#: The same numbers on every machine.
_CREATE_RULESET: Final = 444
_RESTRICT_SELF: Final = 446
_CREATE_RULESET_VERSION: Final = 1 << 0
#: From ABI 8 on, a restriction can reach the threads that are there already.
_RESTRICT_SELF_TSYNC: Final = 1 << 3
_TSYNC_ABI: Final = 8

#: How many of the file system's rights each ABI knows: the lowest so many bits.
_FILE_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NEWEST_FILE_RIGHTS: Final = 16
#: TCP bind and connect.
_NET_RIGHTS: Final = 0b11
_NET_ABI: Final = 4
#: Abstract unix sockets and signals, to processes that are not restricted alike.
_SCOPES: Final = 0b11
_SCOPE_ABI: Final = 6


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`: what is forbidden unless a rule allows it."""

    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


def restrict() -> int:
    """Forbid this thread, and those that it starts, every file, TCP port and signal that landlock knows of.

    From ABI 8 on this holds for all threads of the process.

    Returns
    -------
    int
        The kernel's landlock ABI, from 1; 0 where it has none, or it is turned off.
    """
    try:
        abi = kernel.call(_CREATE_RULESET, 0, 0, _CREATE_RULESET_VERSION)
        # An older kernel refuses bits that it does not know.
        forbidden = _Ruleset(
            files=(1 << _FILE_RIGHTS.get(abi, _NEWEST_FILE_RIGHTS)) - 1,
            net=_NET_RIGHTS if abi >= _NET_ABI else 0,
            scopes=_SCOPES if abi >= _SCOPE_ABI else 0,
        )
        # A longer structure is taken by every kernel, as long as what it does not know is zero.
        ruleset = kernel.call(_CREATE_RULESET, ctypes.addressof(forbidden), ctypes.sizeof(forbidden), 0)
    except OSError:
        return 0
    try:
        kernel.call(_RESTRICT_SELF, ruleset, _RESTRICT_SELF_TSYNC if abi >= _TSYNC_ABI else 0)
    except OSError:
        return 0
    finally:
        os.close(ruleset)
    return abi
