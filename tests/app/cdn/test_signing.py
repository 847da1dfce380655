"""Signed URLs: what was signed is believed as it was sent, and nothing else; every refusal is the same."""

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.ports.cdn_accounts import SigningKey
from app.service.cdn.signing import MAX_TARGET_CHARACTERS, check, sign, split_target
from tests.app.cdn.outcomes import outcome

KEY = SigningKey(id="cdn_abc", account="ada", secret="cdnsec_0123456789", created=0)  # noqa: S106 (made up)
NOW = 1_800_000_000.0
OPTIONS, SOURCE = "f:auto,w:800", "https%3A%2F%2Fimg.test%2Fa%20b.jpg%3Fv%3D1"


def is_believed(target: str, key: SigningKey | None = KEY, now: float = NOW) -> bool:
    """Whether a request's target passes; a refusal is always the same."""
    path, _, query = target.encode().partition(b"?")
    found = outcome(lambda: check(split_target(path, query), key, now=now))
    if found is not None:
        assert (found.status, found.code, found.param, found.headers) == (403, "bad_signature", None, {})
        assert found.message == "This URL is not signed, or no longer good."
    return found is None


def test_the_signature_is_the_base64url_of_an_hmac_over_options_and_source() -> None:
    digest = hmac.new(KEY.secret.encode(), f"{OPTIONS}/{SOURCE}".encode(), hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert sign(KEY.secret, KEY.id, OPTIONS, SOURCE) == f"/cdn/{KEY.id}.{expected}/{OPTIONS}/{SOURCE}"


def test_what_was_signed_comes_back_as_it_was_sent() -> None:
    target = split_target(sign(KEY.secret, KEY.id, OPTIONS, SOURCE).encode())
    assert (target.key_id, target.options, target.source) == (KEY.id, OPTIONS, SOURCE)
    check(target, KEY, now=NOW)


@pytest.mark.parametrize(
    "source",
    [
        "https://img.test/a.jpg",
        "https://img.test//a//b.jpg",
        "https://img.test/a.jpg?v=1&w=2",
        "https://img.test/a%20b+c%2Bd.jpg",
        "b64:aHR0cHM6Ly9pbWcudGVzdC9hLmpwZw",
        "own:photos/a.jpg",
        "https%3A%2F%2Fimg.test%2F%D1%84.jpg",
    ],
)
def test_each_spelling_of_a_source_can_be_signed(source: str) -> None:
    assert is_believed(sign(KEY.secret, KEY.id, OPTIONS, source))


@pytest.mark.parametrize(
    "rewrite",
    [
        pytest.param(lambda url: url.replace("%3A", "%3a"), id="another case of percent-encoding"),
        pytest.param(lambda url: url.replace("%3A", ":"), id="decoded"),
        pytest.param(lambda url: url.replace("%20", "+"), id="plus for space"),
        pytest.param(lambda url: url.replace(",", "%2C"), id="encoded"),
        pytest.param(lambda url: url.replace("w:800", "w:801"), id="another option"),
        pytest.param(lambda url: url + "x", id="appended"),
        pytest.param(lambda url: url + "/", id="slash appended"),
        pytest.param(lambda url: url + "?utm=1", id="query appended"),
        pytest.param(lambda url: url[:-1], id="cut"),
        pytest.param(lambda url: url.replace("/f:", "//f:"), id="slash doubled"),
        pytest.param(lambda url: url.replace("cdn_abc.", "cdn_abd.x"), id="signature too long"),
        pytest.param(lambda url: re.sub(r"\.[^/]*", ".", url, count=1), id="no signature"),
        pytest.param(lambda url: url.replace("/f:", "=/f:", 1), id="padding"),
        pytest.param(lambda url: url.replace("/cdn/", "/CDN/"), id="another path"),
        pytest.param(lambda url: url.replace("a%20b", "\u0444"), id="bytes beyond ASCII"),
        pytest.param(lambda url: url + "\n", id="line end"),
        pytest.param(lambda url: url + "a" * MAX_TARGET_CHARACTERS, id="too long"),
    ],
)
def test_whatever_is_changed_on_the_way_is_refused(rewrite: object) -> None:
    url = sign(KEY.secret, KEY.id, OPTIONS, SOURCE)
    changed = rewrite(url)  # type: ignore[operator]  # a function from text to text
    assert changed != url
    assert is_believed(url)
    assert not is_believed(changed)


def test_slashes_that_a_proxy_merges_are_refused_and_not_repaired() -> None:
    url = sign(KEY.secret, KEY.id, OPTIONS, "https://img.test/a.jpg")
    assert not is_believed(url.replace("https://", "https:/"))


def test_a_change_in_any_place_of_a_url_is_refused() -> None:
    url = sign(KEY.secret, KEY.id, OPTIONS, SOURCE)
    for place in range(len("/cdn/cdn_abc."), len(url)):
        assert not is_believed(url[:place] + ("x" if url[place] != "x" else "y") + url[place + 1 :])


def test_an_unknown_key_and_another_keys_signature_are_refused_alike() -> None:
    url = sign(KEY.secret, KEY.id, OPTIONS, SOURCE)
    assert not is_believed(url, None)
    assert not is_believed(url, SigningKey(id=KEY.id, account="ada", secret="another", created=0))  # noqa: S106 (made up)


def test_a_url_is_good_until_the_second_in_which_it_expires() -> None:
    url = sign(KEY.secret, KEY.id, f"exp:{NOW:.0f},w:8", SOURCE)
    assert is_believed(url, now=NOW - 0.001)
    assert not is_believed(url, now=NOW)


def test_an_expiry_cannot_be_hidden_behind_another() -> None:
    url = sign(KEY.secret, KEY.id, f"w:8,exp:{NOW - 1:.0f},exp:{NOW + 9:.0f}", SOURCE)
    assert not is_believed(url)


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ("", "a"),
        ("f:auto", ""),
        ("f/auto", "a"),
        ("f:auto", "a b"),
        ("f:auto", "\u00e9"),
        ("f:auto", "a#b"),
        ("f:a", "x" * 8000),
    ],
)
def test_what_makes_no_url_is_not_signed(options: str, source: str) -> None:
    with pytest.raises(ValueError, match="percent-encode"):
        sign(KEY.secret, KEY.id, options, source)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=120), st.binary(max_size=20))
def test_any_bytes_are_a_signed_url_or_a_403(raw_path: bytes, query: bytes) -> None:
    for path in (raw_path, b"/cdn/" + raw_path, b"/cdn/k." + b"a" * 43 + b"/f:auto/" + raw_path):
        target = outcome(split_target, path, query)
        if isinstance(target, ServiceError):
            assert target.code == "bad_signature"
        else:
            with pytest.raises(ServiceError, match="not signed"):
                check(target, KEY, now=NOW)
