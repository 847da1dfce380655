"""Atheris target: the multipart parser and the reading of a boundary, on any bytes and any cut.

Run it for as long as wanted: `python -m tests.fuzz.multipart_form -max_total_time=600`.
"""

import sys

import atheris

with atheris.instrument_imports(include=["app.api.multipart"]):
    from app.api import multipart
    from app.api.multipart import MalformedForm, MultipartParser, boundary_of

# Limits so low that chance comes to both sides of each.
multipart.MAX_PARTS = 3
multipart.MAX_HEADER_BYTES = 128
multipart.MAX_FIELD_BYTES = 16
multipart._HEADER_STEP_BYTES = 16
BOUNDARY = b"b"
DELIMITER = b"\r\n--" + BOUNDARY
#: The most that a parser keeps of what it was fed, beside the delimiter that it looks for: one header block, one
#: field, a boundary.
MAX_HELD_BYTES = multipart.MAX_HEADER_BYTES + multipart.MAX_FIELD_BYTES + 1 + len(DELIMITER)


class Sink:
    """Takes the file and holds the parser to the order of `FileSink`."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = bytearray()

    def begin(self) -> None:
        assert not self.events
        self.events.append("begin")

    def write(self, data: memoryview) -> None:
        assert self.events == ["begin"]
        assert len(data)
        self.data += data

    def end(self) -> None:
        assert self.events == ["begin"]
        self.events.append("end")


def outcome(body: bytes, size: int) -> tuple[object, ...]:
    """Parse a body in chunks of `size`: all that can be seen of it."""
    sink = Sink()
    parser = MultipartParser(BOUNDARY, sink)
    error = ""
    try:
        for at in range(0, len(body), size):
            parser.feed(body[at : at + size])
            held = sum(len(value) for value in vars(parser).values() if isinstance(value, bytes | bytearray))
            assert held <= MAX_HELD_BYTES + len(DELIMITER)
        parser.finish()
    except MalformedForm as caught:
        error = str(caught)
    assert len(parser.fields) <= multipart.MAX_PARTS
    assert all(len(value) <= multipart.MAX_FIELD_BYTES + 1 for _, value in parser.fields)
    assert parser.has_file == bool(sink.events)
    return parser.fields, sink.events, bytes(sink.data), error


def check(data: bytes) -> None:
    """Fail unless the size of the chunks, which the first byte chooses, changes nothing of what the others say."""
    if not data:
        return
    size, rest = 1 + data[0] % 64, data[1:]
    if size == 1:
        try:
            boundary = boundary_of("multipart/form-data" + rest.decode("latin-1"))
        except MalformedForm:
            return
        assert 1 <= len(boundary) <= 70
        return
    # Mostly as behind a first boundary, so that chance need not find that again and again.
    body = rest if data[0] >= 192 else DELIMITER[2:] + b"\r\n" + rest
    assert outcome(body, len(body) + 1) == outcome(body, size) == outcome(body, 1)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
