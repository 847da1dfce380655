"""The rows of the shared list of hostile and good URLs that can be judged without a connection."""

import asyncio
import os
import re
import socket
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.service.addresses import Address
from app.service.netguard import ForbiddenUrl, Target, UnresolvableHost, parse_public_url, resolve_public

SHARED = Path(os.environ.get("COMPRESSORIZE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
#: The four columns of the list: URL, expected code, the gate that must stop it, note.
Row = tuple[str, str, str, str]


def parse(text: str) -> Target:
    return parse_public_url(text, schemes=frozenset({"http", "https"}))


def shared_rows() -> list[Row]:
    path = SHARED / "ssrf_urls.tsv"
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines()[1:]:
        url, expected, gate, note = line.split("\t")
        url = url.encode("latin-1", "backslashreplace").decode("unicode_escape")
        rows.append((url.replace("{P}", "8080"), expected, gate, note))
    return rows


def rows_of(*gates: str, but: str = "") -> pytest.MarkDecorator:
    rows = [row for row in shared_rows() if row[2] in gates and not (but and re.search(but, row[3]))]
    absent = pytest.param(None, marks=pytest.mark.skip(reason="ssrf_urls.tsv is not here: set COMPRESSORIZE_SHARED"))
    return pytest.mark.parametrize("row", rows or [absent], ids=lambda row: row and row[3])


@rows_of("parse")
def test_listed_urls_that_the_parser_must_stop(row: Row) -> None:
    with pytest.raises(ForbiddenUrl):
        parse(row[0])
    if row[0].startswith("http://"):
        with pytest.raises(ForbiddenUrl):
            parse(f"https{row[0][4:]}")


@rows_of("-", "resolve", "redirect", "transfer", "body")
def test_listed_urls_that_the_parser_must_let_through(row: Row) -> None:
    assert parse(row[0]).host.endswith(".test")


@rows_of("resolve")
def test_listed_names_that_the_look_up_must_stop(row: Row) -> None:
    url, expected, _, note = row
    records = [ip_address(address) for address in re.findall(r"A (\S*[.:]\S*)", note)]
    if "public A + ULA" in note:
        records = [ip_address("93.184.216.34"), ip_address("fd00::1")]

    async def answer(_: str) -> list[Address]:
        if note == "NXDOMAIN":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return records

    with pytest.raises(ForbiddenUrl if expected == "invalid_url" else UnresolvableHost):
        asyncio.run(resolve_public(parse(url), answer))


# The others are for the fetcher: how many redirects it follows, and a second answer of the same name server.
@rows_of("redirect", but=r"rebinding|relative|redirects|no Location")
def test_listed_redirects_that_the_parser_must_stop(row: Row) -> None:
    [location] = parse_qs(urlsplit(row[0]).query)["to"]
    with pytest.raises(ForbiddenUrl):
        parse(location)
