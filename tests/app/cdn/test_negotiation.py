"""Negotiation: formats by what the client says that it shows, hints where they are allowed, `Vary` exactly then."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ports.cdn_accounts import CdnAccount
from app.service.cdn.negotiation import THRIFTY_DISTANCE, Negotiated, negotiate
from app.service.cdn.options import CdnOptions, parse_options
from perf.load.browsers import ACCEPTS

PLAIN, HINTED = CdnAccount("ada"), CdnAccount("ada", client_hints=True)


def with_accept(accept: str | None, options: str = "f:auto") -> Negotiated:
    return negotiate(parse_options(options), {} if accept is None else {"accept": accept}, PLAIN)


def with_hints(options: str, **hints: str) -> Negotiated:
    return negotiate(parse_options(options), {name.replace("_", "-"): value for name, value in hints.items()}, HINTED)


@pytest.mark.parametrize(
    ("browser", "formats"),
    [
        ("Chrome 131", ("avif", "webp", "source")),
        ("Firefox 133", ("avif", "webp", "source")),
        ("Safari 18", ("avif", "webp", "source")),
        ("Safari 13", ("source",)),
        ("Firefox 60", ("source",)),
    ],
)
def test_each_browser_gets_what_it_shows(browser: str, formats: tuple[str, ...]) -> None:
    found = with_accept(ACCEPTS[browser])
    assert found.formats == formats
    assert found.shown == {"jpeg", "png", *formats} - {"source"}


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        (None, ("source",)),
        ("", ("source",)),
        ("*/*", ("source",)),
        ("image/*", ("source",)),
        ("image/webp", ("webp", "source")),
        ("IMAGE/WebP", ("webp", "source")),
        ("image/avif;q=0,image/webp", ("webp", "source")),
        ("image/avif;q=0.000", ("source",)),
        ("image/avif; Q=0.5 , image/webp;q=0.9", ("webp", "avif", "source")),
        ("image/avif;q=0.9,image/webp;q=0.9", ("avif", "webp", "source")),
        ("image/avif;q=nonsense", ("avif", "source")),
        ("image/avif;level=1;q=0", ("source",)),
        ("image/webpx,ximage/avif", ("source",)),
        ("image/avif," * 400, ("source",)),
    ],
)
def test_formats_are_those_that_are_named_best_first(accept: str | None, formats: tuple[str, ...]) -> None:
    assert with_accept(accept).formats == formats


@pytest.mark.parametrize("name", ["source", "jpeg", "png", "webp", "avif"])
def test_a_format_that_was_asked_for_is_the_only_one_and_varies_by_nothing(name: str) -> None:
    found = with_accept("image/avif", f"f:{name}")
    assert (found.formats, found.vary) == ((name,), ())
    assert len(found.shown) == 4


def test_the_answer_varies_by_accept_exactly_where_the_format_is_auto() -> None:
    assert with_accept(None).vary == with_accept("image/avif").vary == ("Accept",)


@pytest.mark.parametrize(
    ("options", "vary"),
    [
        ("f:webp,w:800", ("Save-Data", "Sec-CH-DPR")),
        ("f:webp,w:800,q:70", ("Save-Data", "Sec-CH-DPR")),
        ("f:webp,w:800,dpr:2", ("Save-Data",)),
        ("f:webp,w:800,dpr:1", ("Save-Data",)),
        ("f:webp", ("Save-Data", "Sec-CH-Width")),
        ("f:webp,q:70", ("Sec-CH-Width",)),
        ("f:auto,w:1", ("Accept", "Save-Data", "Sec-CH-DPR")),
    ],
)
def test_the_answer_varies_by_the_hints_that_have_a_say_whether_they_are_sent_or_not(
    options: str, vary: tuple[str, ...]
) -> None:
    assert with_hints(options).vary == vary
    assert with_hints(options, save_data="on", sec_ch_dpr="2", sec_ch_width="300").vary == vary
    assert with_hints(options).accept_ch == "Sec-CH-DPR, Sec-CH-Width"


def test_without_leave_of_the_account_hints_do_nothing() -> None:
    hints = {"save-data": "on", "sec-ch-dpr": "3", "sec-ch-width": "300"}
    for text in ("f:webp", "f:webp,w:100"):
        options = parse_options(text)
        assert negotiate(options, hints, PLAIN) == negotiate(options, {}, PLAIN)
        assert negotiate(options, hints, PLAIN).vary == ()
        assert negotiate(options, hints, PLAIN).accept_ch is None


@pytest.mark.parametrize(
    ("options", "box"),
    [
        ("f:webp,w:100,h:50", (100, 50)),
        ("f:webp,w:100,h:50,dpr:2", (200, 100)),
        ("f:webp,w:333,dpr:1.5", (500, None)),
        ("f:webp,h:65535,dpr:5", (None, 65_535)),
        ("f:webp,dpr:3", (None, None)),
    ],
)
def test_the_box_is_in_device_pixels(options: str, box: tuple[int | None, int | None]) -> None:
    found = with_accept(None, options)
    assert (found.max_width, found.max_height) == box


@pytest.mark.parametrize(
    ("hint", "width"), [("1", 100), ("1.25", 150), ("2", 200), ("2.625", 300), ("9", 300), ("0", 100), ("x", 100)]
)
def test_the_screens_density_counts_in_steps_where_the_url_leaves_it_open(hint: str, width: int) -> None:
    assert with_hints("f:webp,w:100", sec_ch_dpr=hint).max_width == width
    assert with_hints("f:webp,w:100,dpr:4", sec_ch_dpr=hint).max_width == 400
    assert with_hints("f:webp,w:100,dpr:1", sec_ch_dpr=hint).max_width == 100
    assert with_hints("f:webp", sec_ch_dpr=hint).max_width is None


@pytest.mark.parametrize(("hint", "width"), [("1", 160), ("161", 240), ("1920", 1920), ("99999", 7680), ("-1", None)])
def test_the_width_of_the_place_counts_in_steps_where_the_url_names_no_side(hint: str, width: int | None) -> None:
    assert with_hints("f:webp", sec_ch_width=hint, sec_ch_dpr="2").max_width == width
    assert with_hints("f:webp,h:9", sec_ch_width=hint).max_width is None


def test_who_saves_data_gets_one_pixel_a_point_and_a_smarter_quality() -> None:
    thrifty = with_hints("f:webp,w:100,dpr:3", save_data="on")
    assert (thrifty.max_width, thrifty.quality, thrifty.distance_factor) == (100, "smart", THRIFTY_DISTANCE)
    asked = with_hints("f:webp,w:100,q:70", save_data="on", sec_ch_dpr="3")
    assert (asked.max_width, asked.quality, asked.distance_factor) == (100, 70, 1.0)
    assert with_hints("f:webp,w:100,dpr:3", save_data="off").distance_factor == 1.0


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(["accept", "save-data", "sec-ch-dpr", "sec-ch-width"]), st.text(max_size=40)))
def test_no_header_breaks_it_and_the_source_is_always_a_candidate(headers: dict[str, str]) -> None:
    found = negotiate(CdnOptions(), headers, HINTED)
    assert found.formats[-1] == "source"
    assert found.vary == ("Accept", "Save-Data", "Sec-CH-Width")
