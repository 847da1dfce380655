"""Children that end with their starter, however that ends. Linux only; elsewhere there is no such thing."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

#: The signal a process gets when the *thread* that started it ends (prctl(2)): start children from the main thread.
_PR_SET_PDEATHSIG: Final = 1
IS_POSSIBLE: Final = sys.platform == "linux"


def death_pact(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls between fork and exec to get signal `number` at its starter's end; None elsewhere."""
    if not IS_POSSIBLE:
        return None
    # Looked up here: after the fork, only the C library may be called.
    prctl = ctypes.CDLL(None).prctl
    starter = os.getpid()

    def end_with_starter() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        # The starter may have ended before the call above.
        if os.getppid() != starter:
            os._exit(1)

    return end_with_starter
