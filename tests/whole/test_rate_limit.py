"""Budgets over HTTP: exact over processes, told on every answer, polling apart from compressing."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.whole.pictures import encoded, photo
from tests.whole.service import Api, Service, error_of

JPEG = encoded(photo(16, 16), "JPEG")
HEADERS = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"]


def test_200_at_once_over_two_api_processes_let_exactly_100_through(service: Service) -> None:
    second = Service("api", DATA_DIR=service.environment["DATA_DIR"], WAITING_PER_SLOT="500")
    first = Service("api", DATA_DIR=service.environment["DATA_DIR"], WAITING_PER_SLOT="500")
    try:
        for one in (first, second):
            one.start()
        key = service.new_key(per_minute=100)

        def ask(number: int) -> int:
            with Api((first, second)[number % 2].url, key) as client:
                return client.compress(JPEG, quality="50").status_code

        with ThreadPoolExecutor(50) as pool:
            statuses = sorted(pool.map(ask, range(200)))
        assert statuses == [200] * 100 + [429] * 100
    finally:
        first.close()
        second.close()


def test_the_headers_count_down_and_the_429_tells_when_to_come_back(service: Service) -> None:
    with service.client(per_minute=3) as client:
        begun = time.time()
        replies = [client.compress(JPEG) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429, 429]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["2", "1", "0", "0", "0"]
    resets = {reply.headers["X-RateLimit-Reset"] for reply in replies}
    assert len(resets) == 1
    reset = int(resets.pop())
    assert begun + 59 <= reset <= time.time() + 61
    assert re.fullmatch(r'"compress";q=3;w=60', replies[0].headers["RateLimit-Policy"])
    assert re.fullmatch(r'"compress";r=2;t=(\d|[1-5]\d|60)', replies[0].headers["RateLimit"])
    refused = replies[-1]
    assert error_of(refused)[:2] == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert f"{datetime.fromtimestamp(reset, UTC):%H:%M:%S}" in refused.json()["error"]["message"]


def test_polling_spends_a_budget_of_its_own(service: Service) -> None:
    with service.client(per_minute=1) as client:
        client.compress(JPEG)
        polls = [client.get("/api/v1/status/unknown") for _ in range(12)]
    assert [reply.status_code for reply in polls] == [404] * 10 + [429] * 2
    assert polls[0].headers["X-RateLimit-Limit"] == "10"


@pytest.mark.parametrize(("plan", "limit"), [("free", "20"), ("paid", "100")])
def test_a_plan_has_its_number(service: Service, plan: str, limit: str) -> None:
    with service.client(plan=plan) as client:
        assert client.compress(JPEG).headers["X-RateLimit-Limit"] == limit


def test_every_authenticated_answer_carries_the_headers(api: Api) -> None:
    for reply in (
        api.compress(JPEG),
        api.compress(JPEG, format="x"),
        api.compress(b"GIF89a"),
        api.get("/api/v1/status/x"),
    ):
        assert all(reply.headers.get(name) for name in HEADERS), reply.status_code
