"""What is documented holds of the running service: the document, its page, and API.md's examples as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import app
from tests.whole.pictures import encoded, opened, photo
from tests.whole.service import COMPRESS, Api, Service, error_of

API_MD = (Path(app.__file__).parents[1] / "API.md").read_text()
JPEG = encoded(photo(), "JPEG", quality=95)


@pytest.fixture(scope="module")
def document(anonymous: Api) -> dict[str, Any]:
    reply = anonymous.get("/openapi.json")
    assert reply.status_code == 200
    return reply.json()  # type: ignore[no-any-return]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", API_MD, re.MULTILINE | re.DOTALL)


def check(document: dict[str, Any], path: str, method: str, reply: httpx.Response) -> None:
    """Fail unless the document foretells this answer: its status, media type and headers."""
    told = document["paths"][path][method]["responses"][str(reply.status_code)]
    assert reply.headers["content-type"] in told["content"]
    required = {name.lower() for name, header in told["headers"].items() if header["required"]}
    assert required <= set(reply.headers), required - set(reply.headers)
    # Those of HTTP itself are not told.
    sent = {name for name in reply.headers if name.startswith(("x-", "ratelimit")) or name in {"allow", "retry-after"}}
    assert sent <= {name.lower() for name in told["headers"]}
    if reply.status_code >= 400:
        schema = told["content"]["application/json"]["schema"]["allOf"][1]
        assert error_of(reply)[1] in schema["properties"]["error"]["properties"]["code"]["enum"]


def test_a_result_is_as_the_document_says(api: Api, document: dict[str, Any]) -> None:
    check(document, COMPRESS, "post", api.compress(JPEG, format="webp"))
    small = encoded(photo(), "JPEG", quality=20, optimize=True)
    check(document, COMPRESS, "post", api.compress(small, quality="100"))


@pytest.mark.parametrize(
    ("status", "data", "fields"),
    [
        (400, JPEG, {"format": "tiff"}),
        (413, JPEG.ljust(2 * 1024 * 1024, b"\0"), {}),
        (415, b"GIF89a", {}),
        (422, JPEG[: len(JPEG) // 2], {}),
    ],
)
def test_a_refusal_is_as_the_document_says(
    api: Api, document: dict[str, Any], status: int, data: bytes, fields: dict[str, str]
) -> None:
    reply = api.compress(data, **fields)
    assert reply.status_code == status
    check(document, COMPRESS, "post", reply)


def test_an_address_is_refused_as_the_document_says(api: Api, document: dict[str, Any]) -> None:
    fields = {"url": "https://example.com/photo.jpg"}
    for reply in (api.post(COMPRESS, data=fields), api.post(COMPRESS, json=fields)):
        assert reply.status_code == 422
        check(document, COMPRESS, "post", reply)


@pytest.mark.parametrize("kind", ["status", "download"])
def test_a_job_is_unknown_as_the_document_says(api: Api, anonymous: Api, document: dict[str, Any], kind: str) -> None:
    for client, status in ((api, 404), (anonymous, 401)):
        reply = client.get(f"/api/v1/{kind}/Zb1l0d4W2vXo9QeT")
        assert reply.status_code == status
        check(document, f"/api/v1/{kind}/{{id}}", "get", reply)


def test_a_used_up_window_is_as_the_document_says(service: Service, document: dict[str, Any]) -> None:
    with service.client(per_minute=1) as client:
        client.compress(b"")
        reply = client.compress(b"")
    assert reply.status_code == 429
    check(document, COMPRESS, "post", reply)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_as_the_document_says(anonymous: Api, document: dict[str, Any], path: str) -> None:
    reply = anonymous.get(path)
    check(document, path, "get", reply)
    assert reply.json() == document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]


def test_the_page_is_there_and_what_is_not_is_one_error(anonymous: Api) -> None:
    assert "<title>Compressorize API</title>" in anonymous.get("/docs").text
    assert error_of(anonymous.get("/docs/none.js")) == (404, "not_found", None)
    assert error_of(anonymous.post("/docs")) == (405, "method_not_allowed", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photo.jpg").write_bytes(JPEG)
    (tmp_path / "logo.png").write_bytes(encoded(photo(), "PNG"))
    return tmp_path


def run(service: Service, folder: Path, *command: str) -> str:
    environment = {**os.environ, "API": service.url, "KEY": service.new_key()}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on the PATH")
def test_the_examples_in_curl_work(service: Service, folder: Path) -> None:
    first, second = blocks("sh")
    run(service, folder, "sh", "-ec", re.sub(r"^(API|KEY)=.*\n", "", first, flags=re.MULTILINE))
    assert opened((folder / "compressed.webp").read_bytes()).format == "WEBP"
    assert "x-savings-percent" in (folder / "headers.txt").read_text().lower()
    run(service, folder, "sh", "-ec", second)
    assert opened((folder / "small.avif").read_bytes()).format == "AVIF"
    assert opened((folder / "logo-small.png").read_bytes()).format == "PNG"


def test_the_example_in_python_works(service: Service, folder: Path) -> None:
    (code,) = blocks("python")
    assert "% saved" in run(service, folder, sys.executable, "-c", code)
    assert opened((folder / "compressed.webp").read_bytes()).format == "WEBP"


@pytest.mark.skipif(not shutil.which("node"), reason="no node on the PATH")
def test_the_example_in_node_works(service: Service, folder: Path) -> None:
    (code,) = blocks("js")
    assert "% saved" in run(service, folder, "node", "--input-type=module", "-e", code)
    assert opened((folder / "compressed.webp").read_bytes()).format == "WEBP"
