"""Requests drawn from the service's own OpenAPI document, right and wrong ones: every answer is as the document says.

About 150, and 40 damaged images, in a usual run; with FUZZ_S set, 2,000 and 5,000. The service runs in a network of its
own, on whose private addresses a server listens that must hear nothing.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api.openapi import COMPRESS_CODES, document
from app.errors import STATUS
from app.settings import Settings
from tests.hostile.mutations import FORMATS, MOST_DEATHS_PER, damaged, sources
from tests.whole.public import PublicNet, Web
from tests.whole.service import COMPRESS, Service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Keys are put in here: else a wrong request would mostly be one with a wrong key, and tell nothing more.
CONFIG = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
LONG = bool(os.environ.get("FUZZ_S"))
#: Requests, right ones and as many wrong ones, to an operation: a compression has the most to get wrong.
COUNTS = {COMPRESS: 500 if LONG else 42}
OTHERS = 125 if LONG else 8
#: Damaged images of each format, beside those that the pool of `tests/hostile` gets.
DAMAGED = range(10_000, 11_250 if LONG else 10_010)
BOTH = tuple(GenerationMode)
OPERATIONS = [
    (path, method, mode)
    for path, item in document(Settings())["paths"].items()
    for method, operation in item.items()
    for mode in (BOTH if {"parameters", "requestBody"} & operation.keys() else BOTH[:1])
]
#: Addresses of this machine and its neighbours, in spellings that a guard might not know.
PRIVATE = [
    *("http://127.0.0.1/", "https://127.0.0.1/", "http://localhost/", "http://0.0.0.0/", "http://[::1]/"),
    *("http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://127.1/", "http://0x7f.0.0.1/"),
    *("http://017700000001/", "http://127.0.0.1./"),
    *("http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.0.1:8080/", "http://[fd00::1]/"),
    *("http://user@127.0.0.1/", "http://127.0.0.1:80\\@93.184.216.34/", "http://127.0.0.1%2f@example.com/"),
    *("file:///etc/passwd", "gopher://127.0.0.1:80/", "//127.0.0.1/", "http://127。0。0。1/", "http://①②⑦.0.0.1/"),
]
ANSWER_S = 30


@pytest.fixture(scope="module")
def canary(net: PublicNet) -> Iterator[Web]:
    """A server where nothing of the service may ever call."""
    running = Web(net, 80, address="127.0.0.1")
    yield running
    running.close()


@pytest.fixture(scope="module")
def fuzzed(net: PublicNet, outbound_service: Service) -> Iterator[SimpleNamespace]:
    """What a client of the service has: its document, a key, a session, a job that has ended and a link to its file."""
    with outbound_service.client() as api, requests.Session() as session:
        job = api.compress(sources("jpeg")[0], quality="60").headers["X-Job-Id"]
        link = api.get(f"/api/v1/download/{job}").headers["Location"]
        yield SimpleNamespace(
            schema=schemathesis.openapi.from_dict(api.get("/openapi.json").json(), config=CONFIG),
            url=outbound_service.url,
            net=net,
            session=session,
            api=api,
            service=outbound_service,
            job=job,
            grant=urlsplit(link).query,
            told=Counter(),
        )


def complete(case: schemathesis.Case, fuzzed: SimpleNamespace, data: st.DataObject) -> dict[str, str]:
    """Put in what no generator can know, some of the time; return the headers to send besides.

    A key, the id of a job that exists, pictures, and addresses that must not be called.
    """
    if "id" in (case.path_parameters or {}) and data.draw(st.booleans(), "known job"):
        case.path_parameters["id"] = fuzzed.job
    if isinstance(case.body, dict):
        if "file" in case.body:
            kind = data.draw(st.sampled_from(("whole", "damaged", "generated")), "picture")
            name, number = data.draw(st.sampled_from(FORMATS)), data.draw(st.integers(0, 9999))
            made = {"whole": sources(name)[0], "damaged": damaged(name, number), "generated": case.body["file"]}
            case.body["file"] = made[kind]
        for name in {"url", "webhook_url"} & case.body.keys():
            if data.draw(st.booleans(), f"private {name}"):
                case.body[name] = data.draw(st.sampled_from(PRIVATE))
    headers = {}
    # In this order, because the first and the last of a list come more often than others.
    key = data.draw(st.sampled_from([fuzzed.api.key] * 4 + [None, "wrong"] + [fuzzed.api.key] * 4), "key")
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if "/files/" in case.path and data.draw(st.booleans(), "range"):
        first, last = (data.draw(st.sampled_from(("", "0", "1", "99", "999999", "x"))) for _ in "ab")
        headers["Range"] = f"bytes={first}-{last}"
    return headers


def with_query(query: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return what gives a request this query, character by character: a link is signed as it stands."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.url = f"{str(request.url).partition('?')[0]}?{query}"
        return request

    return sign


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS, ids=lambda value: str(getattr(value, "value", value)))
def test_every_answer_is_as_the_document_says(
    fuzzed: SimpleNamespace, canary: Web, path: str, method: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=COUNTS.get(path, OTHERS),
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed.schema[path][method].as_strategy(generation_mode=mode), st.data())
    def holds(case: schemathesis.Case, data: st.DataObject) -> None:
        sent = {"headers": complete(case, fuzzed, data), "timeout": ANSWER_S, "allow_redirects": False}
        if "/files/" in path and data.draw(st.booleans(), "right link"):
            case.path_parameters["id"] = fuzzed.job
            sent["auth"] = with_query(fuzzed.grant)

        def ask() -> Any:
            return case.call(base_url=fuzzed.url, session=fuzzed.session, **sent)

        reply = fuzzed.net.run(ask)
        fuzzed.told[method, path, reply.status_code] += 1
        case.validate_response(reply, checks=CHECKS)

    holds()
    assert fuzzed.api.get("/health/live").status_code == 200
    assert not canary.received, canary.received


def test_the_answers_were_of_many_kinds(fuzzed: SimpleNamespace, canary: Web) -> None:
    """Requests that are all refused at the door would try nothing behind it."""
    if {one[:2] for one in fuzzed.told} < {(method, path) for path, method, _ in OPERATIONS}:
        pytest.skip("not every operation was asked before this")
    print(f"\n{fuzzed.told.total()} requests: {dict(fuzzed.told)}")  # noqa: T201 - with -s, what was tried
    assert fuzzed.told.total() >= (2000 if LONG else 130)
    compressions = {status for _, path, status in fuzzed.told if path == COMPRESS}
    assert compressions >= {200, 400, 401, 422}, fuzzed.told
    assert {302, 401, 404} <= {status for _, path, status in fuzzed.told if "/download/" in path}, fuzzed.told
    assert {200, 403} <= {status for _, path, status in fuzzed.told if "/files/" in path}, fuzzed.told


def lasting_pids(service: Service) -> set[int]:
    """Every process of the service but its encode processes, which may be replaced."""
    return {pid for pid, line in service.pids().items() if "forkserver" not in line}


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_images_leave_the_service_as_it_was(fuzzed: SimpleNamespace, name: str) -> None:
    told: Counter[str] = Counter()
    before = lasting_pids(fuzzed.service)
    for number in DAMAGED:
        reply = fuzzed.api.compress(damaged(name, number), quality="60")
        code = "" if reply.status_code == 200 else reply.json()["error"]["code"]
        shown = f"damaged({name!r}, {number}): {reply.status_code} {reply.content[:200]!r}"
        assert not code or (code in COMPRESS_CODES and reply.status_code == STATUS[code]), shown
        if code == "compression_failed":
            print(f"\n{shown}")  # noqa: T201 - its encode process died: allowed, and worth a look
        told[code] += 1
    assert lasting_pids(fuzzed.service) == before
    assert told["compression_failed"] <= len(DAMAGED) // MOST_DEATHS_PER, told
    assert told["decode_failed"], told


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_is_refused_however_it_is_spelt(fuzzed: SimpleNamespace, canary: Web, url: str) -> None:
    for fields in ({"url": url}, {"url": "http://example.com/", "webhook_url": url}):
        reply = fuzzed.api.post(COMPRESS, json=fields)
        assert reply.status_code == 400, reply.text
        assert reply.json()["error"]["code"] == ("invalid_param" if "webhook_url" in fields else "invalid_url")
    assert not canary.received
