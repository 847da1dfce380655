"""What is there while others are at work: of files, folders and open descriptors, what goes meanwhile is left out.

pathlib's `rglob` and `glob` raise where a folder goes while they look, and so does `stat` of what was just listed.
"""

import glob
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What the kernel says of a process, or a descriptor of one, that was there a moment ago.
_GONE: Final = (FileNotFoundError, ProcessLookupError)


def files_below(folder: Path, pattern: str = "**/*") -> list[Path]:
    """The files in a folder whose path in it fits the pattern; none where there is no such folder."""
    names = glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True)  # noqa: PTH207 - see above
    return [path for path in (folder / name for name in names) if path.is_file()]


def sizes_below(folder: Path) -> list[int]:
    """The sizes of the files in a folder."""
    sizes = []
    for path in files_below(folder):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


def bytes_below(folder: Path, pattern: str = "**/*") -> bytes:
    """All that is in the files of a folder whose path in it fits the pattern."""
    contents = []
    for path in files_below(folder, pattern):
        with suppress(FileNotFoundError):
            contents.append(path.read_bytes())
    return b"".join(contents)


def descriptors_of(pid: int) -> dict[int, str]:
    """What a process has open, as the kernel names it; nothing of one that has ended."""
    found = {}
    with suppress(*_GONE):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(*_GONE):
                found[int(entry.name)] = str(entry.readlink())
    return found
