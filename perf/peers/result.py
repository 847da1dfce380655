"""What the last run of each work found, kept in `.peers/`, so that a run can do a part of the works."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from perf.machine import describe_commit, describe_machine
from perf.peers.rounds import Found
from perf.peers.works import Work
from perf.quality.judge import JudgeName


class WorkResult(msgspec.Struct, frozen=True):
    """One work, and when, where and with what it was done.

    Attributes
    ----------
    peers
        For each peer its versions, or why it is missing.
    load
        Processes that wanted a core in the minute before, as the kernel averages them: how quiet the machine was.
    """

    date: str
    commit: str
    machine: str
    python: str
    load: float
    judge: JudgeName
    peers: dict[str, str]
    missing: dict[str, str]
    found: Found

    @classmethod
    def now(
        cls,
        found: Found,
        *,
        judge: JudgeName,
        load: float,
        peers: Mapping[str, str],
        missing: Mapping[str, str],
    ) -> Self:
        """Add when and where to what was found."""
        return cls(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            commit=describe_commit(),
            machine=describe_machine(),
            python=platform.python_version(),
            load=round(load, 1),
            judge=judge,
            peers=dict(peers),
            missing=dict(missing),
            found=found,
        )


def read_results(path: Path) -> dict[str, WorkResult]:
    """Return what is kept, by the names of works; nothing where there is no file, or one of another make."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, WorkResult])
    except (FileNotFoundError, msgspec.DecodeError):
        return {}


def keep_result(path: Path, work: Work, result: WorkResult) -> None:
    """Put one work's result in the place of the one before."""
    kept = read_results(path) | {work.name: result}
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1))
    draft.replace(path)
