"""The 200 of a compression: headers that tell the truth about the body, whatever the order of the fields."""

import re

import pytest

from pixels.distance import measure_distance
from tests.whole.pictures import encoded, opened, photo
from tests.whole.service import COMPRESS, Api, Service

SOURCE = encoded(photo(), "JPEG", quality=95)
FORMATS = {"jpeg": "jpg", "png": "png", "webp": "webp", "avif": "avif"}


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_format_goes_to_every_format(api: Api, source: str, target: str) -> None:
    reply = api.compress(encoded(photo(), source), format=target, quality="60")
    assert reply.status_code == 200, reply.text
    image = opened(reply.content)
    assert image.format == target.upper()
    assert image.size == (320, 240)
    assert reply.headers["X-Format"] == target
    assert reply.headers["Content-Type"] == f"image/{target}"
    assert reply.headers["Content-Disposition"] == f'attachment; filename="compressed.{FORMATS[target]}"'


def test_the_headers_are_true(service: Service) -> None:
    with service.client() as api:  # an account for which nothing was encoded before
        reply = api.compress(SOURCE, format="webp", quality="61", max_width="100")
    headers, size = reply.headers, len(reply.content)
    assert headers["X-Original-Size"] == str(len(SOURCE))
    assert headers["X-Compressed-Size"] == headers["Content-Length"] == str(size)
    assert int(headers["X-Savings-Percent"]) == round(100 * (len(SOURCE) - size) / len(SOURCE))
    assert (headers["X-Width"], headers["X-Height"]) == ("100", "75")
    assert headers["X-Quality"] == "61"
    assert "X-Original-Returned" not in headers
    assert re.fullmatch(r"[A-Za-z0-9_-]{6,64}", headers["X-Job-Id"])
    assert headers["X-Request-Id"]
    assert headers["X-Cache"] == "miss"
    stages = "door", "read", "queue", "handover", "decode", "search", "encode"
    assert re.findall(r"(\w+);dur=\d+\.\d(?:, |$)", headers["Server-Timing"]) == list(stages)


def test_auto_keeps_the_format_and_jpg_means_jpeg(api: Api) -> None:
    assert api.compress(encoded(photo(), "PNG")).headers["X-Format"] == "png"
    assert api.compress(encoded(photo(), "PNG"), format="jpg").headers["X-Format"] == "jpeg"


@pytest.mark.parametrize("target", FORMATS)
def test_smart_tells_the_quality_that_it_used_and_how_close_it_came(api: Api, target: str) -> None:
    reply = api.compress(SOURCE, quality="smart", format=target)
    told = float(reply.headers["X-Distance"])
    assert 1 <= int(reply.headers["X-Quality"]) <= 100
    assert told == pytest.approx(measure_distance(SOURCE, reply.content).norm3, rel=0.02, abs=0.001)
    assert told < 1.32


def test_a_quality_that_was_asked_for_is_not_measured(api: Api) -> None:
    assert "X-Distance" not in api.compress(SOURCE, quality=80).headers


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_fields_count_wherever_the_file_stands(api: Api, place: int) -> None:
    parts: list[tuple[str, tuple[str | None, bytes | str]]] = [
        ("format", (None, "webp")),
        ("max_width", (None, "64")),
        ("quality", (None, "40")),
    ]
    parts.insert(place, ("file", ("a.jpg", SOURCE)))
    reply = api.post(COMPRESS, files=parts)
    assert (reply.headers["X-Format"], reply.headers["X-Width"], reply.headers["X-Quality"]) == ("webp", "64", "40")


def test_a_result_is_never_larger_than_its_source(api: Api) -> None:
    small = encoded(photo(), "JPEG", quality=20, optimize=True)
    reply = api.compress(small, quality="100")
    assert len(reply.content) <= len(small)
    assert reply.headers["X-Original-Returned"] == "true"


@pytest.mark.parametrize("filename", ["../../etc/passwd", "b\u00fccher \u56fe.png", "noext", 'a"b.png'])
def test_a_file_name_is_never_used(api: Api, filename: str) -> None:
    reply = api.post(COMPRESS, files={"file": (filename, SOURCE, "text/plain")})
    assert reply.status_code == 200
    assert reply.headers["Content-Disposition"] == 'attachment; filename="compressed.jpg"'
