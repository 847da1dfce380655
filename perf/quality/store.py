"""Keeps what was found on disk, so that a run goes on where it was stopped and a second one is quick."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

#: Not Final: tests keep elsewhere.
FOLDER = Path(__file__).parents[2] / ".quality"
Kept = TypeVar("Kept")


def recall(name: str, key: tuple[object, ...], kind: type[Kept], find: Callable[[], Kept]) -> Kept:
    """Return what is kept under `name` and `key`; where there is nothing, `find` it and keep that.

    `key` has to hold everything that the finding depends on.
    """
    digest = hashlib.sha256()
    for part in key:
        digest.update(hashlib.sha256(part if isinstance(part, bytes) else repr(part).encode()).digest())
    path = FOLDER / name / f"{digest.hexdigest()}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        found = find()
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}")
    written.write_bytes(msgspec.json.encode(found))
    # Another process may read this file now, or write the same.
    written.replace(path)
    return found


def digest_folder(folder: Path) -> str:
    """Return what changes with any edit of a Python file below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
