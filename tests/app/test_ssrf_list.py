"""Every row of the shared list of hostile and good URLs, fetched: with a name server, a web server and a canary."""

import asyncio
import gzip
import os
import re
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.errors import ServiceError
from app.service.fetch import Fetcher
from tests.app.loopback import PRIVATE, PUBLIC, Names, Request, answer, outbound, run, serving

SHARED = Path(os.environ.get("COMPRESSORIZE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
MB = 1024 * 1024
IMAGE = b"\x89PNG and so on"
BOMB = gzip.compress(bytes(30 * MB))
NAMES = {
    "pub.test": PUBLIC,
    "meta.test": "169.254.169.254",
    "loop6.test": "::1",
    "nat64.test": "64:ff9b::a00:1",
    "mixed6.test": f"{PUBLIC} fd00::1",
    "emptydns.test": "",
    "rebind2.test": PRIVATE,
}
ANSWERS = {
    "/img": answer("200 OK", IMAGE),
    "/@127.0.0.1/img": answer("200 OK", IMAGE),
    "/big-cl": answer("200 OK", Content_Length=str(26 * MB)),
    "/gzbomb": answer("200 OK", BOMB, Content_Encoding="gzip"),
    "/br": answer("200 OK", IMAGE, Content_Encoding="br"),
    "/hugehdr": answer("200 OK", IMAGE, X_Huge="a" * 65536),
    "/short": answer("200 OK", IMAGE, Content_Length="1000"),
    "/empty": answer("200 OK"),
    "/cl-te": answer("200 OK", b"5\r\nhello\r\n0\r\n\r\n", Transfer_Encoding="chunked"),
}
#: url, expected code, the gate that must stop it, note
Row = tuple[str, str, str, str]


async def play(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer as the list expects of its test server."""
    url = urlsplit(request.target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    match url.path:
        case "/r":
            writer.write(answer("302 Found", **({"Location": query["to"]} if query else {})))
        case "/chain":
            left = int(query["n"])
            writer.write(answer("302 Found", Location=f"/chain?n={left - 1}" if left > 1 else "/img"))
        case "/status":
            writer.write(answer(f"{query['s']} So"))
        case "/stall":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")
            await asyncio.Event().wait()
        case path:
            writer.write(ANSWERS[path])


class Kept(bytearray):
    """A sink that keeps everything."""

    def write(self, data: memoryview) -> None:
        self.extend(data)

    async def flush(self) -> None:
        pass


def rows() -> list[Row]:
    path = SHARED / "ssrf_urls.tsv"
    if not path.is_file():
        return []
    return [tuple(line.split("\t")) for line in path.read_text().splitlines()[1:]]


absent = pytest.param(None, marks=pytest.mark.skip(reason="ssrf_urls.tsv is not here: set COMPRESSORIZE_SHARED"))


@pytest.mark.parametrize("row", rows() or [absent], ids=lambda row: row and row[3])
def test_every_listed_url_gets_its_code_and_the_canary_is_never_connected_to(row: Row) -> None:
    text, expected, gate, _ = row
    text = text.encode("latin-1", "backslashreplace").decode("unicode_escape")

    async def scenario() -> None:
        async with AsyncExitStack() as open_now:
            web = await open_now.enter_async_context(serving(play))
            canaries = [
                await open_now.enter_async_context(serving(ANSWERS["/img"], address=address, port=web.port))
                for address in (PRIVATE, "::1")
            ]
            client = await open_now.enter_async_context(outbound(Names(NAMES), port=web.port))
            # Only where silence is the point, so that a machine that stands still is not taken for it.
            idle_s = 0.2 if "/stall" in text else 10
            fetcher, got = Fetcher(client, max_bytes=25 * MB, idle_timeout_s=idle_s), Kept()
            url = text.replace("{P}", str(web.port))
            if expected == "ok":
                assert (await fetcher.fetch(url, got)).size == len(IMAGE)
                assert got == IMAGE
            else:
                with pytest.raises(ServiceError) as caught:
                    await fetcher.fetch(url, got)
                assert caught.value.code == expected
                assert caught.value.param == ("url" if expected == "invalid_url" else None)
                assert not re.search(r"\b127\.\d|169\.254|::|Errno|Error|aiohttp", caught.value.message)
            assert (web.connections > 0) == (gate not in {"parse", "resolve"})
            assert [canary.connections for canary in canaries] == [0, 0]

    run(scenario())
