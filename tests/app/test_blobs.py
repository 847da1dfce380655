"""Stores of blobs: one suite, which the folder and S3 both pass, and what each does when its place fails."""

import asyncio
import os
import re
import resource
import stat
import subprocess
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.adapters import durable_folder
from app.adapters.filesystem import FilesystemBlobs
from app.adapters.s3 import S3Blobs
from app.adapters.signed_links import SignedLinks
from app.ports.blobs import BlobLink, BlobMissing, Blobs, BlobsUnavailable
from tests.files_server import FilesServer
from tests.ports import free_port
from tests.seaweed import BUCKET, SeaweedFS
from tests.snapshots import files_below, sizes_below

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
WEBP = BlobLink("image/webp", "compressed.webp")


class Place:
    """A store, and a client of the server that its links lead to."""

    def __init__(self, blobs: Blobs, client: httpx.AsyncClient) -> None:
        self.blobs = blobs
        self.client = client

    async def get(self, name: str, **headers: str) -> httpx.Response:
        """GET a link to a blob."""
        link = await self.blobs.link(name, WEBP, valid_s=60)
        return await self.client.get(link, headers={name.replace("_", "-"): text for name, text in headers.items()})


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Keep one event loop for the module, in which a store is opened once."""
    return "asyncio"


@pytest.fixture(autouse=True)
async def deadline(anyio_backend: str) -> AsyncIterator[None]:
    """Let a test that hangs fail."""
    async with asyncio.timeout(120):
        yield


@pytest.fixture(scope="module", params=["folder", "s3"])
async def place(anyio_backend: str, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Return a store in which other tests may have left blobs."""
    blobs: Blobs
    if request.param == "folder":
        files_server: FilesServer = request.getfixturevalue("files_server")
        blobs, url = files_server.blobs(), files_server.url
    else:
        seaweed: SeaweedFS = request.getfixturevalue("seaweed")
        blobs, url = S3Blobs(f"s3://{BUCKET}/some/prefix", endpoint=seaweed.endpoint, timeout_s=60), ""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        yield Place(blobs, client)
    await blobs.close()


@pytest.fixture
def blobs(place: Place) -> Blobs:
    return place.blobs


@pytest.fixture
def name() -> str:
    """Make a name that no other test has used."""
    return f"{os.urandom(6).hex()}/result.webp"


async def read(blobs: Blobs, name: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(name)])


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def is_missing(blobs: Blobs, name: str) -> bool:
    try:
        await read(blobs, name)
    except BlobMissing:
        return True
    return False


async def test_what_was_put_is_read_in_chunks_of_a_megabyte_at_most(blobs: Blobs, name: str) -> None:
    for size in (0, 1, 2 * MB, 5 * MB + 7):
        data = os.urandom(size)
        await blobs.put(name, memoryview(data))
        chunks = [chunk async for chunk in blobs.read(name)]
        assert b"".join(chunks) == data
        assert max(map(len, chunks), default=0) <= MB


async def test_a_blob_that_is_put_again_is_replaced(blobs: Blobs, name: str) -> None:
    await blobs.put(name, b"a longer one, which comes first")
    await blobs.put(name, b"second")
    assert await read(blobs, name) == b"second"


async def test_an_absent_blob_is_missing_to_read_and_copy(blobs: Blobs, name: str) -> None:
    await blobs.put(name, b"here")
    for absent in (f"{name}x", name.partition("/")[0], "nowhere", f"{name}/below"):
        with pytest.raises(BlobMissing):
            await read(blobs, absent)
    with pytest.raises(BlobMissing):
        await blobs.copy("nowhere", "anywhere")
    assert await is_missing(blobs, "anywhere")


async def test_a_copy_has_the_bytes_and_a_life_of_its_own(blobs: Blobs, name: str) -> None:
    copy = f"copies/{name}"
    await blobs.put(name, b"bytes")
    await blobs.put(copy, b"something else")
    await blobs.copy(name, copy)
    await blobs.copy(name, copy)
    assert await read(blobs, copy) == b"bytes"
    await blobs.put(name, b"changed")
    assert await read(blobs, copy) == b"bytes"
    await blobs.delete(name)
    assert await read(blobs, copy) == b"bytes"


async def test_delete_takes_a_name_and_all_below_it_and_nothing_else(blobs: Blobs) -> None:
    job = os.urandom(6).hex()
    gone = [f"{job}/source.0", f"{job}/source.1", f"{job}/deep/er/one"]
    kept = [f"{job}x/source.0", f"{job}.source", f"{job[:-1]}/source.0"]
    for name in (*gone, *kept):
        await blobs.put(name, name.encode())
    await blobs.delete(f"{job}/source")
    assert await read(blobs, gone[0]) == gone[0].encode()
    await blobs.delete(job)
    assert [await is_missing(blobs, name) for name in gone] == [True] * 3
    assert [await read(blobs, name) for name in kept] == [name.encode() for name in kept]
    await blobs.delete(kept[0])
    assert await is_missing(blobs, kept[0])
    await blobs.delete(job)
    await blobs.delete("nothing/of/the/kind")


NO_NAMES = ("", ".", "..", "a/..", "../a", "a/../b", "/a", "a/", "a//b", "a b", "a\\b", "a\0", "é", "~drafts", "a\n")


@pytest.mark.parametrize("name", NO_NAMES)
async def test_what_is_no_name_is_refused_by_every_method(blobs: Blobs, name: str) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: blobs.put(name, b""),
        lambda: read(blobs, name),
        lambda: blobs.copy(name, "a"),
        lambda: blobs.copy("a", name),
        lambda: blobs.delete(name),
        lambda: blobs.link(name, WEBP, valid_s=1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="name of a blob"):
            await call()


async def test_unusual_names_are_names(blobs: Blobs) -> None:
    for part in ("...", "..a", "a.", "-", "_.x", "a" * 200, "/".join(["a" * 99] * 5)):
        name = f"unusual/{part}"
        await blobs.put(name, b"x")
        assert await read(blobs, name) == b"x"
        await blobs.delete(name)


async def test_twenty_puts_at_once_all_arrive(blobs: Blobs) -> None:
    job = os.urandom(6).hex()
    sources = {f"{job}/source.{number}": os.urandom(100_000) for number in range(20)}
    await asyncio.gather(*(blobs.put(name, data) for name, data in sources.items()))
    assert [await read(blobs, name) for name in sources] == list(sources.values())
    await blobs.delete(job)


async def test_puts_of_one_name_at_once_leave_one_of_them_whole(blobs: Blobs, name: str) -> None:
    versions = [bytes([number]) * 300_000 for number in range(8)]
    await asyncio.gather(*(blobs.put(name, version) for version in versions))
    assert await read(blobs, name) in versions


async def test_puts_and_deletes_at_once_do_not_hinder_each_other(blobs: Blobs) -> None:
    job = os.urandom(6).hex()
    names = [f"{job}/source.{number}" for number in range(15)]
    await asyncio.gather(*(work for name in names for work in (blobs.put(name, b"x"), blobs.delete(name))))
    await blobs.delete(job)
    assert [await is_missing(blobs, name) for name in names] == [True] * 15


async def test_a_reader_that_stops_early_costs_nothing(blobs: Blobs, name: str) -> None:
    await blobs.put(name, os.urandom(5 * MB))
    before = open_files()
    for _ in range(40):
        chunks = blobs.read(name)
        await anext(chunks)
        await chunks.aclose()
    assert open_files() <= before + 2


async def test_a_link_serves_the_bytes_as_it_says(place: Place, name: str) -> None:
    data = os.urandom(MB + 5)
    await place.blobs.put(name, data)
    reply = await place.get(name)
    assert (reply.status_code, reply.content) == (200, data)
    assert reply.headers["content-type"] == "image/webp"
    assert reply.headers["content-disposition"] == 'attachment; filename="compressed.webp"'
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["cache-control"].startswith("private, ")
    assert re.fullmatch(r'"[^"]+"', reply.headers["etag"])


async def test_a_link_serves_ranges_and_conditions(place: Place, name: str) -> None:
    data = os.urandom(1000)
    await place.blobs.put(name, data)
    etag = (await place.get(name)).headers["etag"]
    part = await place.get(name, Range="bytes=10-19")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, data[10:20], "bytes 10-19/1000")
    tail = await place.get(name, Range="bytes=-7")
    assert (tail.status_code, tail.content) == (206, data[-7:])
    assert (await place.get(name, Range="bytes=5000-")).status_code == 416
    known = await place.get(name, If_None_Match=etag)
    assert (known.status_code, known.content) == (304, b"")
    await place.blobs.put(name, os.urandom(1000))
    changed = await place.get(name, If_None_Match=etag)
    assert (changed.status_code, len(changed.content)) == (200, 1000)


async def test_a_link_to_a_blob_that_is_gone_is_404(place: Place, name: str) -> None:
    await place.blobs.put(name, b"x")
    assert (await place.get(name)).status_code == 200
    await place.blobs.delete(name)
    assert (await place.get(name)).status_code == 404


async def test_a_link_that_is_over_is_403(place: Place, name: str) -> None:
    await place.blobs.put(name, b"x")
    link = await place.blobs.link(name, WEBP, valid_s=4)
    assert (await place.client.get(link)).status_code == 200
    while (reply := await place.client.get(link)).status_code == 200:
        await asyncio.sleep(0.1)
    assert reply.status_code == 403


async def test_a_link_that_was_changed_in_any_way_serves_nothing(place: Place, name: str) -> None:
    await place.blobs.put(name, b"x")
    await place.blobs.put(f"{name}2", b"y")
    link = await place.blobs.link(name, WEBP, valid_s=60)
    path, _, query = link.partition("?")
    forged = {f"{path}2?{query}", path, f"{path}?{query}&x=y", link.replace("image", "text"), f"{link}0", link[:-1]}
    for field in query.split("&"):
        begin, _, value = field.partition("=")
        forged.add(link.replace(field, f"{begin}={'b' if value[0] != 'b' else 'c'}{value[1:]}"))
        forged.add(link.replace(f"&{field}", ""))
    statuses = {other: (await place.client.get(other)).status_code for other in forged - {link}}
    # S3 says 400 where a field is missing or makes no sense.
    assert {other: status for other, status in statuses.items() if status not in {400, 403}} == {}
    assert statuses[path] == statuses[f"{path}2?{query}"] == statuses[f"{link}0"] == 403


async def test_it_answers(blobs: Blobs) -> None:
    assert await blobs.answers()


# The folder.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@asynccontextmanager
async def opened(folder: Path, timeout_s: float = 30.0) -> AsyncIterator[FilesystemBlobs]:
    blobs = FilesystemBlobs(folder, SignedLinks(b"secret"), timeout_s=timeout_s)
    yield blobs
    await blobs.close()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in files_below(folder))


def modes_in(folder: Path) -> dict[str, str]:
    found = (folder, *folder.rglob("*"))
    return {str(path.relative_to(folder)): stat.filemode(path.stat().st_mode) for path in found}


async def test_files_and_folders_are_their_owners_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        async with opened(folder) as blobs:
            await blobs.put("a/b", b"x")
            await blobs.copy("a/b", "c/d")
    finally:
        os.umask(old)
    folders, files = (".", "~drafts", "a", "c"), ("a/b", "c/d")
    assert modes_in(folder) == {**dict.fromkeys(folders, "drwx------"), **dict.fromkeys(files, "-rw-------")}


async def test_a_deleted_blob_leaves_no_empty_folder_and_no_file(folder: Path) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a/b/c", b"x")
        await blobs.put("a/d", b"x")
        await blobs.delete("a/b/c")
        assert "a/b" not in modes_in(folder)
        await blobs.delete("a/d")
    assert set(modes_in(folder)) == {".", "~drafts"}


async def test_a_copy_takes_no_room(folder: Path) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a", b"x")
        for _ in range(2):
            await blobs.copy("a", "b/c")
    assert (folder / "a").stat().st_ino == (folder / "b/c").stat().st_ino
    assert files_in(folder) == ["a", "b/c"]


async def test_where_there_are_no_hard_links_a_copy_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    async with opened(folder) as blobs:
        await blobs.put("a", b"bytes")
        await blobs.copy("a", "b")
        assert await read(blobs, "b") == b"bytes"
        with pytest.raises(BlobMissing):
            await blobs.copy("absent", "c")
    assert files_in(folder) == ["a", "b"]
    assert (folder / "a").stat().st_ino != (folder / "b").stat().st_ino


async def test_what_a_killed_process_left_is_swept_when_it_is_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a", b"x")
    left = folder / "~drafts/left"
    left.write_bytes(b"half")
    async with opened(folder):
        assert left.exists()
    monkeypatch.setattr(durable_folder, "_DRAFT_MAX_AGE_S", -1)
    async with opened(folder) as blobs:
        assert files_in(folder) == ["a"]
        assert await read(blobs, "a") == b"x"


async def test_a_reader_keeps_what_it_opened_while_it_is_replaced_and_deleted(folder: Path) -> None:
    old = os.urandom(3 * MB)
    async with opened(folder) as blobs:
        await blobs.put("a", old)
        chunks = blobs.read("a")
        begun = await anext(chunks)
        await blobs.put("a", b"new")
        await blobs.delete("a")
        assert begun + b"".join([chunk async for chunk in chunks]) == old


@pytest.fixture
def small_disk(folder: Path) -> Iterator[None]:
    """Give the folder a disk of a megabyte."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield
    subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(folder: Path) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a/kept", b"old")
        for name in ("a/kept", "b/new"):
            with pytest.raises(BlobsUnavailable, match="No space left"):
                await blobs.put(name, bytes(2 * MB))
        assert files_in(folder) == ["a/kept"]
        assert await read(blobs, "a/kept") == b"old"
        await blobs.put("b/new", bytes(MB // 2))


@pytest.mark.usefixtures("small_disk")
async def test_a_disk_that_is_read_only_is_unavailable_and_can_be_read(folder: Path) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a", b"x")
        assert await blobs.answers()
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", folder], check=True)
        assert not await blobs.answers()
        for call in (blobs.put("a", b"y"), blobs.copy("a", "b"), blobs.delete("a")):
            with pytest.raises(BlobsUnavailable, match="Read-only"):
                await call
        assert await read(blobs, "a") == b"x"


async def test_a_write_that_the_system_refuses_leaves_nothing_half_written(folder: Path) -> None:
    async with opened(folder) as blobs:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MB, limits[1]))
        try:
            with pytest.raises(BlobsUnavailable, match="File too large"):
                await blobs.put("a/b", bytes(2 * MB))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert set(modes_in(folder)) == {".", "~drafts"}


async def test_a_folder_that_cannot_be_made_is_unavailable_until_it_can(folder: Path) -> None:
    os.mknod(folder)  # a file in its place
    async with opened(folder) as blobs:
        assert not await blobs.answers()
        with pytest.raises(BlobsUnavailable):
            await blobs.put("a", b"x")
        with pytest.raises(BlobsUnavailable):
            await read(blobs, "a")
        os.unlink(folder)  # noqa: PTH108 - Path's would be a blocking call to the linter, and this is not
        assert await blobs.answers()
        await blobs.put("a", b"x")


async def test_a_disk_that_hangs_is_unavailable_in_time_and_stops_no_reader(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    async with opened(folder) as blobs:
        await blobs.put("a", b"old")
    monkeypatch.setattr(os, "fsync", lambda _: goes_on.wait(30))
    async with opened(folder, timeout_s=1) as blobs:
        try:
            with pytest.raises(BlobsUnavailable, match="did not answer within 1 s"):
                await blobs.put("b", b"x")
            assert await read(blobs, "a") == b"old"
        finally:
            goes_on.set()


async def test_a_put_that_is_cancelled_in_mid_write_never_shows_the_buffers_next_bytes(folder: Path) -> None:
    buffer = bytearray(32 * MB)
    async with opened(folder) as blobs:
        written: list[int] = []
        # Until one is cancelled in time: before all is written.
        while not written or written[0] == len(buffer):
            await blobs.delete("a")
            put = asyncio.create_task(blobs.put("a", memoryview(buffer)))
            while not put.done() and sizes_below(folder / "~drafts") in ([], [0]):
                await asyncio.sleep(0)
            put.cancel()
            await asyncio.wait([put])
            written = sizes_below(folder / "~drafts")
        buffer[:] = b"b" * len(buffer)
        while sizes_below(folder / "~drafts"):
            await asyncio.sleep(0.02)
        assert await is_missing(blobs, "a")


async def test_an_open_that_is_cancelled_leaves_no_file_open(folder: Path) -> None:
    async with opened(folder) as blobs:
        await blobs.put("a", b"x")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(50):
                opening = [asyncio.create_task(blobs.open("a")) for _ in range(20)]
                await asyncio.sleep(0)
                for task in opening:
                    task.cancel()
                await asyncio.wait(opening)
            await asyncio.sleep(0.1)
        # What the collector closes, it complains of.
        assert [str(warning.message) for warning in caught] == []


async def test_a_folder_that_a_delete_takes_from_under_a_put_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir, deletes = Path.mkdir, iter([True, True])

    def make_and_lose(path: Path, *arguments: Any, **options: Any) -> None:
        mkdir(path, *arguments, **options)
        if path.name == "job" and next(deletes, False):
            path.rmdir()

    async with opened(folder) as blobs:
        monkeypatch.setattr(Path, "mkdir", make_and_lose)
        await blobs.put("job/source.0", b"x")
        assert await read(blobs, "job/source.0") == b"x"


# S3.


async def test_what_is_outside_the_prefix_is_not_seen_or_touched(seaweed: SeaweedFS, name: str) -> None:
    whole, part = (
        S3Blobs(f"s3://{BUCKET}{prefix}", endpoint=seaweed.endpoint, timeout_s=60) for prefix in ("", "/deep/prefix/")
    )
    await whole.put(name, b"outside")
    assert await is_missing(part, name)
    await part.put(name, b"inside")
    assert await read(whole, f"deep/prefix/{name}") == b"inside"
    await part.delete(name.partition("/")[0])
    assert await read(whole, name) == b"outside"
    for store in (whole, part):
        await store.close()


@pytest.mark.parametrize(
    "url", ["", "s3://", "s3:///a", "http://bucket", "bucket", "s3://b/../c", "s3://b/a b", "s3://b?x"]
)
def test_what_is_no_address_of_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Not the"):
        S3Blobs(url)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "localhost", "http://", "ftp://localhost"])
def test_what_is_no_address_of_a_server_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="S3 server"):
        S3Blobs("s3://bucket", endpoint=endpoint)


@pytest.mark.usefixtures("seaweed")
async def test_a_link_is_made_though_the_server_is_away_and_says_nothing_of_it() -> None:
    blobs = S3Blobs(f"s3://{BUCKET}", endpoint=f"http://127.0.0.1:{free_port()}", timeout_s=0.2)
    for _ in range(6):
        with pytest.raises(BlobsUnavailable):
            await blobs.delete("a")
        assert "X-Amz-Signature" in await blobs.link("a", WEBP, valid_s=60)
    with pytest.raises(BlobsUnavailable, match="S3 does not answer"):
        await blobs.delete("a")
    await blobs.close()


async def every_call_is_unavailable(blobs: S3Blobs) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: blobs.put("a", b"x"),
        lambda: read(blobs, "a"),
        lambda: blobs.copy("a", "b"),
        lambda: blobs.delete("a"),
    ]
    for call in calls:
        with pytest.raises(BlobsUnavailable):
            await call()
    assert not await blobs.answers()
    await blobs.close()


@pytest.mark.usefixtures("seaweed")
async def test_a_server_that_is_down_is_unavailable() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    await every_call_is_unavailable(S3Blobs(f"s3://{BUCKET}", endpoint=nobody, timeout_s=0.2))


async def test_a_bucket_that_is_not_there_is_unavailable_and_nothing_is_missing(seaweed: SeaweedFS) -> None:
    blobs = S3Blobs("s3://another-bucket", endpoint=seaweed.endpoint)
    with pytest.raises(BlobsUnavailable, match="NoSuchBucket"):
        await read(blobs, "a")
    assert not await blobs.answers()
    await blobs.close()


async def test_credentials_that_are_wrong_are_unavailable(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    await every_call_is_unavailable(S3Blobs(f"s3://{BUCKET}", endpoint=seaweed.endpoint))


class Forwarder:
    """A way to a server on this host, which can be closed and opened again."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._to_port = to_port
        self._streams: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Break what is connected, and refuse others."""
        self._server.close()
        for stream in self._streams:
            stream.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._streams |= {writer, to_writer}
        await asyncio.gather(_pump(reader, to_writer), _pump(to_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def forwarder(to_port: int) -> AsyncIterator[Forwarder]:
    way = Forwarder(to_port)
    await way.open()
    try:
        yield way
    finally:
        await way.close()


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Take connections and never answer."""
    server = await asyncio.start_server(lambda *_: asyncio.sleep(3600), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.usefixtures("seaweed")
async def test_a_server_that_hangs_is_unavailable_in_time_and_left_alone_then() -> None:
    async with silent_server() as endpoint:
        blobs = S3Blobs(f"s3://{BUCKET}", endpoint=endpoint, timeout_s=0.3, most_puts=5)
        puts = [blobs.put(f"a/{number}", b"x") for number in range(100)]
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert {type(result) for result in results} == {BlobsUnavailable}
        # Five at a time find out; the others, in their turn, are told so at once.
        told = Counter(map(str, results))
        assert set(told) == {"S3 did not answer within 0.3 s", "S3 does not answer"}
        assert told["S3 does not answer"] > 80
        await blobs.close()


async def test_a_server_that_comes_back_is_used_again(seaweed: SeaweedFS, name: str) -> None:
    """While it is away it is asked once a second; a port forwarder stands for the way to it."""
    async with forwarder(seaweed.ports["s3.port"]) as way:
        # Long for one that works: a way that is closed refuses at once.
        blobs = S3Blobs(f"s3://{BUCKET}", endpoint=way.endpoint, timeout_s=30)
        while not await blobs.answers():
            pass
        await blobs.put(name, b"before")
        await way.close()
        for _ in range(6):
            with pytest.raises(BlobsUnavailable):
                await read(blobs, name)
        await way.open()
        while True:
            try:
                assert await read(blobs, name) == b"before"
                break
            except BlobsUnavailable:
                await asyncio.sleep(0.05)
        await blobs.close()


async def test_a_connection_that_breaks_in_mid_blob_is_unavailable_and_never_a_short_blob(
    seaweed: SeaweedFS, name: str
) -> None:
    async with forwarder(seaweed.ports["s3.port"]) as way:
        blobs = S3Blobs(f"s3://{BUCKET}", endpoint=way.endpoint, timeout_s=30)
        await blobs.put(name, bytes(20 * MB))
        chunks = blobs.read(name)
        await anext(chunks)
        await way.close()
        with pytest.raises(BlobsUnavailable):
            async for _ in chunks:
                pass
        await blobs.close()
