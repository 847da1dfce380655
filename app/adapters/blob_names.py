"""What may be the name of a blob, whichever store keeps it."""

import re
from typing import Final

#: Keys of S3 have at most 1024 bytes, the store's prefix included.
_MAX_CHARACTERS: Final = 512
#: Not `.` or `..`. Names of files have at most 255 bytes.
_PART: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]{1,200}"
_NAME: Final = re.compile(f"{_PART}(?:/{_PART})*")


def check_name(name: str) -> str:
    """Return `name`.

    Raises
    ------
    ValueError
        It is no name, as `Blobs` tells: it could lead out of the store.
    """
    if len(name) > _MAX_CHARACTERS or not _NAME.fullmatch(name):
        raise ValueError(f"Not the name of a blob: {name[:_MAX_CHARACTERS]!r}")
    return name
