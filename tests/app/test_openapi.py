"""The OpenAPI document says what the code does: routes, codes, parameters, headers and limits."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import errors, main
from app.api import parameters, replies
from app.api.limits import rate_headers
from app.api.multipart import FILE
from app.api.openapi import OTHER_CODES, document
from app.api.openapi_components import RATE_HEADERS
from app.api.parameters import PARAMETERS, URL, parse_parameters
from app.errors import STATUS, ServiceError
from app.ports.limiter import Window
from app.service.compress import check_source_url, check_webhook_url
from app.service.encode_protocol import Done
from app.service.encoders import Encoded
from app.settings import MB, Settings
from app.wiring import assemble
from pixels.formats import FORMATS
from pixels.options import Options

APP = Path(errors.__file__).parent
DOCUMENT = document(Settings())
COMPRESS = DOCUMENT["paths"]["/api/v1/compress"]["post"]
UPLOAD = DOCUMENT["components"]["schemas"]["Upload"]
#: Answered before an operation is chosen.
ROUTER_CODES = {"method_not_allowed"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def codes_of(responses: dict[str, Any]) -> set[tuple[str, int]]:
    """The codes that responses document, each with its status."""
    return {
        (code, int(status))
        for status, response in responses.items()
        if int(status) >= 400
        for code in response["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["properties"][
            "code"
        ]["enum"]
    }


DOCUMENTED = {pair for _, _, operation in operations() for pair in codes_of(operation["responses"])}


def raised_codes() -> set[str]:
    """Every code that the sources name where they make an error."""
    found = set(errors._OF_PIXELS.values())
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"ServiceError", "invalid_param"}:
                first = node.args[0]
                if getattr(node.func, "id", "") == "invalid_param":
                    found.add("invalid_param")
                elif isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found


def test_every_code_is_under_its_status() -> None:
    assert codes_of(DOCUMENT["components"]["responses"]) | DOCUMENTED == set(STATUS.items())


def test_operations_answer_the_codes_that_the_sources_raise_and_no_others() -> None:
    assert {code for code, _ in DOCUMENTED} == raised_codes() - ROUTER_CODES
    assert set(OTHER_CODES) == set(STATUS) - raised_codes() | ROUTER_CODES


def test_every_error_has_the_one_shape_and_an_example_of_it() -> None:
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            media = response["content"]["application/json"]
            assert media["schema"]["allOf"][0] == {"$ref": "#/components/schemas/Error"}
            for code, example in media["examples"].items():
                error = example["value"]["error"]
                assert example["value"] == ServiceError(**error).body()
                assert (error["code"], STATUS[code]) == (code, int(status))


def test_the_paths_are_the_routes(tmp_path: Path) -> None:
    application = main.build(assemble(Settings(data_dir=tmp_path)))
    served = {(_shape(route.path_format), method) for route in application.routes for method in route.methods}
    told = {(_shape(path), method.upper()) for path, method, _ in operations()}
    ours = {(path, method) for path, method in served if method != "OPTIONS" and path.startswith(("/api", "/health"))}
    assert ours == told


def _shape(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


def test_every_parameter_is_told_for_every_kind_of_body() -> None:
    address = DOCUMENT["components"]["schemas"]["Address"]
    assert list(UPLOAD["properties"]) == list(PARAMETERS)
    assert list(address["properties"]) == [name for name in PARAMETERS if name != FILE]
    assert UPLOAD["oneOf"] == [{"required": [FILE]}, {"required": [URL]}]
    assert address["oneOf"] == [{"required": [URL]}]
    assert [media["schema"]["$ref"].rpartition("/")[2] for media in COMPRESS["requestBody"]["content"].values()] == [
        "Upload",
        "Address",
        "Address",
    ]


def test_the_defaults_are_those_of_the_options() -> None:
    told = {name: schema["default"] for name, schema in UPLOAD["properties"].items() if "default" in schema}
    fields = [(name, json.dumps(value).strip('"')) for name, value in told.items()]
    assert parse_parameters(fields, has_file=True).options == Options()
    assert told.keys() == {"format", "quality", "strip_metadata"}


def accepts(name: str, value: str) -> bool:
    try:
        parse_parameters([(name, value)], has_file=name != URL, check_webhook=check_webhook_url)
        if name == URL:
            check_source_url(value)
    except ServiceError:
        return False
    return True


def bounds(schema: dict[str, Any]) -> tuple[int, int]:
    return schema["minimum"], schema["maximum"]


@pytest.mark.parametrize("name", ["max_width", "max_height", "quality"])
def test_the_integers_are_those_that_the_parser_takes(name: str) -> None:
    schema = UPLOAD["properties"][name]
    least, most = bounds(schema["oneOf"][1] if name == "quality" else schema)
    assert accepts(name, str(least))
    assert accepts(name, str(most))
    assert not accepts(name, str(least - 1))
    assert not accepts(name, str(most + 1))
    assert accepts(name, "smart") == ("oneOf" in schema)


def test_the_formats_are_those_that_the_parser_takes() -> None:
    told = UPLOAD["properties"]["format"]["enum"]
    assert all(accepts("format", name) for name in told)
    assert set(told) == {"auto", *FORMATS, *(one.extension for one in FORMATS.values())}


def test_the_switch_takes_the_words_that_are_told() -> None:
    told = UPLOAD["properties"]["strip_metadata"]
    words = re.findall("`([a-z0-9]+)`", told["description"].partition("Takes")[2])
    assert set(words) == {word for pair in parameters.SWITCH_WORDS for word in pair}
    for word in words:
        for spelt in (word, word.upper(), word.title()):
            assert accepts("strip_metadata", spelt)
            assert re.search(told["anyOf"][2]["pattern"], spelt)
    for other in ("", "y", "2", "truely", "no "):
        assert not accepts("strip_metadata", other)
        assert not re.search(told["anyOf"][2]["pattern"], other)


@pytest.mark.parametrize("name", [URL, "webhook_url"])
def test_the_longest_address_is_the_one_that_is_told(name: str) -> None:
    most = UPLOAD["properties"][name]["maxLength"]
    address = "https://example.com/".ljust(most, "a")
    assert accepts(name, address)
    assert not accepts(name, address + "a")


def test_a_result_has_the_headers_that_are_told_and_no_others() -> None:
    def sent(**more: Any) -> set[str]:
        always = {"size": 1, "format": "webp", "width": 1, "height": 1, "quality": 1}
        times = {"decode_ms": 0, "search_ms": 0, "encode_ms": 0}
        facts = Done(**always, **times, **{"original_returned": False, "distance": None, **more})
        answer = replies.compressed(Encoded(b"x", facts, 0), 10)
        return {name.decode() for name, _ in answer.encode_headers()} - {"content-type", "content-length"}

    told = {name.lower(): header for name, header in COMPRESS["responses"]["200"]["headers"].items()}
    # The door and the edge add these to whatever answer there is.
    added = {name.lower() for name in (*RATE_HEADERS, "X-Request-Id")}
    assert sent(original_returned=True, distance=1.0) | added == set(told)
    assert sent() | added == {name for name, header in told.items() if header["required"]}


def test_the_counter_sends_the_headers_that_are_told() -> None:
    sent = rate_headers("compress", Window(allowed=True, limit=20, remaining=19, reset_at=60, reset_in_s=60))
    assert [name.decode() for name, _ in sent] == [name.lower() for name in RATE_HEADERS]


def test_a_result_has_one_of_the_four_media_types() -> None:
    assert list(COMPRESS["responses"]["200"]["content"]) == [one.media_type for one in FORMATS.values()]


def test_every_header_has_an_example_that_its_schema_admits() -> None:
    for _, _, operation in operations():
        for response in operation["responses"].values():
            for name, header in response["headers"].items():
                schema, example = header["schema"], header["example"]
                kind = {"integer": int, "number": (int, float)}.get(schema.get("type"), str)
                assert isinstance(example, kind), name
                assert schema.get("minimum", example) <= example <= schema.get("maximum", example), name
                assert example in schema.get("enum", [schema.get("const", example)]), name


def test_only_health_needs_no_key() -> None:
    assert DOCUMENT["security"] == [{"apiKey": []}]
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, _, operation in operations():
        assert (operation.get("security") == []) == path.startswith("/health/"), path


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("sync_max_bytes", 6 * MB, "6 MB"),
        ("max_bytes", 77 * MB, "77 MB"),
        ("max_pixels", 33_000_000, "33 megapixels"),
        ("max_frames", 111, "111 frames"),
        ("body_idle_s", 123.0, "123 s"),
        ("body_timeout_s", 234.0, "234 s"),
        ("body_min_bytes_s", 55_000, "55 kB/s"),
        ("encode_deadline_s", 43.5, "43.5 s"),
        ("wait_timeout_s", 8.25, "8.25 s"),
    ],
)
def test_the_limits_are_those_of_the_settings(setting: str, value: float, told: str) -> None:
    assert told not in json.dumps(DOCUMENT)
    assert told in json.dumps(document(Settings(**{setting: value})))


def test_every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)):
        found = DOCUMENT
        for key in reference.split("/"):
            found = found[key]
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_a_path_s_parameters_are_described() -> None:
    for path, _, operation in operations():
        assert re.findall(r"{(\w+)}", path) == [one["name"] for one in operation.get("parameters", [])]
