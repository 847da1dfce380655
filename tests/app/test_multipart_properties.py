"""The multipart parser against another one, on right forms and on damaged ones, however a body is cut.

`test_multipart.py` holds the rules; here chance looks for what they forgot. With FUZZ_S set it looks longer.
"""

import os
from collections.abc import Sequence

import multipart as reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.api.multipart import FILE, MAX_FIELD_BYTES, MAX_PARTS, MalformedForm, MultipartParser

LONG = bool(os.environ.get("FUZZ_S"))
BOUNDARY = b"cut"
DELIMITER = b"\r\n--" + BOUNDARY
#: What parsers stumble over: the grammar's own bytes, whole and in part.
SCRAPS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"-",
    b"--",
    DELIMITER,
    DELIMITER + b"--",
    DELIMITER[:-1],
    b"--" + BOUNDARY,
]
SCRAPS += [b'"', b"\\", b";", b":", b"=", b" ", b"\t", b"\0", b"\xff", b"name=", b'; name="file"', b"a: b\r\n"]
SCRAPS += [b'Content-Disposition: form-data; name="file"', b"Content-Transfer-Encoding: base64"]
Part = tuple[str, bytes]
Outcome = tuple[list[Part], str]


class Collector:
    """Takes the file, and holds its parser to the protocol of `FileSink`."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.is_whole = False

    def begin(self) -> None:
        assert self.data is None
        self.data = b""

    def write(self, data: memoryview) -> None:
        assert self.data is not None
        assert not self.is_whole
        assert len(data)
        self.data += data

    def end(self) -> None:
        assert not self.is_whole
        self.is_whole = True


def parse(chunks: Sequence[bytes]) -> tuple[MultipartParser, Collector, str]:
    """Feed our parser; return it, its file, and what it found wrong."""
    sink = Collector()
    parser = MultipartParser(BOUNDARY, sink)
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.finish()
    except MalformedForm as error:
        return parser, sink, str(error)
    return parser, sink, ""


def outcome(chunks: Sequence[bytes]) -> tuple[object, ...]:
    """Everything that can be seen from outside of one parse."""
    parser, sink, error = parse(chunks)
    return parser.fields, parser.has_file, sink.data, sink.is_whole, error


def by_reference(body: bytes) -> list[Part] | None:
    """Read a body with the package `multipart` at its strictest; None where it refuses."""
    parts, name, content = [], "", b""
    try:
        with reference.PushMultipartParser(BOUNDARY, strict=True) as parser:
            for event in parser.parse(body):
                if isinstance(event, reference.MultipartSegment):
                    name, content = event.name, b""
                elif event is not None:
                    content += event
                else:
                    parts.append((name, content))
    except reference.ParserError:
        return None
    return parts


def seen_as(parts: Sequence[Part]) -> tuple[list[Part], bytes | None]:
    """Tell what our parser must make of these parts: the fields, and the first file."""
    fields: list[Part] = []
    data = None
    for name, content in parts:
        if name != FILE:
            fields.append((name, content[: MAX_FIELD_BYTES + 1]))
        elif data is None:
            data = content
        else:
            fields.append((name, b""))
    return fields, data


def fields_of(parser: MultipartParser) -> list[Part]:
    return [(name, value.encode("utf-8", "surrogateescape")) for name, value in parser.fields]


# The other parser takes a backslash only before a quotation mark for an escape.
characters = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\") | st.just('"')
names = st.just(FILE) | st.text(characters, max_size=9)
contents = st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=20), max_size=8).map(b"".join)
extras = st.sampled_from((b"", b'; filename="a.png"', b'; filename="a.png"\r\nContent-Type: image/png', b"\r\nX-A: b"))
preambles = st.sampled_from((b"", b"\r\n", b"before\r\n", b"--\r\n"))
epilogues = st.sampled_from((b"", b"\r\n", b"\r\nafter", b"\r\n--cut\r\n"))


@st.composite
def right_forms(draw: st.DrawFn) -> tuple[list[Part], bytes]:
    """A form's parts, none of which holds a delimiter, and the body of it."""
    parts = [(name, content) for name, content in draw(st.lists(st.tuples(names, contents), max_size=5))]
    parts = [(name, content) for name, content in parts if DELIMITER not in b"\r\n" + content]
    body = draw(preambles)
    for name, content in parts:
        quoted = name.replace('"', r"\"").encode()
        head = b'Content-Disposition: form-data; name="%s"%s' % (quoted, draw(extras))
        body += b"--%s\r\n%s\r\n\r\n%s\r\n" % (BOUNDARY, head, content)
    return parts, body + b"--%s--" % BOUNDARY + draw(epilogues)


@st.composite
def damaged_forms(draw: st.DrawFn) -> bytes:
    """A right form into which scraps were put, from which bytes were cut, or where some were changed."""
    body = bytearray(draw(right_forms())[1])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        until = at + draw(st.sampled_from((0, 0, 1, 2, 30)))
        body[at:until] = draw(st.sampled_from(SCRAPS) | st.binary(max_size=3))
    return bytes(body)


def examples(count: int, *, long: int) -> settings:
    """Say how many are tried: the same ones in every usual run, others in every long one."""
    return settings(deadline=None, max_examples=long if LONG else count, derandomize=not LONG, database=None)


@examples(100, long=3000)
@given(right_forms(), st.data())
def test_a_right_form_is_read_as_the_other_parser_reads_it(form: tuple[list[Part], bytes], data: st.DataObject) -> None:
    parts, body = form
    end = body.index(b"--%s--" % BOUNDARY) + len(BOUNDARY) + 4
    assert parse([body[: data.draw(st.integers(0, end - 1), "cut short")]])[2]
    parser, sink, error = parse([body])
    assert not error
    assert (fields_of(parser), sink.data) == seen_as(parts)
    assert by_reference(body) == parts


@examples(40, long=1000)
@given(right_forms() | damaged_forms().map(lambda body: ([], body)))
def test_a_cut_at_any_byte_changes_nothing(form: tuple[list[Part], bytes]) -> None:
    _, body = form
    whole = outcome([body])
    for place in range(len(body) + 1):
        assert outcome([body[:place], body[place:]]) == whole, place
    assert outcome([body[at : at + 1] for at in range(len(body))]) == whole
    assert outcome([piece for at in range(len(body)) for piece in (b"", body[at : at + 1])]) == whole


@examples(200, long=10_000)
@given(damaged_forms())
def test_what_both_parsers_take_they_read_alike(body: bytes) -> None:
    """Somebody's proxy may read the form before us: it must not see other parameters than we do."""
    # Of these ours makes one backslash, the other parser two.
    assume(rb"\\" not in body)
    parser, sink, error = parse([body])
    parts = by_reference(body)
    if not error and parts is not None:
        assert (fields_of(parser), sink.data) == seen_as(parts)


@examples(100, long=3000)
@given(st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=20), max_size=60), st.integers(1, 40))
def test_any_bytes_end_in_a_form_or_in_malformed_form(pieces: list[bytes], size: int) -> None:
    body = b"--" + BOUNDARY + b"".join(pieces)
    parser, sink, error = parse([body[at : at + size] for at in range(0, len(body), size)])
    assert len(parser.fields) <= MAX_PARTS
    assert parser.has_file == (sink.data is not None)
    assert error or not parser.has_file or sink.is_whole
    assert error.isprintable()
