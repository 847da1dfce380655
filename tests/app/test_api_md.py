"""API.md tells what the code does: its tables are the glossary's, its figures the defaults."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import app
from app.api import glossary, glossary_values
from app.api.limits import POLLS_PER_COMPRESSION
from app.api.openapi import document
from app.errors import STATUS
from app.ports.keys import PER_MINUTE
from app.service import fetch
from app.service.desk import LINK_S
from app.service.webhook import JITTER, MAX_RETRY_AFTER_S, TIMEOUT_S, WAITS_S, sign
from app.settings import Settings
from pixels.encode import check_side
from pixels.errors import ImageTooLarge
from pixels.formats import FORMATS

TEXT = (Path(app.__file__).parents[1] / "API.md").read_text()
SETTINGS = Settings()


def rows(heading: str) -> list[list[str]]:
    """Every row of the tables that begin with this heading, cell by cell."""
    tables = re.findall(rf"^\| {heading} \|.*\n\|[- |]+\|\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line[1:-1].split(" |")] for table in tables for line in table.splitlines()]


def test_the_table_of_errors_is_the_code_s() -> None:
    told = glossary.errors(SETTINGS)
    assert told.keys() == STATUS.keys()
    assert rows("Status") == [
        [str(status), f"`{code}`", told[code].meaning, told[code].remedy]
        for code, status in sorted(STATUS.items(), key=lambda item: item[1])
    ]


def test_the_table_of_parameters_is_the_code_s() -> None:
    assert rows("Field") == [
        [f"`{name}`", one.takes, _default(one.schema.get("default")), one.meaning]
        for name, one in glossary.parameters(SETTINGS).items()
    ]


def _default(value: object) -> str:
    return "" if value is None else f"`{str(value).lower()}`"


def test_every_header_is_told_once() -> None:
    known = [*glossary_values.HEADERS.items(), *glossary_values.REQUEST_HEADERS.items()]
    known += glossary_values.WEBHOOK_HEADERS.items()
    assert sorted(rows("Header")) == sorted([f"`{name}`", f"`{one.example}`", one.meaning] for name, one in known)


def test_the_table_of_properties_is_the_code_s() -> None:
    assert rows("Property") == [
        [f"`{name}`", f"`{json.dumps(one.example)}`", one.meaning] for name, one in glossary_values.PROPERTIES.items()
    ]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def examples_of(media: dict[str, Any]) -> list[Any]:
    return [one["value"] for one in media["content"]["application/json"]["examples"].values()]


def test_json_about_jobs_is_the_document_s() -> None:
    told = document(SETTINGS)
    paths, webhook = told["paths"], told["webhooks"]["job_ended"]["post"]["requestBody"]
    ticket = paths["/api/v1/compress"]["post"]["responses"]["202"]
    _, complete, failed = examples_of(paths["/api/v1/status/{id}"]["get"]["responses"]["200"])
    shown = [one for one in map(json.loads, blocks("json")) if "id" in one]
    assert shown == [*examples_of(ticket), complete, failed, examples_of(webhook)[0]]


def test_the_table_of_limits_is_the_plans() -> None:
    assert rows("Plan")[:-1] == [
        [f"`{plan}`", str(count), str(count * POLLS_PER_COMPRESSION)] for plan, count in PER_MINUTE.items()
    ]


def test_the_table_of_qualities_has_every_format() -> None:
    assert sorted(row[0].strip("`") for row in rows("Output")) == sorted(FORMATS)


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_the_longest_sides_are_the_encoders(name: str) -> None:
    spelt = re.search(rf"([\d,]+)\s+(?:pixels\s+)?in\s+{name}", TEXT, re.IGNORECASE)
    assert spelt is not None
    side = int(spelt[1].replace(",", ""))
    check_side(FORMATS[name].name, side, 1)  # type: ignore[index]
    with pytest.raises(ImageTooLarge):
        check_side(FORMATS[name].name, 1, side + 1)  # type: ignore[index]


def test_the_largest_image_is_the_default() -> None:
    assert (
        f"{SETTINGS.max_pixels / 1e6:g} megapixels, counted over all frames, and {SETTINGS.max_frames} frames" in TEXT
    )


def flowing() -> str:
    """The text with its lines joined."""
    return re.sub(r"\s+", " ", TEXT)


@pytest.mark.parametrize(
    "told",
    [
        f"after {', '.join(map(glossary.duration, WAITS_S[:-1]))} and {glossary.duration(WAITS_S[-1])},",
        f"each give or take {JITTER * 100:g} %",
        f"any 2xx within {glossary.duration(TIMEOUT_S)}",
        f"longer wait, up to {glossary.duration(MAX_RETRY_AFTER_S)}",
        f"Results are kept for {glossary.duration(SETTINGS.result_ttl_s)}",
        f"sent within {glossary.duration(SETTINGS.result_ttl_s)} by the same account",
        f"It is good for {glossary.duration(LINK_S)}",
        f"has {glossary.duration(SETTINGS.fetch_timeout_s)} in all",
        f"silent for longer than {glossary.duration(fetch.IDLE_TIMEOUT_S)}",
        f"Up to {fetch.MAX_REDIRECTS} redirects",
    ],
)
def test_the_figures_are_the_code_s(told: str) -> None:
    assert told in flowing()


#: How each language's snippet is run: the program, what comes before the snippet, and what calls it.
RUNNERS = {
    "python": (
        [sys.executable, "snippet"],
        "import sys\n",
        "print(is_ours(sys.argv[1], sys.argv[2].encode(), sys.argv[3]))",
    ),
    "js": (["node", "snippet.mjs"], "", "console.log(isOurs(...process.argv.slice(2)))"),
    "ruby": (["ruby", "snippet"], "", "puts ours?(*ARGV)"),
    "php": (["php", "snippet"], "<?php\n", "echo json_encode(is_ours(...array_slice($argv, 1)));"),
    "go": (
        ["go", "run", "snippet.go"],
        'package main\nimport ("fmt"; "os")\n',
        "func main() { fmt.Println(isOurs(os.Args[1], []byte(os.Args[2]), os.Args[3])) }",
    ),
}


@pytest.mark.parametrize("language", RUNNERS)
def test_the_snippets_know_our_signature_from_a_forged_one(language: str, tmp_path: Path) -> None:
    command, before, after = RUNNERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on the PATH")
    (snippet,) = blocks(language)
    (tmp_path / command[-1]).write_text(f"{before}{snippet}\n{after}\n")
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"message":"Gr\u00fc\u00dfe"}'
    genuine = sign(secret, "msg_1", 1, body.encode())["X-Compressorize-Signature"]
    forged = genuine[:-1] + ("0" if genuine[-1] != "0" else "1")

    def verdict(*arguments: str) -> str:
        done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().lower()

    assert verdict(secret, body, genuine) == "true"
    for signature in (forged, genuine[:-1], "", "\u00e4" * 64):
        assert verdict(secret, body, signature) == "false"
    assert verdict(secret, f"{body} ", genuine) == "false"
