"""All hostile files, and which of them are small work."""

from collections.abc import Iterator
from typing import Final

from tests.hostile import crafted_foreign, crafted_heif, crafted_jpeg, crafted_png, crafted_webp
from tests.hostile.case import Case

#: Parts of the names of files that take seconds to be made or to be answered: near the limit of pixels, or megabytes.
_HEAVY: Final = (
    *(
        "-megapixels",
        "million",
        "-mb-",
        "megabytes",
        "bomb",
        "99000",
        "90000",
        "60000",
        "-scans",
        "-huge",
        "fill-bytes",
    ),
    *("65500", "16383", "1-by-", "frames-of-", "rubbish-between", "progressive", "105", "5000", "-large", "distinct"),
    *("full-parts", "padding", "pixels-too-many", "100000", "10000-frames", "restart-4"),
)


def all_cases() -> Iterator[Case]:
    """Every hostile file."""
    for part in (crafted_jpeg, crafted_png, crafted_webp, crafted_heif, crafted_foreign):
        yield from part.cases()


def light_cases() -> Iterator[Case]:
    """Those that are made and answered at once, and those that were slow until they were refused."""
    for case in all_cases():
        if not any(word in case.name for word in _HEAVY) or case.name in MENDED:
            yield case


#: What took more than ten seconds once, or more memory than a process has, and is refused now.
MENDED: Final = frozenset(
    (
        "jpeg-3000-scans-repeated",
        "jpeg-claims-much-has-none",
        "webp-100000-frames",
        "avif-many-large-frames",
        "avif-bytes-in-65000-parts",
    )
)
