"""Signed links, and the route that serves them, over real HTTP."""

import hashlib
import hmac
import http.client
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from app.adapters.signed_links import SignedLinks
from app.ports.blobs import BlobLink, GrantedLink, LinkRefused
from tests.files_server import SECRET, STALL_S, FilesServer
from tests.snapshots import descriptors_of
from tests.whole.service import error_of

NAME = "abc_-123/result.webp"
LINK = BlobLink("image/webp", "compressed.webp")
NOW = 1_763_900_000
DATA = bytes(range(256)) * 4


def links(now: float = NOW, secret: bytes = b"secret") -> SignedLinks:
    return SignedLinks(secret, clock=lambda: now)


def made(**options: int) -> tuple[str, str]:
    """Make a link to `NAME` that is good for a minute; return its path and query."""
    path, _, query = links().make(NAME, LINK, **{"valid_s": 60, **options}).partition("?")
    return path, query


def test_a_link_tells_what_it_grants_and_is_signed_by_hmac_sha256() -> None:
    path, query = made()
    assert path == f"/api/v1/files/{NAME}"
    signed, _, signature = query.partition("&signature=")
    assert re.fullmatch(r"type=image/webp&filename=compressed.webp&expires=1763900060&key=[0-9a-f]{8}", signed)
    assert signature == hmac.new(b"secret", f"GET {path}?{signed}".encode(), hashlib.sha256).hexdigest()


def test_a_link_is_good_until_its_second_and_not_in_it() -> None:
    _, query = made()
    assert links(NOW).check(NAME, query) == links(NOW + 59.9).check(NAME, query) == GrantedLink(LINK, NOW + 60)
    with pytest.raises(LinkRefused, match="expired"):
        links(NOW + 60).check(NAME, query)


def test_every_character_of_a_link_counts() -> None:
    _, query = made()
    for place in range(len(query)):
        for other in (query[:place] + query[place + 1 :], f"{query[:place]}0{query[place:]}"):
            with pytest.raises(LinkRefused):
                links().check(NAME, other)
    for name in (NAME[:-1], f"{NAME}x", f"/{NAME}", NAME.upper()):
        with pytest.raises(LinkRefused, match="changed"):
            links().check(name, query)


@pytest.mark.parametrize("query", ["", "&signature=", "signature=", "x" * 100_000, "&signature=\xff", "\ud800"])
def test_what_never_was_a_link_is_refused(query: str) -> None:
    with pytest.raises(LinkRefused, match="not signed by this service"):
        links().check(NAME, query)


def test_a_link_of_another_secret_is_refused_and_named_so() -> None:
    _, query = made()
    with pytest.raises(LinkRefused, match="not signed by this service"):
        links(secret=b"another").check(NAME, query)


@pytest.fixture(scope="module")
def client(files_server: FilesServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=files_server.url, timeout=60) as opened:
        yield opened


@pytest.fixture
def file(files_server: FilesServer) -> Path:
    """Return a file of the server's, under a name of its own."""
    path = files_server.folder / "files" / os.urandom(6).hex()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def link(file: Path) -> str:
    """Make a link to `file`."""
    return SignedLinks(SECRET).make(file.name, LINK, valid_s=60)


@pytest.fixture
def etag(client: httpx.Client, link: str) -> str:
    found: str = client.get(link).headers["etag"]
    return found


def test_a_file_is_sent_with_all_that_a_cache_and_a_browser_need(client: httpx.Client, link: str) -> None:
    reply = client.get(link)
    assert (reply.status_code, reply.content) == (200, DATA)
    age = int(reply.headers["cache-control"].removeprefix("private, max-age="))
    assert 50 <= age <= 60
    assert re.fullmatch(r'"[^"]+"', reply.headers.pop("etag"))
    for header in ("date", "server", "x-request-id", "cache-control"):
        del reply.headers[header]
    assert dict(reply.headers) == {
        "content-type": "image/webp",
        "content-length": str(len(DATA)),
        "content-disposition": 'attachment; filename="compressed.webp"',
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }


def test_head_answers_as_get_without_the_file(client: httpx.Client, link: str, etag: str) -> None:
    get, head = client.get(link), client.head(link)
    for reply in (get, head):
        for header in ("date", "x-request-id", "cache-control"):
            del reply.headers[header]
    assert (head.status_code, head.headers, head.content) == (200, get.headers, b"")
    assert client.head(link, headers={"Range": "bytes=0-9"}).status_code == 200
    assert client.head(link, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("Bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, 1023),
        ("bytes=0-", 0, 1023),
        ("bytes=1000-5000", 1000, 1023),
        ("bytes=-1", 1023, 1023),
        ("bytes=-1023", 1, 1023),
        ("bytes=-5000", 0, 1023),
    ],
)
def test_a_range_is_sent_alone(client: httpx.Client, link: str, wanted: str, first: int, last: int) -> None:
    reply = client.get(link, headers={"Range": wanted})
    assert (reply.status_code, reply.content) == (206, DATA[first : last + 1])
    assert reply.headers["content-range"] == f"bytes {first}-{last}/1024"
    assert reply.headers["content-length"] == str(last - first + 1)
    assert reply.headers["content-type"] == "image/webp"


NO_RANGES = ("5-4", "-", "", "a-b", "0-1,3-4", "+1-2", "1 -2", "9" * 5000 + "-", "\xb2-")


@pytest.mark.parametrize("wanted", ["lines=0-1", "bytes", "bytes 0-1", *(f"bytes={wanted}" for wanted in NO_RANGES)])
def test_a_range_that_is_broken_or_several_sends_the_whole_file(client: httpx.Client, link: str, wanted: str) -> None:
    reply = client.get(link, headers={"Range": wanted.encode("latin-1")})
    assert (reply.status_code, reply.content) == (200, DATA)


@pytest.mark.parametrize("wanted", ["bytes=1024-", "bytes=1024-2000", "bytes=999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_told_the_size(client: httpx.Client, link: str, wanted: str) -> None:
    reply = client.get(link, headers={"Range": wanted})
    assert error_of(reply) == (416, "range_not_satisfiable", None)
    assert reply.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize("known", ["{}", "W/{}", '"x", {}', 'W/"y" ,{}', "*"])
def test_a_file_that_the_client_has_is_not_sent_again(client: httpx.Client, link: str, etag: str, known: str) -> None:
    reply = client.get(link, headers={"If-None-Match": known.format(etag), "Range": "bytes=0-9"})
    assert (reply.status_code, reply.content) == (304, b"")
    assert reply.headers["etag"] == etag
    assert reply.headers["cache-control"].startswith("private, max-age=")


@pytest.mark.parametrize("known", ['"x"', "", "x", '"{}', "W/*"])
def test_a_file_that_the_client_does_not_have_is_sent(client: httpx.Client, link: str, etag: str, known: str) -> None:
    assert client.get(link, headers={"If-None-Match": known.format(etag)}).status_code == 200


def test_if_range_sends_the_part_only_of_the_same_file(client: httpx.Client, link: str, etag: str) -> None:
    def status(if_range: str) -> int:
        return client.get(link, headers={"If-Range": if_range, "Range": "bytes=0-9"}).status_code

    others = ('"x"', f"W/{etag}", "Sun, 06 Nov 2044 08:49:37 GMT")
    assert [status(if_range) for if_range in (etag, *others)] == [206, 200, 200, 200]


def test_a_replaced_file_has_another_tag_though_size_and_time_are_the_same(
    client: httpx.Client, file: Path, link: str, etag: str
) -> None:
    at = file.stat().st_mtime_ns
    other = file.with_name(f"{file.name}x")
    other.write_bytes(DATA[::-1])
    os.utime(other, ns=(at, at))
    other.replace(file)
    reply = client.get(link, headers={"If-None-Match": etag})
    assert (reply.status_code, reply.content) == (200, DATA[::-1])


def test_refusals_have_the_one_shape(client: httpx.Client, files_server: FilesServer, file: Path, link: str) -> None:
    assert error_of(client.get(f"{link}0")) == (403, "link_invalid", None)
    late = SignedLinks(SECRET, clock=lambda: time.time() - 61).make(file.name, LINK, valid_s=60)
    assert error_of(client.get(late)) == (403, "link_invalid", None)
    assert error_of(client.post(link)) == (405, "method_not_allowed", None)
    file.unlink()
    assert error_of(client.get(link)) == (404, "not_found", None)
    gone = client.head(link)
    assert (gone.status_code, gone.content) == (404, b"")
    assert gone.headers["cache-control"] == "no-store"
    file.symlink_to(file)
    broken = client.get(link)
    assert error_of(broken) == (503, "unavailable", None)
    assert int(broken.headers["retry-after"]) > 0


OUTSIDE = ("../secret", "..%2fsecret", "%2e%2e/secret", "a/%2e%2e/%2e%2e/secret", "~drafts/x", "%ff", "%00", "")


@pytest.mark.parametrize("path", OUTSIDE)
def test_no_link_is_made_or_taken_that_leads_out_of_the_folder(files_server: FilesServer, link: str, path: str) -> None:
    (files_server.folder / "secret").write_bytes(b"secret")
    for name in (path, unquote(path)):
        with pytest.raises(ValueError, match="name of a blob"):
            SignedLinks(SECRET).make(name, LINK, valid_s=60)
    # httpx would resolve the dots.
    connection = http.client.HTTPConnection("127.0.0.1", files_server.port)
    connection.request("GET", f"/api/v1/files/{path}?{link.partition('?')[2]}")
    reply = connection.getresponse()
    assert (reply.status, b"secret" in reply.read()) in {(403, False), (404, False)}
    connection.close()


def test_a_large_file_arrives_whole_and_in_parts(client: httpx.Client, file: Path, link: str) -> None:
    data = os.urandom(3_000_001)
    file.write_bytes(data)
    assert client.get(link).content == data
    ranges = [f"bytes={start}-{start + 999_999}" for start in range(0, len(data), 1_000_000)]
    assert b"".join(client.get(link, headers={"Range": wanted}).content for wanted in ranges) == data


def test_a_client_that_stops_reading_is_left_and_the_file_closed(
    files_server: FilesServer, file: Path, link: str
) -> None:
    file.write_bytes(bytes(30_000_000))
    with socket.create_connection(("127.0.0.1", files_server.port)) as stuck:
        begun = time.monotonic()
        stuck.sendall(f"GET {link} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_until(lambda: is_open(files_server, file))
        wait_until(lambda: not is_open(files_server, file))
        assert time.monotonic() - begun > STALL_S / 2
        # What arrives is not the whole: the client can tell.
        received = sum(map(len, iter(lambda: stuck.recv(1_000_000), b"")))
        assert received < 30_000_000
    assert "Traceback" not in files_server.log()


def is_open(files_server: FilesServer, file: Path) -> bool:
    """Whether the server has a file open."""
    return any(str(file) in descriptors_of(pid).values() for pid in files_server.pids())


def wait_until(holds: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
