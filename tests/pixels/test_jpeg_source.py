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


def one_block(bits: int) -> bytes:
    """A grey JPEG of 8 by 8 pixels with one AC coefficient: the largest of so many bits."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body

    def huffman(table: int, *symbols: int) -> bytes:
        counts = bytes(1 if length < len(symbols) else 0 for length in range(16))
        return segment(0xC4, bytes((table, *counts, *symbols)))

    # The codes: no DC difference, the coefficient's size, its bits, the end of the block.
    scan = "0" + "0" + "1" * bits + "10"
    scan += "1" * (-len(scan) % 8)
    return b"".join(
        (
            b"\xff\xd8",
            segment(0xDB, bytes((0, *[1] * 64))),
            segment(0xC0, b"\x08\0\x08\0\x08\x01\x01\x11\0"),
            huffman(0x00, 0),
            huffman(0x10, bits, 0),
            segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            int(scan, 2).to_bytes(len(scan) // 8, "big").replace(b"\xff", b"\xff\0"),
            b"\xff\xd9",
        )
    )


@pytest.mark.parametrize("bits", [10, 11])
def test_coefficients_that_the_library_cannot_write_end_no_process(bits: int) -> None:
    """It would end the process of the test itself."""
    source = one_block(bits)
    assert opened(source).size == (8, 8)
    assert repack(source) == source
