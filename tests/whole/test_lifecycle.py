"""Start, stop, crash: nothing that was taken is lost, nothing that was started is left behind."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import httpx
import pytest
import redis

from tests.whole.encodes import encode_begun, held_up
from tests.whole.jobs import is_soon
from tests.whole.pictures import encoded, noise, photo
from tests.whole.service import COMPRESS, Api, Service, error_of

JPEG = encoded(photo(64, 48), "JPEG")
#: Takes an encoder about a second.
SLOW = encoded(noise(700, 700), "PNG")


def test_it_prints_a_working_key_and_the_curl_line(service: Service) -> None:
    log = service.log()
    key = next(word for word in log.split() if word.startswith("cz_live_"))
    with Api(service.url, key) as client:
        assert client.compress(JPEG).status_code == 200
    assert "curl" in log
    assert f"{service.url}/docs" in log


def test_sigterm_answers_what_is_under_way_and_leaves_nothing() -> None:
    service = Service().start()
    try:
        replies: list[httpx.Response] = []
        with service.client() as client:
            asking = threading.Thread(
                target=lambda: replies.append(client.compress(SLOW, format="avif", quality="90")), daemon=True
            )
            with encode_begun(service):
                asking.start()
            assert service.stop() == 0
            asking.join(30)
        assert [reply.status_code for reply in replies] == [200]
        assert is_soon(lambda: service.pids() == {})
    finally:
        service.close()


def test_a_half_sent_body_does_not_hold_up_the_end() -> None:
    service = Service(DRAIN_S="2").start()
    try:
        key = service.new_key()
        head = (
            f"POST {COMPRESS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999\r\n\r\n--x\r\n"
        )
        with socket.create_connection(("127.0.0.1", service.port)) as link:
            link.sendall(head.encode())
            time.sleep(0.3)
            assert service.stop() is not None, "it had to be killed"
        assert is_soon(lambda: service.pids() == {})
    finally:
        service.close()


def test_a_killed_encode_process_costs_one_request() -> None:
    service = Service(ENCODE_PROCESSES="1").start()
    try:
        with service.client() as client:
            replies: list[httpx.Response] = []
            asking = threading.Thread(
                target=lambda: replies.append(client.compress(SLOW, format="avif", quality="90")), daemon=True
            )
            with encode_begun(service):
                asking.start()
            [victim] = service.encode_pids()
            os.kill(victim, signal.SIGKILL)
            asking.join(30)
            assert error_of(replies[0])[:2] == (500, "compression_failed")
            assert client.compress(JPEG).status_code == 200
            assert service.encode_pids() != [victim]
    finally:
        service.close()


@pytest.mark.parametrize("victim", ["supervisor", "api"])
def test_killing_what_started_others_ends_everything(victim: str) -> None:
    """No process outlives its parent, even one that could not say goodbye."""
    service = Service().start()
    try:
        assert service.process is not None
        os.kill(service.process.pid if victim == "supervisor" else service.api_pid(), signal.SIGKILL)
        service.process.wait()
        assert is_soon(lambda: service.pids() == {}, within_s=60)
    finally:
        for pid in service.pids():
            os.kill(pid, signal.SIGKILL)
        service.close()


def test_a_slow_client_holds_no_encode_slot() -> None:
    """With one encode process and a client that never finishes its file, others are served."""
    service = Service(ENCODE_PROCESSES="1", WAITING_PER_SLOT="0", REUSE_RESULTS="false").start()
    try:
        with service.client() as client:
            body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + JPEG
            head = (
                f"POST {COMPRESS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {client.key}\r\n"
                f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) + 100}\r\n\r\n"
            )
            with socket.create_connection(("127.0.0.1", service.port)) as slow:
                slow.sendall(head.encode() + body)
                assert [client.compress(JPEG).status_code for _ in range(5)] == [200] * 5
    finally:
        service.close()


def test_a_full_waiting_room_is_told_at_once() -> None:
    service = Service(ENCODE_PROCESSES="1", WAITING_PER_SLOT="0").start()
    try:
        with service.client() as client, ThreadPoolExecutor(2) as pool:
            with held_up(service):
                asked = [pool.submit(client.compress, JPEG, quality=quality) for quality in ("50", "51")]
                [refused], [taken] = wait(asked, 60, FIRST_COMPLETED)
                assert error_of(refused.result())[:2] == (503, "overloaded")
                assert int(refused.result().headers["Retry-After"]) >= 1
            assert taken.result().status_code == 200
    finally:
        service.close()


def test_a_body_that_stands_still_is_408() -> None:
    service = Service(BODY_IDLE_S="0.5").start()
    try:
        with service.client() as client:
            head = (
                f"POST {COMPRESS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {client.key}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9999\r\n\r\n-"
            )
            with socket.create_connection(("127.0.0.1", service.port), timeout=20) as link:
                link.sendall(head.encode())
                assert link.recv(65536).startswith(b"HTTP/1.1 408")
    finally:
        service.close()


def test_bad_settings_are_named_before_anything_starts() -> None:
    service = Service(PORT="http")
    try:
        done = service.run("serve")
        assert done.returncode != 0
        assert "PORT" in done.stderr
    finally:
        service.close()


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_needs_no_key(anonymous: Api, path: str) -> None:
    assert anonymous.get(path).status_code == 200


def test_log_lines_carry_the_answers_request_id_and_no_secret(service: Service, api: Api) -> None:
    reply = api.compress(JPEG)
    assert service.logged(reply.headers["X-Request-Id"])
    assert (api.key or "none") not in service.log()


def test_a_valkey_that_is_killed_comes_back_with_its_keys() -> None:
    service = Service().start()
    try:
        with service.client() as client:
            # Nothing promises that a key is in the server's file as soon as it is made.
            assert is_soon(lambda: not aof_buffer_bytes(service))
            killed = service.valkey_pid()
            os.kill(killed, signal.SIGKILL)
            assert is_soon(lambda: killed not in service.pids())
            assert is_soon(lambda: client.compress(JPEG).status_code == 200, within_s=30)
    finally:
        service.close()


def aof_buffer_bytes(service: Service) -> int:
    """What the private Valkey has acknowledged and not written."""
    with redis.Redis(unix_socket_path=f"{service.environment['DATA_DIR']}/valkey.sock") as valkey:
        return int(valkey.info("persistence")["aof_buffer_length"])


def test_a_second_service_on_the_same_folder_is_refused() -> None:
    service = Service().start()
    try:
        second = service.run("serve")
        assert second.returncode != 0
        assert "in use" in second.stderr
    finally:
        service.close()


def test_the_command_reaches_the_keys_with_and_without_a_running_service() -> None:
    """The same key store serves the running service and the command alone."""
    service = Service()
    try:
        alone = service.run("keys", "create", "--account", "a", "--json")
        assert alone.returncode == 0, alone.stderr
        made = json.loads(alone.stdout)
        service.start()
        with Api(service.url, made["key"]) as client:
            assert client.compress(JPEG).headers["X-RateLimit-Limit"] == "20"
            rotated = json.loads(service.run("keys", "rotate", made["id"], "--json").stdout)
            assert rotated["webhook_secret"] == made["webhook_secret"]
            assert service.run("keys", "rotate", made["id"]).returncode != 0, "two live keys are the most"
            assert service.run("keys", "revoke", made["id"]).returncode == 0
            time.sleep(1)
            assert client.compress(JPEG).status_code == 401
        with Api(service.url, rotated["key"]) as client:
            assert client.compress(JPEG).status_code == 200
        listed = json.loads(service.run("keys", "list", "--account", "a", "--json").stdout)
        assert [key["revoked"] is None for key in listed] == [True, False]
    finally:
        service.close()


def test_a_key_that_is_revoked_is_refused_within_a_second_by_every_process(pair: Service) -> None:
    """Also by those that have seen it a moment ago; each connection goes to one process or the other."""
    key = pair.new_key()

    def ask() -> int:
        with Api(pair.url, key) as client:
            return client.get("/api/v1/status/none").status_code

    assert {ask() for _ in range(20)} == {404}
    [made] = [one for one in json.loads(pair.run("keys", "list", "--json").stdout) if key.startswith(one["prefix"])]
    assert {ask() for _ in range(20)} == {404}
    assert pair.run("keys", "revoke", made["id"]).returncode == 0
    time.sleep(1)
    assert {ask() for _ in range(40)} == {401}
