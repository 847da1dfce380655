"""Webhooks from the upload to the receiver: signed, repeated with one id, and not forgotten over a restart."""

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.whole.jobs import MB, STATUS, download, is_soon, submit, wait_for_end
from tests.whole.pictures import png_claiming
from tests.whole.public import ADDRESS, PublicNet, Web, in_turn, is_signed, status
from tests.whole.service import Api, Service, error_of

HOST = f"https://{ADDRESS}"


@pytest.fixture(scope="module")
def account(outbound_service: Service) -> dict[str, str]:
    return outbound_service.new_account()


@pytest.fixture
def client(outbound_service: Service, account: dict[str, str]) -> Iterator[Api]:
    with outbound_service.client(account["key"]) as client:
        yield client


def listed(service: Service, job: str) -> dict[str, Any]:
    """What `compressorize webhooks list` tells of a job's webhook."""
    [found] = [one for one in json.loads(service.run("webhooks", "list", "--json").stdout) if one["job"] == job]
    return dict(found)


def test_a_finished_job_is_told_as_status_tells_it(client: Api, account: dict[str, str], receiver: Web) -> None:
    job = submit(client, webhook_url=f"{HOST}/done", quality="50")
    [one] = receiver.wait_for("/done")
    told = wait_for_end(client, job)
    assert json.loads(one.body) == told | {"download_url": f"https://compressorize.test/api/v1/download/{job}"}
    assert one.headers["content-type"] == "application/json"
    assert is_signed(one, account["webhook_secret"])
    assert download(client, job).status_code == 200


def test_a_failed_job_is_told_too(client: Api, account: dict[str, str], receiver: Web) -> None:
    job = submit(client, png_claiming(400, 300) + bytes(2 * MB), webhook_url=f"{HOST}/failed")
    [one] = receiver.wait_for("/failed")
    assert json.loads(one.body) == client.get(STATUS + job).json()
    assert json.loads(one.body)["error"]["code"] == "decode_failed"
    assert is_signed(one, account["webhook_secret"])


def test_it_is_sent_again_with_the_same_id_until_it_arrives(
    outbound_service: Service, client: Api, account: dict[str, str], receiver: Web
) -> None:
    """Also over a restart of the service between the attempts."""
    receiver.on("/again", in_turn(status(500), status(204)))
    job = submit(client, webhook_url=f"{HOST}/again", quality="50")
    receiver.wait_for("/again")
    outbound_service.stop()
    outbound_service.start()
    first, second = receiver.wait_for("/again", 2)
    assert second.at - first.at > 3.9
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body
    assert is_signed(second, account["webhook_secret"])
    assert is_soon(lambda: listed(outbound_service, job)["state"] == "delivered")

    replayed = outbound_service.run("webhooks", "replay", first.headers["webhook-id"])
    assert replayed.returncode == 0, replayed.stderr
    third = receiver.wait_for("/again", 3)[2]
    assert third.headers["webhook-id"] == first.headers["webhook-id"]
    assert third.body == first.body


def test_410_and_redirects(outbound_service: Service, client: Api, receiver: Web) -> None:
    """The one stops it for good; the other is a failure, and is not followed."""
    receiver.on("/gone", status(410))
    receiver.on("/moved", status(307, Location=f"{HOST}/elsewhere"))
    gone, moved = (submit(client, webhook_url=f"{HOST}/{path}", quality="50") for path in ("gone", "moved"))
    for path in ("/gone", "/moved"):
        receiver.wait_for(path)
    assert is_soon(lambda: listed(outbound_service, gone)["state"] == "failed")
    assert is_soon(lambda: listed(outbound_service, moved)["attempts"] >= 1)
    assert listed(outbound_service, moved)["state"] == "waiting"
    assert not receiver.to("/elsewhere")


def test_a_certificate_must_be_valid(outbound_service: Service, client: Api, net: PublicNet) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(ADDRESS).configure_cert(tls)
    stranger = Web(net, 8443, tls=tls)
    try:
        job = submit(client, webhook_url=f"{HOST}:8443/done", quality="50")
        wait_for_end(client, job)
        assert is_soon(lambda: "certificate" in listed(outbound_service, job)["last_result"])
        assert not stranger.received
    finally:
        stranger.close()


@pytest.mark.parametrize("url", [f"http://{ADDRESS}/", "https://127.0.0.1/", "https://[::1]/", f"{HOST}:8000/", "x"])
def test_where_no_webhook_goes(client: Api, url: str) -> None:
    assert error_of(client.compress(b"", webhook_url=url)) == (400, "invalid_param", "webhook_url")
