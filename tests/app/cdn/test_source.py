"""Sources in a URL: three spellings, one name; only from where the account allows."""

from base64 import urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.ports.cdn_accounts import CdnAccount
from app.service.cdn.source import CdnSource, parse_origin, read_source
from tests.app.cdn.outcomes import outcome

QUICK = settings(deadline=None, max_examples=150)
ACCOUNT = CdnAccount(
    "ada",
    tuple(map(parse_origin, ("https://img.example.com", "https://*.shop.example", "http://old.example:8080/photos"))),
    bucket_prefix="ada/pictures",
)


def base64_of(url: str) -> str:
    return "b64:" + urlsafe_b64encode(url.encode()).decode().rstrip("=")


def refusal(text: str, account: CdnAccount = ACCOUNT) -> tuple[int, str]:
    with pytest.raises(ServiceError) as refused:
        read_source(text, account)
    assert refused.value.param == "source"
    return refused.value.status, refused.value.code


@pytest.mark.parametrize(
    "url",
    [
        "https://img.example.com/a.jpg",
        "https://img.example.com/a//b.jpg",
        "https://img.example.com/a%20b.jpg?v=1&size=large%2Bextra",
        "https://img.example.com/a+b.jpg?q=c+d",
        "https://img.example.com/%D1%84%D0%BE%D1%82%D0%BE.jpg",
        "https://img.example.com/a.jpg?next=https://x.example/?y=%252F",
        "https://img.example.com/",
        "https://a.b.shop.example/x.png",
        "http://old.example:8080/photos/1.jpg",
    ],
)
def test_every_spelling_of_a_url_is_the_same_source(url: str) -> None:
    """Percent-encoded as a whole, as it stands, and in base64url."""
    found = {read_source(text, ACCOUNT) for text in (quote(url, safe=""), url, base64_of(url))}
    assert found == {CdnSource(url=url)}
    assert read_source(url, ACCOUNT).canonical() == url


def test_base64_may_be_padded() -> None:
    url = "https://img.example.com/a.jpg"
    assert len(url) % 3
    padded = "b64:" + urlsafe_b64encode(url.encode()).decode()
    assert padded.endswith("=")
    assert read_source(padded, ACCOUNT) == CdnSource(url=url)


def test_a_url_is_brought_to_one_spelling() -> None:
    for text in ("HTTPS://IMG.example.com:443/\u0444.jpg#part", "https://img.example.com./\u0444.jpg"):
        assert read_source(base64_of(text), ACCOUNT).url == "https://img.example.com/%D1%84.jpg"


def test_a_plus_stays_a_plus() -> None:
    assert read_source("https%3A%2F%2Fimg.example.com%2Fa+b.jpg", ACCOUNT).url == "https://img.example.com/a+b.jpg"


def test_a_source_is_decoded_once() -> None:
    twice = quote(quote("https://img.example.com/a.jpg", safe=""), safe="")
    assert refusal(twice) == (400, "invalid_url")
    assert read_source("https%3A%2F%2Fimg.example.com%2F%2541.jpg", ACCOUNT).url == "https://img.example.com/%41.jpg"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.jpg",
        "https://img.example.com.evil.example/a.jpg",
        "https://evilimg.example.com/a.jpg",
        "http://img.example.com/a.jpg",
        "https://img.example.com:8443/a.jpg",
        "https://shop.example/a.jpg",
        "https://evilshop.example/a.jpg",
        "http://old.example:8080/a.jpg",
        "http://old.example:8080/photos",
        "http://old.example:8080/photosecret/a.jpg",
        "http://old.example:8080/?/photos/a.jpg",
        "http://old.example:8080/?x=/photos/",
    ],
)
def test_what_the_account_does_not_allow_is_403(url: str) -> None:
    assert refusal(quote(url, safe="")) == (403, "source_forbidden")


def test_an_account_that_was_never_set_up_allows_nothing() -> None:
    nobody = CdnAccount("bob")
    assert refusal("https://img.example.com/a.jpg", nobody) == (403, "source_forbidden")
    assert refusal("own:a.jpg", nobody) == (403, "source_forbidden")


@pytest.mark.parametrize(
    "text",
    [
        "a.jpg",
        "/etc/passwd",
        "file%3A%2F%2F%2Fetc%2Fpasswd",
        "https:/img.example.com/a.jpg",
        "https://127.0.0.1/a.jpg",
        "https://user@img.example.com/a.jpg",
        "https://img.example.com%00.evil.example/a.jpg",
        "https%3A%2F%2Fimg.example.com%5C.evil.example",
        "https%3A%2F%2Fimg.example.com%2Fa%20b.jpg%0d%0aHost%3A",
        "https%3A%2F%2Fimg.example.com%2F%ff.jpg",
        "http://old.example:8080/photos/../secret.jpg",
        "http://old.example:8080/photos/%2e%2e/secret.jpg",
        "http://old.example:8080/photos/%2E%2e%2fsecret.jpg",
        "http://old.example:8080/photos/..%5csecret.jpg",
        "https://img.example.com/./a.jpg",
        "b64:",
        "b64:a",
        "b64:====",
        "b64:a b",
        "b64:a+b/",
        "b64:_w",
        "B64:aHR0cHM6Ly9pbWcudGVzdC9hLmpwZw",
        "own:",
        "own:/a.jpg",
        "own:a//b.jpg",
        "own:../a.jpg",
        "own:%2e%2e/a.jpg",
        "own:a/..%2fb",
        "own:a%00b",
        "own:%ff",
        "own:" + "a/" * 250 + "a",
        "own:" + "%c3%a9",
    ],
)
def test_what_is_malformed_is_400(text: str) -> None:
    assert refusal(text) == (400, "invalid_url")


@pytest.mark.parametrize("text", ["own:2026/a-b_c.jpg", "own:2026%2Fa-b_c.jpg"])
def test_an_own_key_lies_behind_the_accounts_prefix(text: str) -> None:
    source = read_source(text, ACCOUNT)
    assert source == CdnSource(blob="ada/pictures/2026/a-b_c.jpg")
    assert source.canonical() == "own:ada/pictures/2026/a-b_c.jpg"


@pytest.mark.parametrize(
    "text",
    [
        "img.example.com",
        "ftp://img.example.com",
        "https://*",
        "https://*.com.",
        "https://a.*.example.com",
        "https://*.8.8.8.8",
        "https://localhost",
        "https://10.0.0.1",
        "https://u:p@img.example.com",
        "https://img.example.com/a?b",
        "https://img.example.com/a#b",
        "https://img.example.com/a/../b",
        "https://img.example.com:22",
        "https://img.example.com/a b",
        "",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_origin(text)


@QUICK
@given(
    st.text(
        st.characters(min_codepoint=33, exclude_categories=["Cs", "Z", "C"], exclude_characters="#\\?"), max_size=30
    )
)
def test_reading_the_canonical_name_again_gives_the_same_source(path: str) -> None:
    for text in (f"https://img.example.com/{path}", quote(f"https://img.example.com/{path}", safe="")):
        source = outcome(read_source, text, ACCOUNT)
        if isinstance(source, ServiceError):
            assert source.code == "invalid_url"
        else:
            assert read_source(source.canonical(), ACCOUNT) == source


@QUICK
@given(
    st.sampled_from(
        ["", "b64:", "own:", "https://", "https%3A%2F%2Fimg.example.com", "http://old.example:8080/photos/"]
    ),
    st.one_of(st.text(max_size=40), st.text("%2eEfF./\\b64:own?#@[]~ \n", max_size=40)),
)
def test_any_text_is_an_allowed_source_or_a_service_error(start: str, rest: str) -> None:
    source = outcome(read_source, start + rest, ACCOUNT)
    if isinstance(source, ServiceError):
        assert source.code in {"invalid_url", "source_forbidden"}
        return
    assert (
        source.canonical().startswith(
            ("https://img.example.com/", "http://old.example:8080/photos/", "own:ada/pictures/")
        )
        or ".shop.example" in source.canonical()
    )
    assert "/../" not in source.canonical()
