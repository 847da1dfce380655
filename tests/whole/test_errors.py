"""Each row of the contract's error table, and the order in which things are checked."""

import socket

import httpx
import pytest

from tests.whole.pictures import encoded, padded_jpeg, photo, png_claiming
from tests.whole.service import COMPRESS, Api, Service, error_of

JPEG = encoded(photo(64, 48), "JPEG")
GIF = encoded(photo(8, 8), "GIF")
MB = 1024 * 1024


def head_only(service: Service, key: str | None, length: int) -> httpx.Response:
    """Send a request's head that promises `length` bytes, and no body; read the answer."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {COMPRESS} HTTP/1.1\r\nHost: test\r\n{authorization}"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as link:
        link.sendall(head.encode())
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
    status, _, rest = answer.partition(b"\r\n")
    headers, _, body = rest.partition(b"\r\n\r\n")
    pairs = [tuple(line.split(b": ", 1)) for line in headers.split(b"\r\n")]
    if (b"transfer-encoding", b"chunked") in pairs:
        body = body.split(b"\r\n")[1]
        pairs.remove((b"transfer-encoding", b"chunked"))
    return httpx.Response(int(status.split()[1]), headers=pairs, content=body)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"format": "tiff"}, (400, "invalid_param", "format")),
        ({"quality": "0"}, (400, "invalid_param", "quality")),
        ({"max_width": "65536"}, (400, "invalid_param", "max_width")),
        ({"max_height": "-1"}, (400, "invalid_param", "max_height")),
        ({"strip_metadata": "maybe"}, (400, "invalid_param", "strip_metadata")),
        ({"webhook_url": "https://127.0.0.1/hook"}, (400, "invalid_param", "webhook_url")),
        ({"webhook_url": "http://93.184.216.34/hook"}, (400, "invalid_param", "webhook_url")),
        ({"colour": "1"}, (400, "invalid_param", "colour")),
        ({"url": "http://93.184.216.34/a.jpg"}, (400, "invalid_param", "url")),
    ],
)
def test_a_wrong_parameter_is_named(api: Api, fields: dict[str, str], expected: tuple[int, str, str]) -> None:
    assert error_of(api.compress(JPEG, **fields)) == expected


def test_neither_file_nor_url_is_missing_source(api: Api) -> None:
    assert error_of(api.post(COMPRESS, data={"quality": "50"}, files={}))[:2] == (400, "missing_source")
    assert error_of(api.post(COMPRESS))[:2] == (400, "missing_source")


@pytest.mark.parametrize("url", ["http://127.0.0.1/a", "http://[::1]/a", "ftp://93.184.216.34/a", "not a url"])
def test_a_private_or_malformed_url_is_invalid_url(api: Api, url: str) -> None:
    assert error_of(api.post(COMPRESS, data={"url": url}))[:2] == (400, "invalid_url")
    assert error_of(api.post(COMPRESS, json={"url": url}))[:2] == (400, "invalid_url")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer cz_live_" + "a" * 36}],
)
def test_without_a_good_key_it_is_401(anonymous: Api, headers: dict[str, str]) -> None:
    reply = anonymous.post(COMPRESS, headers=headers, files={"file": JPEG})
    assert error_of(reply)[:2] == (401, "unauthorized")
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "data", [GIF, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"II*\0\x08\0\0\0", b"%PDF-1.7", b"", b"\xff"]
)
def test_other_types_are_415_whatever_they_are_called(api: Api, data: bytes) -> None:
    reply = api.post(COMPRESS, files={"file": ("photo.jpg", data, "image/jpeg")})
    assert error_of(reply)[:2] == (415, "unsupported_format")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_cut_file_is_decode_failed(api: Api, kind: str) -> None:
    data = encoded(photo(), kind)
    assert error_of(api.compress(data[: len(data) // 2]))[:2] == (422, "decode_failed")


def test_too_many_pixels_are_413_by_the_header(api: Api) -> None:
    assert error_of(api.compress(png_claiming(10_000, 6_000)))[:2] == (413, "image_too_large")


def test_a_file_over_the_limit_is_413(api: Api) -> None:
    assert error_of(api.compress(padded_jpeg(JPEG, 25 * MB + 1)))[:2] == (413, "file_too_large")


def test_a_file_just_under_2_mb_is_compressed(api: Api) -> None:
    assert api.compress(padded_jpeg(JPEG, 2 * MB - 1), quality="50").status_code == 200


def test_an_address_that_cannot_be_fetched_is_fetch_failed(api: Api) -> None:
    assert error_of(api.post(COMPRESS, data={"url": "https://nowhere.invalid/a.jpg"})) == (422, "fetch_failed", None)


def test_a_link_that_was_changed_or_asks_for_too_much_is_refused(api: Api, anonymous: Api) -> None:
    job = api.compress(JPEG).headers["X-Job-Id"]
    link = api.get(f"/api/v1/download/{job}").headers["Location"]
    assert error_of(anonymous.get(f"{link}0")) == (403, "link_invalid", None)
    assert error_of(anonymous.get(link, headers={"Range": "bytes=9999999-"})) == (416, "range_not_satisfiable", None)


def test_unknown_paths_and_methods(api: Api, anonymous: Api) -> None:
    assert error_of(anonymous.get("/nope"))[:2] == (404, "not_found")
    assert error_of(api.get("/api/v1/status/unknown"))[:2] == (404, "not_found")
    assert error_of(api.get("/api/v1/download/unknown"))[:2] == (404, "not_found")
    reply = anonymous.get(COMPRESS)
    assert error_of(reply)[:2] == (405, "method_not_allowed")
    assert "POST" in reply.headers["allow"]


def test_the_polling_routes_need_a_key(anonymous: Api) -> None:
    assert error_of(anonymous.get("/api/v1/status/unknown"))[0] == 401
    assert error_of(anonymous.get("/api/v1/download/unknown"))[0] == 401


def test_401_comes_before_everything(service: Service, anonymous: Api) -> None:
    assert error_of(head_only(service, None, 99 * MB))[:2] == (401, "unauthorized")
    assert error_of(anonymous.compress(JPEG, format="tiff"))[:2] == (401, "unauthorized")


def test_429_comes_before_413_and_400(service: Service) -> None:
    with service.client(per_minute=1) as spent:
        assert spent.compress(JPEG).status_code == 200
        assert error_of(head_only(service, spent.key, 99 * MB))[:2] == (429, "rate_limit_exceeded")
        assert error_of(spent.compress(JPEG, format="tiff"))[:2] == (429, "rate_limit_exceeded")


def test_413_by_content_length_needs_no_body(service: Service, api: Api) -> None:
    for length in (40 * MB, 10**18):
        assert error_of(head_only(service, api.key, length))[:2] == (413, "file_too_large")


def test_parameters_come_before_the_source_and_its_type(api: Api) -> None:
    assert error_of(api.post(COMPRESS, data={"format": "tiff"}))[1:] == ("invalid_param", "format")
    assert error_of(api.compress(GIF, quality="0"))[1:] == ("invalid_param", "quality")
    file_first = [("file", ("a", GIF)), ("quality", (None, "0"))]
    assert error_of(api.post(COMPRESS, files=file_first))[1:] == ("invalid_param", "quality")


def test_parameters_come_before_anything_is_fetched(api: Api) -> None:
    unreachable = {"url": "https://nowhere.invalid/a.jpg", "quality": "0"}
    assert error_of(api.post(COMPRESS, data=unreachable))[1:] == ("invalid_param", "quality")


def test_parameters_come_before_the_counted_size(api: Api) -> None:
    data = padded_jpeg(JPEG, 25 * MB + 1)
    assert error_of(api.compress(data, quality="0"))[1:] == ("invalid_param", "quality")


@pytest.mark.parametrize("name", ["quality", "file"])
def test_a_repeated_field_is_refused(api: Api, name: str) -> None:
    twice = [(name, (None, "50"))] * 2 if name != "file" else [("file", ("a", JPEG))]
    reply = api.post(COMPRESS, files=[*twice, ("file", ("a", JPEG))])
    assert error_of(reply) == (400, "invalid_param", name)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabc"),
        ("application/json", b'{"url": '),
    ],
)
def test_a_body_that_cannot_be_read_is_400(api: Api, content_type: str, body: bytes) -> None:
    assert error_of(api.post(COMPRESS, content=body, headers={"Content-Type": content_type}))[0] == 400
