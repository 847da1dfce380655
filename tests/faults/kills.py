"""`make faults`: what tests/whole/test_faults.py tries in short, for long, with webhooks."""

import json
import os
import signal
import ssl
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
import trustme

from tests.faults.load import KillingWorkers, keep_submitting, tell
from tests.whole.jobs import is_soon, wait_for_end
from tests.whole.public import ADDRESS, PublicNet, Web, is_signed
from tests.whole.service import Service

JOBS, KILLS = 200, 20
VALKEY_KILLS = 5


@pytest.fixture
def net() -> Iterator[PublicNet]:
    made = PublicNet()
    yield made
    made.close()


def test_20_kills_of_workers_over_200_jobs(net: PublicNet) -> None:
    """0 lost, 0 ended twice, every webhook signed and delivered under one id, all taken up again within 10 s."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(tls)
    receiver = Web(net, 443, tls=tls)
    service = Service(net=net)
    authority.cert_pem.write_to_path(str(service.folder / "authority.pem"))
    service.environment["SSL_CERT_FILE"] = str(service.folder / "authority.pem")
    try:
        account = service.start().new_account()
        with service.client(account["key"]) as client:
            story = KillingWorkers(
                service, client, jobs=JOBS, kills=KILLS, is_patient=True, webhook_url=f"https://{ADDRESS}/hook"
            )
            story.run()
        assert story.told == {"complete": JOBS}
        assert story.ended_twice() == []
        assert max(story.gaps_s) <= 10
        ids = defaultdict(set)
        assert is_soon(lambda: len({json.loads(one.body)["id"] for one in receiver.to("/hook")}) == JOBS)
        for one in receiver.to("/hook"):
            assert is_signed(one, account["webhook_secret"])
            ids[json.loads(one.body)["id"]].add(one.headers["webhook-id"])
        assert set(ids) == set(story.ids)
        assert {len(found) for found in ids.values()} == {1}
        tell(f"{len(story.interrupted)} jobs interrupted, taken up again after {max(story.gaps_s):.1f} s at most")
        tell(f"{len(receiver.to('/hook'))} webhooks for {JOBS} jobs")
    finally:
        service.close()
        receiver.close()


def test_kills_of_valkey_under_load() -> None:
    """0 acknowledged jobs lost, and the service is back within 5 s each time."""
    service, gaps_s = Service(REUSE_RESULTS="false").start(), []
    try:
        with service.client() as client:
            with keep_submitting(client, threads=4) as story:
                for _ in range(VALKEY_KILLS):
                    time.sleep(3)
                    os.kill(service.valkey_pid(), signal.SIGKILL)
                    begun, before = time.monotonic(), len(story.acknowledged)
                    assert is_soon(lambda before=before: len(story.acknowledged) > before + 4)
                    gaps_s.append(time.monotonic() - begun)
            assert {wait_for_end(client, job, 120)["status"] for job in story.acknowledged} == {"complete"}
        assert set(story.refused) <= {(503, "unavailable")}
        assert max(gaps_s) <= 5
        tell(f"{len(story.acknowledged)} jobs acknowledged, none lost; {len(story.refused)} refused")
        tell(f"back after {max(gaps_s):.1f} s at most")
    finally:
        service.close()
