"""Options in a URL: short, in any order, one canonical spelling; whatever else is a 400 that names the option."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.service.cdn.options import CdnOptions, parse_options
from tests.app.cdn.outcomes import outcome

QUICK = settings(deadline=None, max_examples=150)

SIDES = st.integers(1, 65_535).map(str)
#: An option's name, and the values that it takes.
GOOD = {
    "f": st.sampled_from(["auto", "source", "jpeg", "jpg", "png", "webp", "avif"]),
    "q": st.one_of(st.just("smart"), st.integers(1, 100).map(str)),
    "w": SIDES,
    "h": SIDES,
    "dpr": st.one_of(st.sampled_from(["1", "1.0", "5", "2.50"]), st.integers(100, 500).map(lambda n: f"{n / 100}")),
    "keep": st.sampled_from(["none", "copyright", "all"]),
    "exp": st.integers(1, 99_999_999_999).map(str),
}
PAIRS = st.fixed_dictionaries({}, optional=GOOD).filter(bool).map(lambda found: list(found.items()))


def spell(pairs: list[tuple[str, str]]) -> str:
    return ",".join(f"{name}:{value}" for name, value in pairs)


def test_every_option_is_read() -> None:
    assert parse_options("f:avif,q:80,w:800,h:600,dpr:1.5,keep:copyright,exp:1900000000") == CdnOptions(
        "avif", 80, 800, 600, 1.5, "copyright", 1_900_000_000
    )
    assert parse_options("f:auto") == CdnOptions()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("f:auto", ""),
        ("q:smart,f:auto,keep:none,dpr:1.0", ""),
        ("w:800,f:jpg", "f:jpeg,w:800"),
        ("w:800,dpr:2.00,h:600,q:70,keep:all,f:png", "dpr:2,f:png,h:600,keep:all,q:70,w:800"),
        ("dpr:2,f:webp", "f:webp"),
        ("exp:1900000000,w:1", "w:1"),
    ],
)
def test_the_canonical_spelling_is_sorted_without_defaults_and_expiry(text: str, canonical: str) -> None:
    assert parse_options(text).canonical() == canonical


@QUICK
@given(PAIRS, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_the_canonical_spelling_is_its_own(
    pairs: list[tuple[str, str]], chance: object
) -> None:
    options = parse_options(spell(pairs))
    shuffled = list(pairs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert parse_options(spell(shuffled)) == options
    canonical = options.canonical()
    assert (parse_options(canonical) if canonical else CdnOptions()).canonical() == canonical


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        (",", "''"),
        ("f", "f"),
        ("f:", "f"),
        ("f:gif", "gif"),
        ("F:auto", "'F'"),
        ("f:auto,", "''"),
        ("f:auto,f:auto", "'f'"),
        ("f:jpg,f:jpeg", "'f'"),
        ("w:0", "w"),
        ("w:-1", "w"),
        ("w:+1", "w"),
        ("w:01", "w"),
        ("w:65536", "w"),
        ("w:1e3", "w"),
        ("w:\u0661", "w"),
        ("w:1 ", "w"),
        ("q:0", "q"),
        ("q:101", "q"),
        ("q:Smart", "q"),
        ("dpr:0.5", "dpr"),
        ("dpr:5.01", "dpr"),
        ("dpr:1.", "dpr"),
        ("dpr:nan", "dpr"),
        ("keep:gps", "keep"),
        ("exp:0", "exp"),
        ("exp:tomorrow", "exp"),
        ("exp:" + "9" * 12, "exp"),
        ("width:1", "'width'"),
        ("f%3Aauto", "'f%3Aauto'"),
        ("f:auto;w:1", "auto;w:1"),
        ("w:1," * 60, "200"),
    ],
)
def test_a_fault_is_told_by_name(text: str, named: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_options(text)
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "invalid_param", "options")
    assert named in refused.value.message


@QUICK
@given(st.one_of(st.text(max_size=60), st.text("fqwhdprexk:,.0123456789 \n", max_size=40)))
def test_any_text_is_options_or_a_service_error(text: str) -> None:
    found = outcome(parse_options, text)
    if isinstance(found, ServiceError):
        assert found.code == "invalid_param"
        assert found.message.isprintable()
    else:
        assert found == parse_options(",".join(reversed(text.split(","))))
