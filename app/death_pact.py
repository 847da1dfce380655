"""Children that end with their starter, however that ends. Linux only; elsewhere there is no such thing."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

#: The signal a process gets when the *thread* that started it ends (prctl(2)): start children from the main thread.
_PR_SET_PDEATHSIG: Final = 1
IS_POSSIBLE: Final = sys.platform == "linux"


def death_pact(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls between fork and exec to get signal `number` at its starter's end; None elsewhere."""
    if not IS_POSSIBLE:
        return None
    # Looked up here: after the fork, only the C library may be called.
    return partial(_end_with, os.getpid(), ctypes.CDLL(None).prctl, number)


def end_with(starter: int, number: signal.Signals) -> None:
    """Get signal `number` when the process `starter`, which has just forked this one, ends; nothing elsewhere."""
    if IS_POSSIBLE:
        _end_with(starter, ctypes.CDLL(None).prctl, number)


def _end_with(starter: int, prctl: Callable[[int, int], object], number: signal.Signals) -> None:
    prctl(_PR_SET_PDEATHSIG, number)
    # The starter may have ended before the call above.
    if os.getppid() != starter:
        os._exit(1)
