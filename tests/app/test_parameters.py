"""The parameters of a compression, rule by rule of the contract, and the three bodies that carry them."""

import json
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.multipart import MAX_FIELD_BYTES, MultipartParser
from app.api.parameters import (
    BODY,
    MAX_BODY_BYTES,
    PARAMETERS,
    Parameters,
    parse_json,
    parse_parameters,
    parse_urlencoded,
)
from app.errors import ServiceError
from pixels.options import Options

URL = "http://images.example/a.png"


def read(*fields: tuple[str, str], has_file: bool = True) -> Parameters:
    return parse_parameters(fields, has_file=has_file)


def refusal(*fields: tuple[str, str], has_file: bool = True) -> ServiceError:
    """Catch what the fields are refused with."""
    with pytest.raises(ServiceError) as caught:
        parse_parameters(fields, has_file=has_file)
    return caught.value


def fault(*fields: tuple[str, str], has_file: bool = True) -> tuple[str, str | None]:
    error = refusal(*fields, has_file=has_file)
    return error.code, error.param


# Values.


def test_without_fields_the_options_are_the_defaults() -> None:
    assert read() == Parameters(Options(), None, None)
    assert read().options == Options(format="auto", quality=None, max_width=None, max_height=None, strip_metadata=True)


def test_all_fields_together() -> None:
    fields = {"url": URL, "format": "webp", "quality": "40", "max_width": "64", "max_height": "65535"}
    fields |= {"strip_metadata": "no", "webhook_url": "https://hooks.example/h"}
    wanted = Options(format="webp", quality=40, max_width=64, max_height=65535, strip_metadata=False)
    assert set(fields) | {"file"} == set(PARAMETERS)
    assert read(*fields.items(), has_file=False) == Parameters(wanted, URL, "https://hooks.example/h")
    assert read(*reversed(fields.items()), has_file=False) == read(*fields.items(), has_file=False)


@pytest.mark.parametrize("text", ["jpeg", "png", "webp", "avif", "auto"])
def test_a_format_is_taken_by_its_name(text: str) -> None:
    assert read(("format", text)).options.format == text


def test_jpg_is_jpeg() -> None:
    assert read(("format", "jpg")).options.format == "jpeg"


@pytest.mark.parametrize(
    "text",
    ["tiff", "gif", "", "JPEG", "Png", " png", "png ", "png\0", "jpeg,png", "image/png", ".png", "smart", "\ud800"],
)
def test_any_other_format_is_refused(text: str) -> None:
    assert fault(("format", text)) == ("invalid_param", "format")


def test_the_message_of_the_published_example() -> None:
    error = refusal(("format", "tiff"))
    assert error.body() == {
        "error": {
            "code": "invalid_param",
            "message": "Invalid format 'tiff'. Use: jpeg, png, webp, avif, or auto",
            "param": "format",
        }
    }


@pytest.mark.parametrize(
    ("text", "quality"), [("smart", None), ("1", 1), ("9", 9), ("10", 10), ("99", 99), ("100", 100)]
)
def test_quality_is_smart_or_1_to_100(text: str, quality: int | None) -> None:
    assert read(("quality", text)).options.quality == quality


NO_INTEGERS = ["", "0", "00", "01", "007", "-1", "-0", "+1", " 1", "1 ", "1\n", "1.0", "1.", "1e2", "0x1", "1_0", "1,0"]
NO_INTEGERS += ["\u0661", "\uff11", "\u00b2", "1\u0660", "one", "50%", "NaN", "Infinity", "true", "null", "9" * 5000]


@pytest.mark.parametrize("text", [*NO_INTEGERS, "101", "1000", "Smart", "SMART", "auto"])
def test_any_other_quality_is_refused(text: str) -> None:
    assert fault(("quality", text)) == ("invalid_param", "quality")


@pytest.mark.parametrize("name", ["max_width", "max_height"])
@pytest.mark.parametrize("text", ["1", "10", "65535"])
def test_a_side_is_1_to_65535_pixels(name: str, text: str) -> None:
    assert getattr(read((name, text)).options, name) == int(text)


@pytest.mark.parametrize("name", ["max_width", "max_height"])
@pytest.mark.parametrize("text", [*NO_INTEGERS, "65536", "99999", "100000", "wide", "10px", "smart"])
def test_any_other_side_is_refused(name: str, text: str) -> None:
    assert fault((name, text)) == ("invalid_param", name)


@settings(deadline=None)
@given(st.integers(-10, 70_000))
def test_integers_have_one_spelling_and_a_range(number: int) -> None:
    for name, most in (("quality", 100), ("max_width", 65535), ("max_height", 65535)):
        if 1 <= number <= most:
            assert getattr(read((name, str(number))).options, name) == number
        else:
            assert fault((name, str(number))) == ("invalid_param", name)


@pytest.mark.parametrize(
    "text", ["true", "1", "yes", "on", "TRUE", "Yes", "oN", "false", "0", "no", "off", "False", "NO"]
)
def test_strip_metadata_is_a_switch_in_any_case(text: str) -> None:
    wanted = text.lower() in {"true", "1", "yes", "on"}
    assert read(("strip_metadata", text)).options.strip_metadata is wanted


@pytest.mark.parametrize("text", ["", "2", "maybe", "t", "y", "01", " true", "true\n", "ye\u017f", "null"])
def test_any_other_strip_metadata_is_refused(text: str) -> None:
    assert fault(("strip_metadata", text)) == ("invalid_param", "strip_metadata")


BAD_TEXTS = [
    "",
    "https://a.example/\0",
    "https://a.example/\r\nX: y",
    "https://a.example/\x7f",
    "https://a.example/\x85",
]
BAD_TEXTS += [
    "https://a.example/\udce9",
    "https://a.example/\ud800",
    "https://a.example/".ljust(MAX_FIELD_BYTES + 1, "a"),
]
BAD_TEXTS += ["\u00fc" * (MAX_FIELD_BYTES // 2 + 1)]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_webhook_url_that_is_no_plain_text_is_refused(text: str) -> None:
    assert fault(("webhook_url", text)) == ("invalid_param", "webhook_url")


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_url_that_is_no_plain_text_is_an_invalid_url(text: str) -> None:
    assert fault(("url", text), has_file=False) == ("invalid_url", "url")


@pytest.mark.parametrize("text", [URL, "not a url", "http://b\u00fccher.example/".ljust(MAX_FIELD_BYTES - 1, "a")])
def test_an_address_is_passed_on_as_it_was_sent(text: str) -> None:
    assert read(("url", text), has_file=False).url == text
    assert read(("webhook_url", text)).webhook_url == text


# Names and order.


@pytest.mark.parametrize(
    "name", ["colour", "Format", "FORMAT", "max-width", "format ", " format", "format[]", "", "files"]
)
def test_an_unknown_field_is_named(name: str) -> None:
    error = refusal((name, "1"))
    assert (error.code, error.param) == ("invalid_param", name)
    assert f"'{name}'" in error.message


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - {"file"}))
def test_a_repeated_field_is_named(name: str) -> None:
    value = {"format": "png", "strip_metadata": "true", "url": URL, "webhook_url": "https://a.example"}.get(name, "50")
    assert fault((name, value), (name, value), has_file=False) == ("invalid_param", name)


def test_a_repeated_file_is_refused() -> None:
    error = refusal(("file", ""), has_file=True)
    assert (error.code, error.param) == ("invalid_param", "file")
    assert "more than once" in error.message


def test_a_file_that_was_not_uploaded_is_refused() -> None:
    for fields in ([("file", "x")], [("url", URL), ("file", "x")], [("file", ""), ("file", "")]):
        assert fault(*fields, has_file=False) == ("invalid_param", "file")


def test_fields_are_judged_in_order_of_appearance() -> None:
    faults = [
        ("quality", "0"),
        ("colour", "1"),
        ("format", "tiff"),
        ("file", ""),
        ("webhook_url", ""),
        ("max_width", ""),
    ]
    for turn in range(len(faults)):
        turned = faults[turn:] + faults[:turn]
        assert fault(*turned) == ("invalid_param", turned[0][0])
        assert fault(("url", ""), *turned) == ("invalid_param", turned[0][0])


def test_without_a_source_the_fields_are_judged_first() -> None:
    assert fault(has_file=False) == ("missing_source", None)
    assert fault(("quality", "50"), has_file=False) == ("missing_source", None)
    assert fault(("quality", "0"), has_file=False) == ("invalid_param", "quality")


@pytest.mark.parametrize("url", [URL, "", "\0"])
def test_a_file_and_a_url_are_too_much_whatever_the_url_is(url: str) -> None:
    assert fault(("url", url)) == ("invalid_param", "url")


def test_the_webhook_is_checked_in_its_turn_and_before_the_source() -> None:
    def refuse(url: str) -> None:
        raise PermissionError(url)

    hook = ("webhook_url", "https://10.0.0.1/h")
    for has_file, later in ((False, ("quality", "50")), (True, ("quality", "0")), (True, ("url", ""))):
        with pytest.raises(PermissionError, match=r"10\.0\.0\.1"):
            parse_parameters([hook, later], has_file=has_file, check_webhook=refuse)
    for earlier in (("quality", "0"), ("webhook_url", "")):
        with pytest.raises(ServiceError):
            parse_parameters([earlier, hook], has_file=True, check_webhook=refuse)
    asked: list[str] = []
    parse_parameters([("quality", "50")], has_file=True, check_webhook=asked.append)
    assert asked == []


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_message_repeats_only_short_printable_text(name: str, value: str) -> None:
    name = name if name not in PARAMETERS else f"{name}?"
    for field in ((name, value), ("format", f"!{value}"), ("webhook_url", f"\0{value}"), ("url", f"\ud800{value}")):
        error = refusal(field, has_file=False)
        assert len(error.message) < 250
        assert len(error.param or "") < 50
        assert error.message.isprintable()
        assert (error.param or "").isprintable()


@pytest.mark.parametrize(
    "field", [("c" * 8000, "1"), ("format", "x" * 8000), ("url", "\0" * 8000), ("max_width", "9" * 8000)]
)
def test_a_message_shortens_what_it_repeats(field: tuple[str, str]) -> None:
    error = refusal(field, has_file=False)
    assert "\u2026" in error.message
    assert len(error.message) < 250
    assert len(error.param or "") < 50


# Bodies.


def test_a_multipart_form_comes_to_the_same_parameters() -> None:
    class Nothing:
        def begin(self) -> None: ...
        def write(self, data: memoryview) -> None: ...
        def end(self) -> None: ...

    parser = MultipartParser(b"b", Nothing())
    for name, value in {"file": b"x", "format": b"webp", "url": b"\xe9" * 3, "quality": b"\xd9\xa3"}.items():
        parser.feed(b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value))
    parser.feed(b"--b--")
    parser.finish()
    assert fault(*parser.fields, has_file=parser.has_file) == ("invalid_param", "quality")
    assert fault(*parser.fields[:2], has_file=False) == ("invalid_url", "url")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", []),
        (b"&&", []),
        (b"format=webp&quality=50", [("format", "webp"), ("quality", "50")]),
        (b"a=1&a=2&a", [("a", "1"), ("a", "2"), ("a", "")]),
        (b"a=b=c&=d", [("a", "b=c"), ("", "d")]),
        (b"url=http%3A%2F%2Fa.example%2F%3Fx%3D1%26y%3D2", [("url", "http://a.example/?x=1&y=2")]),
        (b"a=1+1%2B1%20&%61+b=c", [("a", "1 1+1 "), ("a b", "c")]),
        (b"a=%zz%&b=%4", [("a", "%zz%"), ("b", "%4")]),
        ("a=\u00fc%C3%BC".encode(), [("a", "\u00fc\u00fc")]),
        (b"a=%E9&b=\xe9", [("a", "\udce9"), ("b", "\udce9")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
    ],
)
def test_an_urlencoded_body_is_split(body: bytes, fields: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(body) == fields


pairs = st.lists(st.tuples(st.text(min_size=1), st.text()))


@settings(deadline=None)
@given(pairs)
def test_an_urlencoded_body_comes_back(fields: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(urlencode(fields).encode()) == fields


def test_bytes_that_are_no_utf_8_are_refused_by_name() -> None:
    assert fault(*parse_urlencoded(b"quality=%FF")) == ("invalid_param", "quality")
    assert fault(*parse_urlencoded(b"webhook_url=https://a.example/%FF")) == ("invalid_param", "webhook_url")
    assert fault(*parse_urlencoded(b"url=http://a.example/%FF"), has_file=False) == ("invalid_url", "url")
    assert fault(*parse_urlencoded(b"%FF=1")) == ("invalid_param", "\ufffd")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("{}", []),
        (' {"max_width": 10, "max_height": "10"}\n', [("max_width", "10"), ("max_height", "10")]),
        ('{"strip_metadata": false, "a": true}', [("strip_metadata", "false"), ("a", "true")]),
        ('{"a": -1, "b": 1.50, "c": 1e2, "d": 1E400}', [("a", "-1"), ("b", "1.50"), ("c", "1e2"), ("d", "1E400")]),
        ('{"a": "1", "a": 2}', [("a", "1"), ("a", "2")]),
        ('{"a": "\\u00fc \\ud83d\\ude00 \u00fc", "": ""}', [("a", "\u00fc \U0001f600 \u00fc"), ("", "")]),
        ('{"a": "\\ud800"}', [("a", "\ud800")]),
        ('{"a": ' + "9" * 5000 + "}", [("a", "9" * 5000)]),
    ],
)
def test_a_json_body_is_read(body: str, fields: list[tuple[str, str]]) -> None:
    assert parse_json(body.encode()) == fields


NO_JSON = [
    b"",
    b" ",
    b'{"url": ',
    b'{"a": 1,}',
    b"{'a': 1}",
    b'{"a": 01}',
    b'{"a": 1} x',
    b'{"a": "\n"}',
    b'{"a": "\xe9"}',
]
NO_JSON += [b"\xff", b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a":' * 10_000, b"[" * MAX_BODY_BYTES, b"NULL"]
NO_OBJECTS = [b"[]", b'[["url", "x"]]', b'"url"', b"1", b"true", b"null", b"NaN"]


@pytest.mark.parametrize("body", NO_JSON + NO_OBJECTS)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_json(body)
    assert (caught.value.code, caught.value.param) == ("invalid_param", BODY)


@pytest.mark.parametrize("value", ["null", "[]", "{}", '["webp"]', '{"a": 1}', '[["a", "b"]]', "[" * 50 + "]" * 50])
@pytest.mark.parametrize("name", ["format", "colour"])
def test_a_null_or_nested_json_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_json(f'{{"quality": 50, "{name}": {value}}}'.encode())
    assert (caught.value.code, caught.value.param) == ("invalid_param", name)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ('{"url": "http://a.example/", "max_width": 10, "max_width": 20}', "invalid_param", "max_width"),
        ('{"url": "http://a.example/", "url": "http://b.example/"}', "invalid_param", "url"),
        ('{"quality": 1e2}', "invalid_param", "quality"),
        ('{"quality": 50.0}', "invalid_param", "quality"),
        ('{"quality": true}', "invalid_param", "quality"),
        ('{"max_width": NaN}', "invalid_param", "max_width"),
        ('{"max_width": -Infinity}', "invalid_param", "max_width"),
        ('{"colour": 1}', "invalid_param", "colour"),
        ('{"file": "data:image/png;base64,AAAA"}', "invalid_param", "file"),
        ('{"url": 5, "format": 5}', "invalid_param", "format"),
        ('{"url": "\\u0000"}', "invalid_url", "url"),
        ('{"webhook_url": "https://a.example/\\udc00"}', "invalid_param", "webhook_url"),
        ("{}", "missing_source", None),
    ],
)
def test_json_values_obey_the_rules_of_form_fields(body: str, code: str, param: str | None) -> None:
    assert fault(*parse_json(body.encode()), has_file=False) == (code, param)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(), st.text() | st.booleans() | st.integers())))
def test_json_and_urlencoded_bodies_come_to_the_same_fields(values: list[tuple[str, str | bool | int]]) -> None:
    spelt = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in values]
    as_json = "{" + ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values) + "}"
    as_form = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in spelt)
    assert parse_json(as_json.encode()) == parse_urlencoded(as_form.encode()) == spelt


def test_the_largest_fields_fit_the_largest_body() -> None:
    longest = "\u00fc" * (MAX_FIELD_BYTES // 2)
    body = urlencode({"url": longest, "webhook_url": longest}).encode()
    assert len(body) <= MAX_BODY_BYTES
    assert read(*parse_urlencoded(body), has_file=False).url == longest
