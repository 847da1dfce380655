"""What a run found, and when, where and with what."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import msgspec

from perf.machine import describe_commit, describe_machine, find_versions
from perf.quality.measure import FORMATS, METHODS, Row, Settings
from perf.quality.survey import Survey
from pixels.formats import FormatName
from pixels.vips import pyvips

#: What makes the bytes: libvips' wheel carries mozjpeg, libwebp, libheif and aom.
_PACKAGES: Final = ("pyvips-binary", "pyjpegli", "mozjpeg-lossless-optimization", "numba", "numpy")


class Result(msgspec.Struct, frozen=True):
    """A run: when, where and with what, and each row."""

    date: str
    commit: str
    machine: str
    versions: dict[str, str]
    settings: Settings
    folders: list[str]
    fixed_qualities: dict[FormatName, int]
    skipped: dict[str, str]
    rows: list[Row]

    @classmethod
    def now(cls, settings: Settings, folders: list[str], survey: Survey) -> Self:
        """Add to the findings when, where and with what they were made."""
        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        return cls(
            date=datetime.now(UTC).date().isoformat(),
            commit=describe_commit(),
            machine=describe_machine(),
            versions={"Python": platform.python_version(), "libvips": libvips, **find_versions(_PACKAGES)},
            settings=settings,
            folders=folders,
            fixed_qualities=survey.fixed_qualities,
            skipped=survey.skipped,
            rows=sorted(survey.rows, key=_place),
        )


def _place(row: Row) -> tuple[int, str, int]:
    return FORMATS.index(row.format), row.image, METHODS.index(row.method)


def write(result: Result, path: Path) -> None:
    """Write all of `result` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
