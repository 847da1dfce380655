r"""multipart/form-data (RFC 7578) parsed as it arrives: the file goes straight to a sink, never into a buffer.

What was left open by the RFCs is decided thus:

- Lines end with CRLF. A bare CR or LF in a header, or after a boundary, is an error: a form that two readers could
  split differently is refused. A line that begins with the boundary and goes on with anything else is an error too.
- The name decides what a part is, not its ``filename``: browsers add one to every Blob, and some clients leave it
  out of files. The part named ``file`` is the file, any other is text; ``filename`` and ``filename*`` are not used.
- In a quoted name ``\"`` and ``\\`` are escapes; any other backslash stands for itself, as in a Windows path.
- A ``Content-Transfer-Encoding`` other than the identity is refused, because the bytes would be taken undecoded.
- The preamble and the epilogue are ignored, of any length: whoever feeds the parser bounds the body.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

#: The part that is streamed.
FILE: Final = "file"
#: The API has 8 parameters, so that a form with more parts is certain to be refused; room for a useful message.
MAX_PARTS: Final = 64
#: From one boundary to the part's first byte: room for a long file name in two encodings.
MAX_HEADER_BYTES: Final = 8192
#: A text field's longest value; of a longer one, one byte more is kept, so that its length tells.
MAX_FIELD_BYTES: Final = 8192
#: Headers are copied in steps of this size: most are shorter, and what follows them needs no copy.
_HEADER_STEP_BYTES: Final = 256

_BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")
# The head that browsers, curl and most libraries write: the general grammar below would take ten times as long.
_USUAL_HEAD = re.compile(
    r"""\r\nContent-Disposition:[ ]form-data;[ ]name="([^"\\\x00-\x1f\x7f]*+)"
    (?: ;[ ]filename="[^"\\\x00-\x1f\x7f]*+" )?
    (?: \r\nContent-Type:[ ][^\x00-\x1f\x7f]*+ )?""",
    re.VERBOSE,
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FOLD = re.compile(r"\r\n(?=[ \t])")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ESCAPE = re.compile(r'\\(["\\])')
# Possessive throughout, so that no header takes more than linear time. The second kind of quoted string is one that
# ends in a backslash, as browsers write it: they escape nothing with backslashes.
_PARAMETER = re.compile(
    r""";[ \t]*+
    (?: ([!#$%&'*+\-.^_`|~0-9A-Za-z]++) [ \t]*+=[ \t]*+
        ( "(?:[^"\\]++|\\.)*+" | "[^"]*+" | [^";]*+ )
    )?
    [ \t]*+(?=;|\Z)""",
    re.VERBOSE,
)
_UNENDED_BOUNDARY: Final = "A boundary is followed by neither CRLF nor '--'."
_IDENTITY_ENCODINGS = frozenset({"7bit", "8bit", "binary"})


class MalformedForm(Exception):
    """The body or its Content-Type is no multipart/form-data; the text is fit for a customer."""


class FileSink(Protocol):
    """Where the file's bytes go. Exceptions pass through `MultipartParser.feed`."""

    def begin(self) -> None:
        """Take note that the file begins; called once at most."""

    def write(self, data: memoryview, /) -> None:
        """Take the next bytes, at least one; the view lies in the chunk that was fed, which it keeps alive."""

    def end(self) -> None:
        """Take note that the file is whole; not called for a body that was cut."""


def boundary_of(content_type: str) -> bytes:
    """Read the boundary from a ``Content-Type`` header.

    Returns
    -------
    bytes
        1-70 printable ASCII characters, the last no space (RFC 2046, 5.1.1; its narrower alphabet is not enforced).

    Raises
    ------
    MalformedForm
        Not ``multipart/form-data``, or the boundary is missing, repeated or not of that form.
    """
    kind, parameters = _parse_value(content_type)
    if kind != "multipart/form-data":
        raise MalformedForm("The Content-Type is not multipart/form-data.")
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedForm("The Content-Type needs a boundary of 1 to 70 printable ASCII characters.")
    return boundary.encode("ascii")


class MultipartParser:
    """A push parser for one body. After an exception it must not be fed again.

    It holds at most one header block, one text field and a boundary's length of what was fed.

    Parameters
    ----------
    boundary
        As `boundary_of` returns it.
    sink
        Takes the first part named ``file``.

    Attributes
    ----------
    fields
        Name and value of each text field that is complete, in order of appearance. Bytes that are no UTF-8 are
        surrogates (``surrogateescape``). A ``file`` after the first is dropped and stands here with an empty value.
    has_file
        Whether a part named ``file`` has begun.
    """

    def __init__(self, boundary: bytes, sink: FileSink) -> None:
        self.fields: list[tuple[str, str]] = []
        self.has_file = False
        self._sink = sink
        self._delimiter = b"\r\n--" + boundary
        self._parts = 0
        self._head = bytearray()
        self._name = ""
        self._value = bytearray()
        # The first boundary may open the body: as if a line had ended just before it.
        self._held = b"\r\n"
        self._step: Callable[[bytes, int], int] = self._read_content
        self._take: Callable[[memoryview], None] = _ignore
        self._end_part: Callable[[], None] = _ignore

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the body, any number of them.

        Raises
        ------
        MalformedForm
            At the first byte that shows it.
        """
        at = 0
        while at < len(chunk):
            at = self._step(chunk, at)

    def finish(self) -> None:
        """Say that the body has ended.

        Raises
        ------
        MalformedForm
            The final boundary has not come: the body was cut.
        """
        if self._step != self._skip_epilogue:
            raise MalformedForm("The body ends before its final boundary.")

    def _read_content(self, chunk: bytes, at: int) -> int:
        delimiter = self._delimiter
        if self._held:
            end = at + len(delimiter) - len(self._held)
            tried = self._held + chunk[at:end]
            if delimiter.startswith(tried):
                self._held = tried
                if tried == delimiter:
                    self._close_part()
                return end
            # The only CR in a delimiter is its first byte, so none begins later in what was held.
            self._take(memoryview(self._held))
            self._held = b""
        # One search of the chunk itself: joining it to anything first would cost as much as the search.
        end = chunk.find(delimiter, at)
        if end >= 0:
            if end > at:
                self._take(memoryview(chunk)[at:end])
            self._close_part()
            return end + len(delimiter)
        end = chunk.rfind(b"\r", max(at, len(chunk) - len(delimiter) + 1))
        if end >= 0 and delimiter.startswith(chunk[end:]):
            self._held = chunk[end:]
        else:
            end = len(chunk)
        if end > at:
            self._take(memoryview(chunk)[at:end])
        return len(chunk)

    def _close_part(self) -> None:
        self._end_part()
        self._held = b""
        self._step = self._read_head

    def _read_head(self, chunk: bytes, at: int) -> int:
        head = self._head
        seen = len(head)
        head += chunk[at : at + min(_HEADER_STEP_BYTES, MAX_HEADER_BYTES - seen)]
        if head.startswith(b"--"):
            self._step = self._skip_epilogue
            return len(chunk)
        if len(head) > 1 and not head.startswith((b"\r\n", b" ", b"\t")):
            raise MalformedForm(_UNENDED_BOUNDARY)
        end = head.find(b"\r\n\r\n", max(0, seen - 3))
        if end >= 0:
            self._open_part(head[:end].decode("utf-8", "surrogateescape"))
            head.clear()
            return at + end + 4 - seen
        if len(head) == MAX_HEADER_BYTES:
            raise MalformedForm(f"The headers of a part are longer than {MAX_HEADER_BYTES} bytes.")
        return at + len(head) - seen

    def _open_part(self, head: str) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedForm(f"The form has more than {MAX_PARTS} parts.")
        self._name = _parse_name(head)
        if self._name != FILE:
            self._take, self._end_part = self._collect, self._end_field
        elif self.has_file:
            self._take, self._end_part = _ignore, self._end_field
        else:
            self.has_file = True
            self._take, self._end_part = self._sink.write, self._sink.end
            self._sink.begin()
        self._step = self._read_content

    def _collect(self, data: memoryview) -> None:
        self._value += data[: MAX_FIELD_BYTES + 1 - len(self._value)]

    def _end_field(self) -> None:
        self.fields.append((self._name, self._value.decode("utf-8", "surrogateescape")))
        self._value.clear()

    def _skip_epilogue(self, chunk: bytes, at: int) -> int:
        return len(chunk)


def _ignore(*_: object) -> None:
    """Do nothing, with bytes that nobody wants and at the end of what is no part."""


def _parse_name(head: str) -> str:
    """Read a part's name from what stands between its boundary and its empty line."""
    if usual := _USUAL_HEAD.fullmatch(head):
        return usual[1]
    padding, *lines = _FOLD.sub("", head).split("\r\n")
    if padding.strip(" \t"):
        raise MalformedForm(_UNENDED_BOUNDARY)
    disposition = None
    for line in lines:
        header, colon, value = line.partition(":")
        if not (colon and _TOKEN.fullmatch(header)) or _CONTROL.search(value):
            raise MalformedForm("A part has a malformed header.")
        header = header.lower()
        if header == "content-disposition":
            if disposition is not None:
                raise MalformedForm("A part has two Content-Disposition headers.")
            disposition = value
        elif header == "content-transfer-encoding" and value.strip(" \t").lower() not in _IDENTITY_ENCODINGS:
            raise MalformedForm("A part has a Content-Transfer-Encoding: send its bytes as they are.")
    kind, parameters = _parse_value(disposition or "")
    if kind != "form-data" or "name" not in parameters:
        raise MalformedForm("A part needs the header Content-Disposition: form-data with a name.")
    return parameters["name"]


def _parse_value(header: str) -> tuple[str, dict[str, str]]:
    """Split ``kind; name=value; name="value"``; kind and names in lower case."""
    kind, semicolon, rest = header.partition(";")
    rest = semicolon + rest
    parameters: dict[str, str] = {}
    at = 0
    while at < len(rest):
        found = _PARAMETER.match(rest, at)
        if found is None:
            raise MalformedForm("A header has malformed parameters.")
        at = found.end()
        name, value = found.groups()
        if name is None:
            continue
        if name.lower() in parameters:
            raise MalformedForm("A header repeats a parameter.")
        parameters[name.lower()] = _ESCAPE.sub(r"\1", value[1:-1]) if value[:1] == '"' else value.rstrip(" \t")
    return kind.strip(" \t").lower(), parameters
