"""Whatever happens, no secret is told: not by a log line, not by an error, and by Redis only where it must be."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import redis

from tests.snapshots import bytes_below
from tests.whole.encodes import encode_begun
from tests.whole.jobs import DOWNLOAD, QUICK, SMALL, STATUS, is_soon, new_source, submit, wait_for_end
from tests.whole.pictures import encoded, noise
from tests.whole.service import COMPRESS, Api, Service

#: Takes an encoder about a second: long enough to be killed.
SLOW = encoded(noise(700, 700), "PNG")
PEPPER = "a-pepper-that-is-easily-found-0123456789"
#: More than one process answers so many connections.
CONNECTIONS = 16


@pytest.fixture(scope="module")
def talkative() -> Iterator[Service]:
    """Two API processes that log all they can."""
    running = Service(KEY_PEPPER=PEPPER, LOG_LEVEL="debug", API_WORKERS="2", ENCODE_PROCESSES="2").start()
    yield running
    running.close()


def compress_while_encoders_die(service: Service, client: Api) -> None:
    asking = threading.Thread(target=lambda: client.compress(SLOW, format="avif", quality="90"), daemon=True)
    with encode_begun(service):
        asking.start()
    for pid in service.encode_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    asking.join(30)


def use_everything(service: Service, client: Api) -> str:
    """Send what is right and what is wrong in every way; return the signature of a link."""
    once = {"Idempotency-Key": "order 1"}
    assert client.compress(SMALL, **QUICK, headers=once).status_code == 200
    assert client.compress(SMALL, quality="40", headers=once).status_code == 409
    job = submit(client, new_source(), webhook_url="https://93.184.216.34/hook", **QUICK)
    wait_for_end(client, job)
    link = client.get(DOWNLOAD + job).headers["Location"]
    assert client.get(link).status_code == 200
    assert client.get(f"{link}0").status_code == 403
    assert client.get(link, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert client.get(STATUS + "unknown").status_code == 404
    assert client.get(COMPRESS).status_code == 405
    assert client.compress(b"GIF89a").status_code == 415
    assert client.compress(SMALL[:-900]).status_code == 422
    assert client.compress(SMALL, format="tiff").status_code == 400
    assert client.post(COMPRESS, json={"url": "https://nowhere.invalid/a?token=secret"}).status_code == 422
    assert client.get(STATUS + job, headers={"Authorization": f"Basic {client.key}"}).status_code == 401
    assert client.get(STATUS + job, headers={"Authorization": f"Bearer {client.key}0"}).status_code == 401
    compress_while_encoders_die(service, client)
    # The worker reads the secret to sign with.
    is_soon(lambda: '"attempts":1' in service.run("webhooks", "list", "--json").stdout)
    return str(link.rpartition("signature=")[2])


def places_in_redis(service: Service, text: str) -> set[str]:
    """The keys of Redis whose name or value holds `text`."""
    wanted, found = text.encode(), set()
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as valkey:
        reads = {
            b"string": valkey.get,
            b"hash": valkey.hgetall,
            b"set": valkey.smembers,
            b"zset": lambda name: valkey.zrange(name, 0, -1),
            b"list": lambda name: valkey.lrange(name, 0, -1),
            b"stream": valkey.xrange,
        }
        names = list(valkey.scan_iter(count=1000))
        assert names
        for name in names:
            kind = valkey.type(name)
            # One that expired in between.
            value = None if kind == b"none" else reads[kind](name)
            if wanted in name or wanted in repr(value).encode():
                found.add(name.decode())
    return found


def test_no_secret_is_told(talkative: Service) -> None:
    """Of keys, the pepper, webhook secrets and links' signatures: only a webhook secret is in Redis, under one key."""
    account, errors = talkative.new_account(), []

    def collect(reply: httpx.Response) -> None:
        if reply.is_error:
            errors.append(reply.read().decode() + str(reply.headers))

    with talkative.client(account["key"]) as client:
        client.event_hooks = {"response": [collect]}
        signature = use_everything(talkative, client)
    with talkative.client(per_minute=1) as spent:
        spent.event_hooks = {"response": [collect]}
        assert [spent.compress(SMALL, **QUICK).status_code for _ in range(2)] == [200, 429]
        other_key = spent.key or ""
    secrets = {account["key"], other_key, PEPPER, account["webhook_secret"], signature}
    assert len(secrets) == 5
    assert all(len(secret) > 20 for secret in secrets)
    logged, told = talkative.log(), "\n".join(errors)
    assert len(errors) >= 12
    assert "encode process ended" in logged
    assert not [secret for secret in secrets if secret in logged]
    assert not [secret for secret in secrets if secret in told]

    assert places_in_redis(talkative, account["webhook_secret"]) == {f"{{cz}}:webhook_secret:{account['account']}"}
    written = bytes_below(Path(talkative.environment["DATA_DIR"]), "**/*.aof")
    assert account["webhook_secret"].encode() in written, "this is not what Redis wrote"
    for secret in secrets - {account["webhook_secret"]}:
        assert places_in_redis(talkative, secret) == set()
        assert secret.encode() not in written


def test_a_revoked_key_is_refused_by_every_process_within_a_second(talkative: Service) -> None:
    account = talkative.new_account()
    with ExitStack() as stack:
        # A connection each, which stays with the process that took it.
        clients = [stack.enter_context(Api(talkative.url, account["key"])) for _ in range(CONNECTIONS)]
        assert {client.get(STATUS + "unknown").status_code for client in clients} == {404}
        assert talkative.run("keys", "revoke", account["id"]).returncode == 0
        time.sleep(1)
        assert {client.get(STATUS + "unknown").status_code for client in clients} == {401}
