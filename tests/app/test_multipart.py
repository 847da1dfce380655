"""The streaming multipart parser: the same form however it is cut, the file never held, and what is refused."""

import email
import email.policy
import itertools
import tracemalloc
from collections.abc import Iterator, Sequence
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import httpx
import multipart as reference
import pytest
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.multipart import MAX_FIELD_BYTES, MAX_HEADER_BYTES, MAX_PARTS, MalformedForm, MultipartParser, boundary_of

BOUNDARY = b"cut-here"
DELIMITER = b"\r\n--" + BOUNDARY
#: What a file must hold to be taken for a boundary by a careless parser.
NEAR_MISSES = [DELIMITER[:end] for end in range(1, len(DELIMITER))]
NEAR_MISSES += [b"--" + BOUNDARY, b"\n--" + BOUNDARY, b"\r--" + BOUNDARY, b"\r\n-" + BOUNDARY, b"\r\n\r\n", b"--"]
Part = tuple[bytes, bytes]


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.events: list[str] = []
        self.views: list[memoryview] = []

    def begin(self) -> None:
        """Note it."""
        self.events.append("begin")

    def write(self, data: memoryview) -> None:
        """Hold the promises of `FileSink` and keep the bytes."""
        assert len(data), "an empty write"
        assert self.events == ["begin"], "a write outside the file"
        self.data += data
        self.views.append(data)

    def end(self) -> None:
        """Note it."""
        self.events.append("end")


def form(*parts: Part, boundary: bytes = BOUNDARY) -> bytes:
    """Write parts, each the lines of its head and its content, as one body."""
    body = b"".join(b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return body + b"--" + boundary + b"--\r\n"


def field(name: str, value: bytes = b"") -> Part:
    return f'Content-Disposition: form-data; name="{name}"'.encode(), value


def file(data: bytes) -> Part:
    return b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png', data


def parse(chunks: Sequence[bytes], boundary: bytes = BOUNDARY) -> tuple[list[tuple[str, str]], Recorder]:
    """Feed the chunks and finish: the fields and the sink."""
    sink = Recorder()
    parser = MultipartParser(boundary, sink)
    for chunk in chunks:
        parser.feed(chunk)
    parser.finish()
    assert parser.has_file == (sink.events == ["begin", "end"])
    return parser.fields, sink


def outcome(chunks: Sequence[bytes]) -> tuple[object, ...]:
    """Everything that can be seen of a parse, an error included."""
    sink = Recorder()
    parser = MultipartParser(BOUNDARY, sink)
    error = ""
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.finish()
    except MalformedForm as caught:
        error = str(caught)
    return parser.fields, parser.has_file, sink.data, sink.events, error


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


def cut_evenly(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def names_of(*heads: bytes) -> list[str]:
    """Parse parts with these heads: their names, the file's too."""
    fields, sink = parse([form(*((head, b"x") for head in heads))])
    return [name for name, _ in fields] + ["file"] * bool(sink.events)


TRICKY_FILE = b"".join([b"\x89PNG", *NEAR_MISSES, b"\r\r\n\r\r"])
TRICKY = b"preamble --cut-here\r\n-- and so on\r\n" + form(
    field("format", b"webp"),
    file(TRICKY_FILE),
    (b"content-disposition:form-data;name=quality\r\nX-Other: y", b""),
    field("url", "http://b\u00fccher.example/\r\n".encode()),
)
TRICKY += b"epilogue\r\n--cut-here\r\nrubbish"


# How a body is cut.


def test_a_form_is_read_whole() -> None:
    fields, sink = parse([TRICKY])
    assert fields == [("format", "webp"), ("quality", ""), ("url", "http://b\u00fccher.example/\r\n")]
    assert sink.data == TRICKY_FILE


def test_a_cut_at_any_byte_changes_nothing() -> None:
    whole = outcome([TRICKY])
    for place in range(len(TRICKY) + 1):
        assert outcome(cut(TRICKY, [place])) == whole, place


def test_chunks_of_any_size_change_nothing() -> None:
    whole = outcome([TRICKY])
    for size in range(1, len(TRICKY)):
        assert outcome(cut_evenly(TRICKY, size)) == whole, size


contents = st.lists(st.sampled_from(NEAR_MISSES) | st.binary(max_size=30), max_size=12).map(b"".join)
places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)
plain_names = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='"\\%'), max_size=20)
forms = st.lists(st.tuples(plain_names | st.just("file"), contents), max_size=6)


def expected_of(parts: Sequence[tuple[str, bytes]]) -> tuple[list[tuple[str, str]], bytes | None]:
    """Tell what must be read from these parts: the fields, and the first file."""
    fields, data = [], None
    for name, content in parts:
        if name == "file" and data is None:
            data = content
        else:
            fields.append((name, "" if name == "file" else content.decode("utf-8", "surrogateescape")))
    return fields, data


def parts_by_reference(body: bytes) -> Iterator[tuple[str, bytes]]:
    with reference.PushMultipartParser(BOUNDARY) as parser:
        name, content = "", b""
        for event in parser.parse(body):
            if isinstance(event, reference.MultipartSegment):
                name, content = event.name, b""
            elif event is not None:
                content += event
            else:
                yield name, content


@settings(deadline=None)
@given(forms, places)
def test_it_agrees_with_another_parser_however_the_body_is_cut(
    parts: list[tuple[str, bytes]], places: list[int]
) -> None:
    parts = [(name, content.replace(DELIMITER, b"")) for name, content in parts]
    parts = [(name, content) for name, content in parts if DELIMITER not in content]
    body = form(*(field(name, content) for name, content in parts))
    assert list(parts_by_reference(body)) == parts
    fields, sink = parse(cut(body, places))
    wanted_fields, wanted_file = expected_of(parts)
    assert fields == wanted_fields
    assert (sink.data if sink.events else None) == wanted_file


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([DELIMITER, b"--", b"\r\n", *NEAR_MISSES, *field("a"), *file(b"x")]), max_size=20), places
)
def test_a_broken_body_ends_in_the_same_state_however_it_is_cut(pieces: list[bytes], places: list[int]) -> None:
    body = b"--" + BOUNDARY + b"\r\n" + file(b"")[0] + b"\r\n\r\n" + b"".join(pieces)
    whole = outcome([body])
    assert outcome(cut(body, places)) == whole
    assert outcome(cut_evenly(body, 1)) == whole


# What real clients write.


def test_a_form_by_httpx_is_read() -> None:
    files = {"file": ('b\u00fccher "1" \\.png', b"\x89PNG", "image/png")}
    request = httpx.Request("POST", "http://x.test", data={"format": "webp", "max_width": "64"}, files=files)
    fields, sink = parse([request.read()], boundary_of(request.headers["content-type"]))
    assert (fields, sink.data) == ([("format", "webp"), ("max_width", "64")], b"\x89PNG")


def test_a_form_by_urllib3_is_read() -> None:
    file = ('b\u00fccher "1" \\.png', b"\x89PNG")
    body, content_type = urllib3.encode_multipart_formdata([("format", "webp"), ("file", file)])
    fields, sink = parse([body], boundary_of(content_type))
    assert (fields, sink.data) == ([("format", "webp")], b"\x89PNG")


def test_a_form_by_the_email_package_is_read_and_read_alike() -> None:
    folding = email.policy.SMTP
    message = MIMEMultipart("form-data", policy=folding)
    text = MIMEText("webp", "plain", "us-ascii", policy=folding)
    for part, name in ((text, "format"), (MIMEApplication(b"raw", _encoder=id, policy=folding), "file")):
        part.add_header("Content-Disposition", "form-data", name=name, filename="a long name " * 20)
        message.attach(part)
    head, _, body = message.as_bytes().partition(b"\r\n\r\n")
    fields, sink = parse([body], boundary_of(str(message["Content-Type"])))
    assert b"\r\n " in body, "this encoder folds long headers"
    assert (fields, sink.data) == ([("format", "webp")], b"raw")
    parsed = email.message_from_bytes(head + b"\r\n\r\n" + body, policy=folding)
    assert [part.get_payload(decode=True) for part in parsed.iter_parts()] == [b"webp", b"raw"]


# Names and heads.


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'Content-Disposition: form-data; name="format"', "format"),
        (b"Content-Disposition: form-data; name=format", "format"),
        (b'CONTENT-DISPOSITION: FORM-DATA; NAME="format"', "format"),
        (b'content-disposition:form-data;name="format";', "format"),
        (b'Content-Disposition:\t form-data ;\tname = "format" ; x=y', "format"),
        (b'Content-Disposition: form-data;\r\n name="format"', "format"),
        (b'X-First: 1\r\nContent-Disposition: form-data; name="format"\r\nContent-Length: 99', "format"),
        (b'Content-Disposition: form-data; name="f\\"o\\\\r\\mat"', 'f"o\\r\\mat'),
        (b'Content-Disposition: form-data; name="f%22"', "f%22"),
        (b'Content-Disposition: form-data; name=""', ""),
        (b"Content-Disposition: form-data; name=", ""),
        (b'Content-Disposition: form-data; name=" file"', " file"),
        (b'Content-Disposition: form-data; name="File"', "File"),
        ('Content-Disposition: form-data; name="gr\u00f6\u00dfe"'.encode(), "gr\u00f6\u00dfe"),
        (b'Content-Disposition: form-data; name="gr\xf6"', "gr\udcf6"),
        (b'Content-Disposition: form-data; name="url"; filename="a.txt"', "url"),
        (b"Content-Disposition: form-data; name=\"url\"; filename*=UTF-8''%e2%82%ac.txt", "url"),
        (b'Content-Disposition: form-data; name="file"', "file"),
        (b'Content-Disposition: form-data; filename="a.png"; name="file"', "file"),
        (b'Content-Disposition: form-data; name="file"; filename=""', "file"),
        (b'Content-Disposition: form-data; name="file"; filename=my photo.png', "file"),
        ('Content-Disposition: form-data; name="file"; filename="\u56fe.png"'.encode(), "file"),
        (b'Content-Disposition: form-data; name="file"; filename="\xff.png"', "file"),
        (b'Content-Disposition: form-data; name="file"; filename="a; name=\\"url\\".png"', "file"),
        (b'Content-Disposition: form-data; name="file"; filename="a; name=url"', "file"),
        (b'Content-Disposition: form-data; name="file"; filename="C:\\dir\\"', "file"),
        (b'Content-Disposition: form-data; filename="C:\\dir\\"; name="file"', "file"),
        (b'Content-Disposition: form-data; name="url"\r\nContent-Transfer-Encoding: 8BIT', "url"),
        (b'Content-Disposition: form-data; name="file"\r\ncontent-transfer-encoding: binary', "file"),
    ],
)
def test_the_name_decides_however_it_is_written(head: bytes, name: str) -> None:
    assert names_of(head) == [name]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; filename="a"',
        b"Content-Disposition: form-data; name*=UTF-8''file",
        b'Content-Disposition: attachment; name="file"',
        b'Content-Disposition: name="file"',
        b'Content-Disposition: form-data; name="file',
        b'Content-Disposition: form-data; name=file"',
        b'Content-Disposition: form-data; name="fi"le"',
        b"Content-Disposition: form-data; name",
        b'Content-Disposition: form-data; name="file"; name="url"',
        b'Content-Disposition: form-data; name="file"; NAME="file"',
        b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"',
        b'Content-Disposition: form-data; name="a"\r\ncontent-transfer-encoding: base64',
        b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: quoted-printable',
        b'Content-Disposition : form-data; name="a"',
        b'Content Disposition: form-data; name="a"',
        b'Content-Disposition: form-data; name="a"\r\nno colon',
        b'Content-Disposition: form-data; name="a"\r\n: no name',
        b'Content-Disposition: form-data; name="a\nb"',
        b'Content-Disposition: form-data; name="a\rb"',
        b'Content-Disposition: form-data; name="a\0b"',
        b'Content-Disposition: form-data; name="a"\nX: y',
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedForm):
        parse([form((head, b"x"))])


header_text = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0x2FF), max_size=25)


@settings(deadline=None)
@given(header_text, st.none() | header_text, st.none() | header_text)
def test_the_usual_spelling_of_a_head_is_no_special_case(name: str, filename: str | None, kind: str | None) -> None:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += f'; filename="{filename}"' * (filename is not None) + f"\r\nContent-Type: {kind}" * (kind is not None)
    unusual = head.replace("Content-Disposition: form-data", "content-disposition:  Form-Data")
    usual_body, unusual_body = (form((text.encode(), b"x"), field("after")) for text in (head, unusual))
    assert outcome([usual_body]) == outcome([unusual_body])


def test_a_name_stays_what_it_was_when_the_next_part_begins() -> None:
    fields, _ = parse([form(field("a", b"1"), field("a", b"2"), field("", b""), field("b", b"3"))])
    assert fields == [("a", "1"), ("a", "2"), ("", ""), ("b", "3")]


# The file.


def test_the_file_is_handed_on_as_slices_of_the_chunks() -> None:
    body = form(file(bytes(range(256)) * 100))
    chunks = cut_evenly(body, 5000)
    _, sink = parse(chunks)
    assert all(any(view.obj is chunk for chunk in chunks) for view in sink.views)


def test_an_empty_file_begins_and_ends() -> None:
    _, sink = parse([form(file(b""))])
    assert (sink.events, sink.data) == (["begin", "end"], b"")


def test_a_second_file_is_dropped_and_told_as_a_field_in_its_place() -> None:
    fields, sink = parse([form(field("a", b"1"), file(b"one"), field("b", b"2"), file(b"two"), field("c", b"3"))])
    assert fields == [("a", "1"), ("b", "2"), ("file", ""), ("c", "3")]
    assert sink.data == b"one"


def test_has_file_is_known_as_soon_as_the_file_begins() -> None:
    body = form(file(b"data"))
    parser = MultipartParser(BOUNDARY, Recorder())
    parser.feed(body[: body.index(b"data") - 1])
    assert not parser.has_file
    parser.feed(body[body.index(b"data") - 1 :])
    assert parser.has_file


def test_what_a_sink_raises_reaches_the_one_who_feeds() -> None:
    class Full(Recorder):
        def write(self, data: memoryview) -> None:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        MultipartParser(BOUNDARY, Full()).feed(form(file(b"x")))


def test_the_parser_never_holds_more_than_a_boundary_of_the_file() -> None:
    sink = Recorder()
    parser = MultipartParser(BOUNDARY, sink)
    largest = 0
    for chunk in cut_evenly(form(file(b"\r\n--cut-her" * 3000 + bytes(50_000))), 7):
        parser.feed(chunk)
        if parser.has_file:
            largest = max(
                largest, *(len(held) for held in vars(parser).values() if isinstance(held, bytes | bytearray))
            )
    assert largest <= len(DELIMITER)


def test_memory_does_not_grow_with_the_file_or_the_fields() -> None:
    class Drain(Recorder):
        def write(self, data: memoryview) -> None:
            pass

    chunk = bytes(65_536)
    parser = MultipartParser(BOUNDARY, Drain())
    head = form(file(b"")).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    tracemalloc.start()
    try:
        parser.feed(chunk * 16 + b"\r\n" + head)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(200):
            parser.feed(chunk)
        parser.feed(b"\r\n" + form(field("format"))[: -len(b"\r\n--cut-here--\r\n")])
        for _ in range(200):
            parser.feed(chunk)
        assert tracemalloc.get_traced_memory()[1] - before < 2 * len(chunk)
    finally:
        tracemalloc.stop()


# Ends and bounds.


@pytest.mark.parametrize(
    "body", [b"--cut-here--", b"--cut-here--\r\n", b"\r\n--cut-here--", b"x\r\n--cut-here--  \r\nbye"]
)
def test_an_empty_form_is_a_form(body: bytes) -> None:
    fields, sink = parse(cut_evenly(body, 1))
    assert (fields, sink.events) == ([], [])


def test_a_body_that_is_cut_anywhere_before_its_end_is_refused() -> None:
    body = form(field("format", b"webp"), file(b"data")).removesuffix(b"\r\n")
    parse([body])
    for end in range(len(body)):
        with pytest.raises(MalformedForm, match="ends before its final boundary"):
            parse([body[:end]])


def test_a_file_that_was_cut_never_ends() -> None:
    *_, events, _ = outcome([form(file(b"data"))[:-15]])
    assert events == ["begin"]


@pytest.mark.parametrize(
    "body",
    [
        form(field("a", b"1")).replace(b"\r\n", b"\n"),
        form(field("a", b"1")).replace(b"\r\n", b"\r"),
        form(field("a", b"1")).replace(b"here\r\n", b"here\n"),
        form(field("a", b"1")).replace(b"here\r\n", b"here \tx\r\n"),
        form(field("a", b"1")).replace(b"here--", b"here-"),
        form(file(b"\r\n--cut-hereafter")),
    ],
)
def test_a_line_that_begins_with_the_boundary_is_a_boundary_line_or_an_error(body: bytes) -> None:
    with pytest.raises(MalformedForm, match="neither CRLF nor"):
        parse([body])


def test_white_space_may_follow_a_boundary() -> None:
    body = form(field("a", b"1"), field("b", b"2")).replace(b"cut-here", b"cut-here \t ")
    assert parse(cut_evenly(body.replace(b"cut-here \t --", b"cut-here--\t"), 1))[0] == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_the_headers_of_a_part_are_bounded(size: int) -> None:
    start = b'\r\nContent-Disposition: form-data; name="a"; x="'
    for excess in (0, 1):
        head = start + b"y" * (MAX_HEADER_BYTES - len(start) - len(b'"\r\n\r\n') + excess) + b'"'
        chunks = cut_evenly(form((head.removeprefix(b"\r\n"), b"1")), size)
        if excess:
            with pytest.raises(MalformedForm, match="headers of a part"):
                parse(chunks)
        else:
            assert parse(chunks)[0] == [("a", "1")]


def test_the_number_of_parts_is_bounded() -> None:
    assert len(parse([form(*[field("a")] * MAX_PARTS)])[0]) == MAX_PARTS
    with pytest.raises(MalformedForm, match="parts"):
        parse([form(*[field("a")] * (MAX_PARTS + 1))])


@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_of_a_long_field_one_byte_too_many_is_kept(size: int) -> None:
    for length in (MAX_FIELD_BYTES - 1, MAX_FIELD_BYTES, MAX_FIELD_BYTES + 1, 3 * MAX_FIELD_BYTES):
        fields, _ = parse(cut_evenly(form(field("url", b"u" * length), field("a", b"1")), size))
        assert [(name, len(value)) for name, value in fields] == [("url", min(length, MAX_FIELD_BYTES + 1)), ("a", 1)]


def test_bytes_that_are_no_utf_8_stay_recognisable() -> None:
    fields, _ = parse([form(field("url", b"caf\xe9"))])
    assert fields == [("url", "caf\udce9")]


# The boundary in the Content-Type.


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="abc"', b"abc"),
        ("Multipart/Form-Data;BOUNDARY=aBc", b"aBc"),
        ('multipart/form-data; charset=utf-8; boundary="a b:=?/"', b"a b:=?/"),
        ("multipart/form-data; boundary=----=_Part_1_2.3/x:y ; charset=utf-8", b"----=_Part_1_2.3/x:y"),
        ('multipart/form-data; boundary="a\\"b"', b'a"b'),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_a_boundary_is_read(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain; boundary=abc",
        "multipart/mixed; boundary=abc",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="abc',
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="abc "',
        "multipart/form-data; boundary=abc; boundary=abd",
        "multipart/form-data; boundary=\u00fc",
        'multipart/form-data; boundary="a\r\nb"',
        'multipart/form-data; boundary="a\tb"',
        "multipart/form-data boundary=abc",
    ],
)
def test_a_boundary_that_is_none_is_refused(content_type: str) -> None:
    with pytest.raises(MalformedForm):
        boundary_of(content_type)
