"""No codec inside our wheels is older than the release that mended its last serious hole.

libvips comes with its codecs linked in, so no package tells their versions. Some write theirs into the library; for the
others the wheel's own version speaks: which codecs a release was built from is written in its build recipe
(kleisauke/libvips-packaging, `versions.properties`).
"""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

Version = tuple[int, ...]

LIBVIPS, TRANSCODER = "pyvips-binary", "mozjpeg-lossless-optimization"
#: Wheel, codec, what stands before and after its version there, and the first release that is good enough.
WRITTEN = [
    (LIBVIPS, "libpng", rb"\0(1\.6\.\d+)\0", (1, 6, 56), "CVE-2026-33416, use after free; CVE-2026-25646 before it"),
    # CVE-2026-56209 of 3.14.0 needs layers that nobody encodes here, and raises the floor all the same.
    (LIBVIPS, "libaom", rb"AV1 Decoder v(\d+\.\d+\.\d+)", (3, 14, 1), "CVE-2026-56209; CVE-2024-5171 before it"),
    (
        LIBVIPS,
        "mozjpeg",
        rb"mozjpeg version (\d+\.\d+\.\d+)",
        (4, 0, 1),
        "CVE-2020-13790, heap over-read (in its PPM reader)",
    ),
    (
        TRANSCODER,
        "mozjpeg",
        rb"mozjpeg version (\d+\.\d+\.\d+)",
        (4, 0, 1),
        "CVE-2020-13790, heap over-read (in its PPM reader)",
    ),
]
#: The first release of libvips' wheel with codecs that are good enough, of those that write no version.
BUILT_FROM = (8, 18, 3)
RECIPE = {
    "libwebp": ((1, 6, 0), (1, 3, 2), "CVE-2023-4863, heap overflow, used in attacks"),
    "libheif": ((1, 23, 0), (1, 22, 1), "CVE-2026-32740, heap overflow by a grid; CVE-2026-49271, read out of bounds"),
    "libvips": ((8, 18, 3), (8, 18, 1), "CVE-2026-2913, heap overflow by a truncated length"),
}


def parsed(text: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def programs(package: str) -> list[bytes]:
    """The shared libraries that a wheel brought."""
    wheel = distribution(package)
    paths = [Path(str(wheel.locate_file(file))) for file in wheel.files or ()]
    return [path.read_bytes() for path in paths if re.search(r"\.(so|dylib|pyd|dll)\b", path.name)]


@pytest.mark.parametrize(("package", "codec", "mark", "floor", "reason"), WRITTEN)
def test_a_codec_that_tells_its_version_is_new_enough(
    package: str, codec: str, mark: bytes, floor: Version, reason: str
) -> None:
    found = {parsed(match.decode()) for program in programs(package) for match in re.findall(mark, program)}
    assert found, f"{package} no longer tells the version of {codec}: find another mark of it"
    assert min(found) >= floor, f"{codec} {min(found)} in {package}: {reason}"


@pytest.mark.parametrize("codec", RECIPE)
def test_a_codec_that_tells_none_came_with_a_wheel_that_is_new_enough(codec: str) -> None:
    built_from, floor, reason = RECIPE[codec]
    assert built_from >= floor, "the recipe's row must stand above the floor"
    assert parsed(distribution(LIBVIPS).version) >= BUILT_FROM, f"older wheels may hold {codec} below {floor}: {reason}"
