"""What is documented holds of the running service: the document, its page, and API.md's examples as they stand."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

import app
from tests.faults.load import frozen
from tests.whole.jobs import new_source, submit, wait_for_end
from tests.whole.pictures import encoded, opened, padded_jpeg, photo
from tests.whole.service import COMPRESS, Api, Service, error_of

API_MD = (Path(app.__file__).parents[1] / "API.md").read_text()
JPEG = encoded(photo(), "JPEG", quality=95)
STATUS, DOWNLOAD, FILE = "/api/v1/status/{id}", "/api/v1/download/{id}", "/api/v1/files/{id}/result"
#: Headers that HTTP leaves to whoever answers; the rest is its own.
TOLD = {"accept-ranges", "allow", "content-range", "etag", "location", "retry-after", "server-timing"}


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
    if reply.content:
        assert reply.headers["content-type"] in told["content"]
    required = {name.lower() for name, header in told["headers"].items() if header["required"]}
    assert required <= set(reply.headers), required - set(reply.headers)
    sent = {name for name in reply.headers if name.startswith(("x-", "ratelimit")) or name in TOLD}
    headers = {name.lower(): header["schema"] for name, header in told["headers"].items()}
    assert sent <= headers.keys()
    for name in sent & headers.keys():
        text = reply.headers[name]
        assert re.search(headers[name].get("pattern", ""), text), name
        assert text in headers[name].get("enum", [headers[name].get("const", text)]), name
    if reply.status_code >= 400 and reply.content:
        schema = told["content"]["application/json"]["schema"]["allOf"][1]
        assert error_of(reply)[1] in schema["properties"]["error"]["properties"]["code"]["enum"]


def test_a_result_is_as_the_document_says(api: Api, document: dict[str, Any]) -> None:
    check(document, COMPRESS, "post", api.compress(JPEG, format="webp"))
    small = encoded(photo(), "JPEG", quality=20, optimize=True)
    for _ in ("miss", "hit"):
        check(document, COMPRESS, "post", api.compress(small, quality="100"))


def test_a_request_that_is_repeated_is_as_the_document_says(api: Api, document: dict[str, Any]) -> None:
    once = {"Idempotency-Key": os.urandom(8).hex()}
    for data, status in ((JPEG, 200), (new_source(), 202)):
        once["Idempotency-Key"] += "x"
        for _ in ("first", "again"):
            reply = api.compress(data, headers=once, quality="50")
            assert reply.status_code == status
            check(document, COMPRESS, "post", reply)
        conflict = api.compress(data, headers=once, quality="51")
        assert error_of(conflict)[:2] == (409, "idempotency_conflict")
        check(document, COMPRESS, "post", conflict)


@pytest.mark.parametrize(
    ("status", "data", "fields"),
    [
        (400, JPEG, {"format": "tiff"}),
        (413, padded_jpeg(JPEG, 25 * 1024 * 1024 + 1), {}),
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
    for url, status in (("https://nowhere.invalid/photo.jpg", 422), ("https://127.0.0.1/photo.jpg", 400)):
        for reply in (api.post(COMPRESS, data={"url": url}), api.post(COMPRESS, json={"url": url})):
            assert reply.status_code == status
            check(document, COMPRESS, "post", reply)


def fitting(document: dict[str, Any], told: dict[str, Any]) -> list[str]:
    """The document's schemas of a job that have the properties of this one."""
    schemas = document["components"]["schemas"]
    return [
        name
        for name in ("Ticket", "Processing", "Complete", "Failed")
        if list(told) == schemas[name]["required"] and told["status"] == schemas[name]["properties"]["status"]["const"]
    ]


def test_a_job_is_as_the_document_says(service: Service, document: dict[str, Any]) -> None:
    with service.client() as client:  # an account for which nothing was encoded before
        with frozen(service.worker_pid()):
            taken = client.compress(new_source(), quality="50")
            check(document, COMPRESS, "post", taken)
            assert fitting(document, taken.json()) == ["Ticket"]
            job = taken.json()["id"]
            early = client.get(f"/api/v1/download/{job}")
            assert error_of(early)[:2] == (422, "not_ready")
            check(document, DOWNLOAD, "get", early)
            replies = [client.get(f"/api/v1/status/{job}")]
        broken = submit(client, new_source()[: 2 * 1024 * 1024])
        for one in (job, broken):
            wait_for_end(client, one)
            replies.append(client.get(f"/api/v1/status/{one}"))
    seen = []
    for reply in replies:
        check(document, STATUS, "get", reply)
        seen += fitting(document, reply.json())
    assert seen == ["Processing", "Complete", "Failed"]


def test_a_download_is_as_the_document_says(api: Api, anonymous: Api, document: dict[str, Any]) -> None:
    job = submit(api)
    wait_for_end(api, job)
    redirect = api.get(f"/api/v1/download/{job}")
    assert redirect.status_code == 302
    check(document, DOWNLOAD, "get", redirect)
    link = redirect.headers["Location"]
    assert re.fullmatch(re.sub("{id}", job, FILE), link.partition("?")[0])
    whole = anonymous.get(link)
    known = {"If-None-Match": whole.headers["ETag"]}
    answers = [
        (200, whole),
        (200, anonymous.head(link)),
        (206, anonymous.get(link, headers={"Range": "bytes=1-2"})),
        (304, anonymous.get(link, headers=known)),
        (304, anonymous.head(link, headers=known)),
        (403, anonymous.get(f"{link}0")),
        (403, anonymous.head(f"{link}0")),
        (416, anonymous.get(link, headers={"Range": "bytes=99999999-"})),
    ]
    for status, reply in answers:
        assert reply.status_code == status
        check(document, FILE, reply.request.method.lower(), reply)


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
    example = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert reply.json()["status"] == example["status"]
    assert reply.json().keys() == example.keys()  # what is locked down is the kernel's matter


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
    first, purge, second = blocks("sh")
    run(service, folder, "sh", "-ec", re.sub(r"^(API|KEY)=.*\n", "", first, flags=re.MULTILINE))
    assert opened((folder / "compressed.webp").read_bytes()).format == "WEBP"
    assert "x-savings-percent" in (folder / "headers.txt").read_text().lower()
    assert json.loads(run(service, folder, "sh", "-ec", purge)) == {"purged": 0}
    run(service, folder, "sh", "-ec", second)
    assert opened((folder / "small.avif").read_bytes()).format == "AVIF"
    assert opened((folder / "logo-small.png").read_bytes()).format == "PNG"
