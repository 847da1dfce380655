"""`/docs` and `/openapi.json`: everything comes from the service itself, and nothing but what the page needs."""

import gzip
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from typing import cast

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from app.api import reference, replies
from app.api.edge import ASGIApp, Edge
from app.api.openapi import document
from app.settings import Settings

ASSET = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]+)""")
KINDS = {"css": "text/css", "js": "text/javascript", "png": "image/png"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    application = Litestar(
        [reference.router(Settings())],
        exception_handlers={Exception: replies.error},
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(Edge(cast("ASGIApp", application))) as client:  # type: ignore[arg-type, type-var]  # an application too
        yield client


def assets(client: TestClient[Litestar]) -> list[str]:
    return ASSET.findall(client.get("/docs").text)


def test_the_document_is_served_as_json(client: TestClient[Litestar]) -> None:
    reply = client.get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == document(Settings())


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_page_is_titled_as_the_document(client: TestClient[Litestar], path: str) -> None:
    page = client.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<title>{document(Settings())['info']['title']}</title>" in page.text


def test_every_asset_loads_as_what_it_is(client: TestClient[Litestar]) -> None:
    found = assets(client)
    assert len(found) == 4
    for path in found:
        reply = client.get(path)
        assert reply.status_code == 200, path
        assert reply.headers["content-type"].partition(";")[0] == KINDS[path.rpartition(".")[2]]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert len(reply.content) > 100


def test_no_other_host_is_named(client: TestClient[Litestar]) -> None:
    for path in ("/docs", "/docs/start.js"):
        assert not re.search(r"(?:https?:)?//\w", client.get(path).text)
    assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", client.get("/docs/swagger-ui.css").text)


def test_the_policy_admits_only_the_service_and_the_page_needs_no_more(client: TestClient[Litestar]) -> None:
    page = client.get("/docs")
    policy = dict(part.split(maxsplit=1) for part in page.headers["content-security-policy"].split("; "))
    assert policy.pop("img-src") == "'self' data: blob:"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|javascript:", page.text)


def test_swagger_ui_is_one_that_renders_openapi_3_1(client: TestClient[Litestar]) -> None:
    version = re.search(r'PACKAGE_VERSION:"(\d+)', client.get("/docs/swagger-ui-bundle.js").text)
    assert version is not None
    assert int(version[1]) >= 5


def unneeded() -> list[str]:
    """Names in the package's folder that the page does not use."""
    files = distribution("swagger-ui-py").files or []
    names = [file.name for file in files if file.parent.name == "static"]
    return [name for name in names if name not in reference._SWAGGER_UI_FILES]


def test_only_what_the_page_needs_can_be_reached(client: TestClient[Litestar]) -> None:
    others = unneeded()
    assert others
    for name in [*others, "none.js", "..%2f__init__.py", "%2e%2e/core.py", "index.html", ""]:
        reply = client.get(f"/docs/{name}" if name else "/docs/a/b")
        assert reply.status_code == 404, name
        assert reply.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/swagger-ui-bundle.js", "/docs/start.js"])
def test_what_a_browser_has_is_not_sent_again(client: TestClient[Litestar], path: str) -> None:
    for encoding in ("gzip", "identity"):
        first = client.get(path, headers={"Accept-Encoding": encoding})
        assert first.headers["cache-control"] == "no-cache"
        again = {"Accept-Encoding": encoding, "If-None-Match": f'"other", {first.headers["etag"]}'}
        assert client.get(path, headers=again).status_code == 304
        assert client.get(path, headers=again).content == b""
        assert client.get(path, headers={**again, "If-None-Match": '"other"'}).content == first.content


def test_gzip_is_another_spelling_of_the_same(client: TestClient[Litestar]) -> None:
    path = "/docs/swagger-ui-bundle.js"
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as zipped:
        body = b"".join(zipped.iter_raw())
    assert gzip.decompress(body) == plain.content
    assert len(body) < len(plain.content) / 2
    assert zipped.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert zipped.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.0, br", False), ("x-gzip2", False)],
)
def test_gzip_is_sent_to_those_who_take_it(client: TestClient[Litestar], accepted: str, zipped: bool) -> None:
    reply = client.get("/docs/start.js", headers={"Accept-Encoding": accepted})
    assert ("content-encoding" in reply.headers) == zipped
