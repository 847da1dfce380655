"""The CPU time of a process and all that it started."""

from pathlib import Path


def tree(root: int) -> set[int]:
    """The process `root` and its descendants that are alive."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended meanwhile
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_s(root: int) -> float:
    """Seconds that `root` and its living descendants have spent on a processor, to the nanosecond.

    `/proc/PID/stat` counts in hundredths of a second; the scheduler's own count of each thread does not.
    """
    total_ns = 0
    for pid in tree(root):
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                total_ns += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total_ns / 1e9
