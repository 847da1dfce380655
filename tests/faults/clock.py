"""A wall clock that jumps, for one service and everything that it starts; the machine's own stays as it is."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("clock.c")


class ShiftedClock:
    """What makes programs see another time than there is.

    Skips the test where it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("a clock that jumps needs Linux and a C compiler")
        self._shift, library = folder / "shift", folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self._shift)}

    def set(self, shift_s: int) -> None:
        """Let the clock be so many seconds ahead of the machine's; behind it, where they are negative."""
        if not self._shift.exists():
            self._shift.write_bytes(bytes(8))
        # In place: the processes have the file mapped.
        with self._shift.open("r+b") as file:
            file.write(struct.pack("=q", shift_s))
