"""What a JPEG source tells, and how it is packed better."""

import numpy as np
import pytest

from pixels.jpeg_source import estimate_quality, repack
from tests.pixels.pictures import encoded, exif, noise, opened, photo


@pytest.mark.parametrize("quality", [20, 35, 49, 50, 51, 75, 90, 97])
def test_the_quality_is_read_from_the_tables(quality: int) -> None:
    found = estimate_quality(memoryview(encoded(photo(), "jpeg", quality=quality)))
    assert found is not None
    assert abs(found - quality) <= 2


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb", b"\xff\xd8\xff\xdb\0\0\0", b"\xff\xd8\xff\xda\0\2", b"PNG"]
)
def test_without_tables_there_is_no_quality(data: bytes) -> None:
    assert estimate_quality(memoryview(data)) is None


@pytest.mark.parametrize(
    "options", [{"progressive": False}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_packing_changes_bytes_only(mode: str, options: dict[str, int]) -> None:
    source = encoded(photo().convert(mode), "jpeg", quality=80, exif=exif(), **options)
    packed = repack(memoryview(source))
    assert len(packed) < len(source)
    assert np.array_equal(opened(packed), opened(source))
    assert opened(packed).getexif() == opened(source).getexif()


def test_what_cannot_be_packed_better_stays() -> None:
    once = bytes(repack(encoded(noise(64, 48), "jpeg", quality=80)))
    assert len(repack(once)) <= len(once)
