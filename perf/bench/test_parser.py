"""The multipart parser, and the package `multipart` on the same bytes: the strictest of the others."""

from collections.abc import Callable, Sequence

import multipart
import pytest

from app.api.multipart import MultipartParser
from perf.bench.pace import Pace
from perf.running import BOUNDARY, wrap_in_form

#: A picture of a common size, as three ways of receiving it; and a form of fields with a tiny one.
FILE_BYTES = 229_000
FIELDS = {"quality": "75", "format": "webp", "max_width": "1200", "max_height": "800", "strip_metadata": "true"}
CHUNKS = {"in one piece": FILE_BYTES * 2, "in 64 kB": 65_536, "in 1.4 kB": 1_448}


class Sink:
    """Counts the file's bytes."""

    def __init__(self) -> None:
        self.size = 0

    def begin(self) -> None:
        """Take note of nothing."""

    def write(self, data: memoryview) -> None:
        """Count them."""
        self.size += len(data)

    def end(self) -> None:
        """Take note of nothing."""


def parse(pieces: Sequence[bytes]) -> int:
    """Parse with ours; the file's bytes."""
    sink = Sink()
    parser = MultipartParser(BOUNDARY.encode(), sink)
    for piece in pieces:
        parser.feed(piece)
    parser.finish()
    return sink.size


def parse_by_package(pieces: Sequence[bytes]) -> int:
    """Parse with `multipart`; the bytes of the last part, which is the file."""
    size = 0
    with multipart.PushMultipartParser(BOUNDARY) as parser:
        for piece in pieces:
            for event in parser.parse(piece):
                if isinstance(event, multipart.MultipartSegment):
                    size = 0
                elif event is not None:
                    size += len(event)
    return size


def cut(size: int, chunk: int) -> list[bytes]:
    """Return the body of an upload in pieces, with a file of so many bytes that has some line ends."""
    before, after = wrap_in_form(FIELDS)
    line = bytes(range(256)) + b"\r\n--"
    body = before + (line * (size // len(line) + 1))[:size] + after
    return [body[at : at + chunk] for at in range(0, len(body), chunk)]


@pytest.mark.parametrize("parser", [parse, parse_by_package], ids=["ours", "multipart"])
@pytest.mark.parametrize("pieces", CHUNKS)
def test_upload(pace: Pace, parser: Callable[[Sequence[bytes]], int], pieces: str) -> None:
    body = cut(FILE_BYTES, CHUNKS[pieces])
    assert parser(body) == FILE_BYTES
    pace(lambda: parser(body))


@pytest.mark.parametrize("parser", [parse, parse_by_package], ids=["ours", "multipart"])
def test_fields(pace: Pace, parser: Callable[[Sequence[bytes]], int]) -> None:
    """Of a form whose file is next to nothing."""
    body = cut(300, 1 << 20)
    pace(lambda: parser(body))
