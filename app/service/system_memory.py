"""How much memory this process may ever use: the machine's, or its container's where that is less."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUPS: Final = Path("/proc/self/cgroup")


def find_memory_bytes(*, cgroups: Path = _CGROUPS, own_cgroups: Path = _OWN_CGROUPS) -> int:
    """Return the bytes of the machine's memory, or the least limit of the control groups that this process is in.

    Control groups of both versions count; where there are none, or they tell nothing, they limit nothing.
    """
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine_bytes, *_read_limits(cgroups, own_cgroups)])


def _read_limits(cgroups: Path, own_cgroups: Path) -> Iterator[int]:
    for folder, path, file in _list_groups(cgroups, own_cgroups):
        # In a container the path may be the host's, of which only the root is there: that is the container's own group.
        group = folder / path.lstrip("/")
        for level in (group, *group.parents):
            if level.is_relative_to(folder):
                try:
                    yield int((level / file).read_text())
                except (OSError, ValueError):  # there is none, or it is "max"
                    continue


def _list_groups(cgroups: Path, own_cgroups: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield the tree, this process' path in it, and the limit's file name: see cgroups(7)."""
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield cgroups, path, "memory.max"
        elif "memory" in controllers.split(","):
            yield cgroups / "memory", path, "memory.limit_in_bytes"
