"""Programs that have nothing to do with a service and want processors all the same: what a figure can be set beside."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

#: Until the one who started it is gone, however that came.
_PROGRAM: Final = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
#: As nice as encode processes are.
_SPIN: Final = ("nice", "-n", "5", sys.executable, "-c", _PROGRAM)


@contextmanager
def keep_busy(processors: int) -> Iterator[None]:
    """Have so many processes spin."""
    with ExitStack() as stack:
        for _ in range(processors):
            spinning = stack.enter_context(subprocess.Popen(_SPIN))
            stack.callback(spinning.kill)
        yield
