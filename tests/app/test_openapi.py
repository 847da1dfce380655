"""The OpenAPI document says what the code does: routes, codes, parameters, headers and limits."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.response.base import ASGIResponse

from app import errors, main
from app.api import parameters, replies
from app.api.glossary_values import PROPERTIES, REQUEST_HEADERS, WEBHOOK_HEADERS, Value
from app.api.limits import is_idempotency_key, rate_headers
from app.api.multipart import FILE
from app.api.openapi import OTHER_CODES, document
from app.api.openapi_components import RATE_HEADERS
from app.api.parameters import PARAMETERS, URL, parse_parameters
from app.errors import STATUS, ServiceError
from app.ports.blobs import FILES_PATH
from app.ports.jobs import Failure, Job, Outcome
from app.ports.limiter import Window
from app.service import job_blobs
from app.service.compress import Answer, Ticket
from app.service.job_reply import describe
from app.service.targets import check_source_url, check_webhook_url
from app.service.webhook import JITTER, TIMEOUT_S, WAITS_S, sign
from app.settings import MB, Settings
from app.wiring import assemble
from pixels.formats import FORMATS
from pixels.options import Options

APP = Path(errors.__file__).parent
DOCUMENT = document(Settings())
COMPRESS = DOCUMENT["paths"]["/api/v1/compress"]["post"]
SCHEMAS = DOCUMENT["components"]["schemas"]
UPLOAD = SCHEMAS["Upload"]
WEBHOOK = DOCUMENT["webhooks"]["job_ended"]["post"]
JOB = Job(id="Zb1l0d4W2vXo9QeT", account="ada", lane="paid", options=Options(), original_size=10, created=0)
OUTCOME = Outcome(size=1, format="webp", width=1, height=1, quality=1)
#: What the door and the edge add to whatever answer there is.
ADDED = {name.lower() for name in (*RATE_HEADERS, "X-Request-Id")}
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
        if int(status) >= 400 and "content" in response
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
            if int(status) < 400 or "content" not in response:
                continue
            media = response["content"]["application/json"]
            assert media["schema"]["allOf"][0] == {"$ref": "#/components/schemas/Error"}
            for code, example in media["examples"].items():
                error = example["value"]["error"]
                assert example["value"] == ServiceError(**error).body()
                assert (error["code"], STATUS[code]) == (code, int(status))


@pytest.mark.parametrize("store", ["", "s3://bucket/images"])
def test_the_paths_are_the_routes(tmp_path: Path, store: str) -> None:
    """A store with a server of its own leaves out the route that serves files."""
    settings = Settings(data_dir=tmp_path, store_url=store, s3_region="eu-central-1")
    application = main.build(assemble(settings))
    served = {(_shape(route.path_format), method) for route in application.routes for method in route.methods}
    told = {
        (_shape(path.removesuffix(job_blobs.result(""))), method.upper())
        for path, item in document(settings)["paths"].items()
        for method in item
    }
    ours = {
        (path, method)
        for path, method in served
        if method != "OPTIONS" and path.startswith(("/api", "/health", "/cdn"))
    }
    assert ours == told
    assert any(path.startswith(FILES_PATH) for path, _ in told) == (not store)


def _shape(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


def test_what_answers_a_head_has_no_body_and_refuses_what_get_refuses() -> None:
    item = DOCUMENT["paths"][f"{FILES_PATH}{job_blobs.result('{id}')}"]
    assert not any("content" in response for response in item["head"]["responses"].values())
    # A part is for GET alone (RFC 9110, section 14.2).
    assert item["get"]["responses"].keys() - item["head"]["responses"].keys() == {"206", "416"}


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


def headers_of(answer: ASGIResponse) -> set[str]:
    return {name.decode() for name, _ in answer.encode_headers()} - {"content-type", "content-length"}


def held(response: dict[str, Any], *, least: ASGIResponse, most: ASGIResponse) -> bool:
    """Whether answers have the headers that are told: all of those that are required, and no others."""
    told = {name.lower(): header for name, header in response["headers"].items()}
    required = {name for name, header in told.items() if header["required"]}
    return headers_of(least) | ADDED == required and headers_of(most) | ADDED == set(told)


def test_a_result_has_the_headers_that_are_told_and_no_others() -> None:
    more = msgspec.structs.replace(OUTCOME, original_returned=True, distance=1.0)
    assert held(
        COMPRESS["responses"]["200"],
        least=replies.compressed(Answer(JOB, OUTCOME, b"x", {}, None)),
        most=replies.compressed(Answer(JOB, more, b"x", {"queue": 0}, "hit")),
    )


def test_a_ticket_is_as_told() -> None:
    least = replies.accepted(Ticket(JOB, 4, None))
    assert held(COMPRESS["responses"]["202"], least=least, most=replies.accepted(Ticket(JOB, 4, "miss")))
    assert list(json.loads(least.body)) == list(SCHEMAS["Ticket"]["properties"])


def ended(**fields: object) -> Job:
    return msgspec.structs.replace(JOB, finished=1.0, expires=2.0, **fields)


COMPLETE = ended(state="complete", outcome=msgspec.structs.replace(OUTCOME, distance=1.0))
FAILED = ended(state="failed", failure=Failure("decode_failed", "The image is broken."))


def test_a_status_is_as_told() -> None:
    for job, name in ((JOB, "Processing"), (COMPLETE, "Complete"), (FAILED, "Failed")):
        schema = SCHEMAS[name]
        assert list(json.loads(replies.status(job).body)) == list(schema["properties"]) == schema["required"]
        assert schema["properties"]["status"]["const"] == job.state
    response = DOCUMENT["paths"]["/api/v1/status/{id}"]["get"]["responses"]["200"]
    assert held(response, least=replies.status(JOB), most=replies.status(COMPLETE))


def test_a_redirect_has_the_headers_that_are_told() -> None:
    response = DOCUMENT["paths"]["/api/v1/download/{id}"]["get"]["responses"]["302"]
    assert held(response, least=replies.redirect("/x"), most=replies.redirect("/x"))


def test_a_webhook_is_as_told() -> None:
    media = WEBHOOK["requestBody"]["content"]["application/json"]
    assert media["schema"]["oneOf"] == [{"$ref": f"#/components/schemas/{name}"} for name in ("Complete", "Failed")]
    for job, name in ((COMPLETE, "complete"), (FAILED, "failed")):
        example = media["examples"][name]["value"]
        assert describe(job, "https://x.test/y").keys() == example.keys()
        assert example["status"] == name
    assert media["examples"]["complete"]["value"]["download_url"].startswith(f"{Settings().link_base}/api/v1/download/")
    assert [one["name"] for one in WEBHOOK["parameters"]] == list(WEBHOOK_HEADERS)


def test_a_webhook_is_signed_as_told() -> None:
    sent = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_1", 1, b"{}")
    assert sent.keys() == WEBHOOK_HEADERS.keys()
    for name, text in sent.items():
        assert re.search(WEBHOOK_HEADERS[name].schema.get("pattern", ""), text), name


def test_a_webhook_s_schedule_is_the_sender_s() -> None:
    told = WEBHOOK["description"]
    units = {"s": 1, "min": 60, "h": 3600}
    spelt = [int(count) * units[unit] for count, unit in re.findall(r"(\d+) (s|min|h)\b", told)]
    assert spelt == [*WAITS_S, TIMEOUT_S]
    assert f"{JITTER:.0%}" in told


@pytest.mark.parametrize("text", ["", " ", "a", "~" * 255, "~" * 256, "\t", "\x7f", "\xe9"])
def test_the_idempotency_keys_are_those_that_are_taken(text: str) -> None:
    schema = REQUEST_HEADERS["Idempotency-Key"].schema
    fits = schema["minLength"] <= len(text) <= schema["maxLength"] and re.search(schema["pattern"], text)
    assert bool(fits) == is_idempotency_key(text)


def test_the_counter_sends_the_headers_that_are_told() -> None:
    sent = rate_headers("compress", Window(allowed=True, limit=20, remaining=19, reset_at=60, reset_in_s=60))
    assert [name.decode() for name, _ in sent] == [name.lower() for name in RATE_HEADERS]


def test_a_result_has_one_of_the_four_media_types() -> None:
    assert list(COMPRESS["responses"]["200"]["content"]) == [one.media_type for one in FORMATS.values()]


def admits(schema: Mapping[str, Any], example: object) -> bool:
    """Whether an example is of its schema, as far as this document's schemas go."""
    kinds = {"integer": int, "number": (int, float), "string": str, "object": dict}
    if not isinstance(example, kinds.get(schema.get("type", ""), object)):
        return False
    if isinstance(example, dict):
        properties = schema["properties"]
        return example.keys() == properties.keys() and all(admits(properties[key], example[key]) for key in example)
    if isinstance(example, str) and not re.search(schema.get("pattern", ""), example):
        return False
    if isinstance(example, int | float) and not schema.get("minimum", example) <= example <= schema.get(
        "maximum", example
    ):
        return False
    return example in schema.get("enum", [schema.get("const", example)])


def test_every_value_has_an_example_that_its_schema_admits() -> None:
    told = [
        header
        for _, _, operation in operations()
        for one in operation["responses"].values()
        for header in (one["headers"].items())
    ]
    for name, header in told:
        assert admits(header["schema"], header["example"]), name
    values: dict[str, Value] = {**PROPERTIES, **REQUEST_HEADERS, **WEBHOOK_HEADERS}
    for name, value in values.items():
        assert admits(value.schema, value.example), name


def test_only_health_and_links_need_no_key() -> None:
    assert DOCUMENT["security"] == [{"apiKey": []}]
    assert DOCUMENT["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, _, operation in operations():
        assert (operation.get("security") == []) == path.startswith(("/health/", FILES_PATH, "/cdn/")), path


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
        ("job_deadline_s", 321.0, "321 s"),
        ("fetch_timeout_s", 12.5, "12.5 s"),
        ("result_ttl_s", 11 * 3600.0, "11 h"),
        ("public_url", "https://images.test", "https://images.test/api/v1/download/"),
        ("keep_sync_results", False, "**Results** of jobs are kept"),
    ],
)
def test_the_limits_are_those_of_the_settings(setting: str, value: float | str, told: str) -> None:
    assert told not in json.dumps(DOCUMENT)
    assert told in json.dumps(document(Settings(**{setting: value})))


def test_reuse_is_told_only_where_there_is_any() -> None:
    again = "the same source with the same fields gets the same result"
    assert again in DOCUMENT["info"]["description"]
    assert again not in document(Settings(reuse_results=False))["info"]["description"]


def test_every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)):
        found = DOCUMENT
        for key in reference.split("/"):
            found = found[key]
    names = [operation["operationId"] for _, _, operation in operations()] + [WEBHOOK["operationId"]]
    assert len(names) == len(set(names))


def test_a_path_s_parameters_are_described() -> None:
    for path, _, operation in operations():
        told = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
        assert re.findall(r"{(\w+)}", path) == told
