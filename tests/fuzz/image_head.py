"""Atheris target: what reads the first bytes of an upload on the event loop, before any decoder.

Run it for as long as wanted: `python -m tests.fuzz.image_head -max_total_time=600`.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["pixels.sniff", "pixels.png_chunks"]):
    from pixels import png_chunks
    from pixels.errors import UnsupportedFormat
    from pixels.sniff import HEAD_BYTES, is_animated_png, recognise, sniff


def check(data: bytes) -> None:
    """Fail unless any bytes are named alike from any kind of buffer, and all walks through them end."""
    found = sniff(data)
    assert found == sniff(memoryview(data)) == sniff(bytearray(data))
    # A list of brands may be longer than that.
    if found is not None and found.format != "avif":
        assert sniff(data[:HEAD_BYTES]) == found
    recognised = None
    with contextlib.suppress(UnsupportedFormat):
        recognised = recognise(memoryview(data))
    assert recognised == found
    # The walk takes a PNG's signature for granted.
    png = memoryview(png_chunks.SIGNATURE + data)
    at = len(png_chunks.SIGNATURE)
    for chunk in png_chunks.walk(png):
        assert len(chunk.kind) == 4
        assert chunk.whole == png[at : at + len(chunk.whole)]
        at += len(chunk.whole)
        chunk.is_intact()
    assert at <= len(png)
    is_animated_png(png)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
