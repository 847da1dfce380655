"""Every metric that the dashboard, the alerts, the scaler and the docs name is one that the code tells, labels too."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from app.adapters.embedded import EmbeddedValkey
from app.adapters.metric_families import Family
from app.ports.meter import Stage
from app.settings import Settings
from app.wiring import assemble
from tests.conftest import make_short_folder

PROJECT = Path(__file__).parents[2]
MONITORING = PROJECT / "k8s" / "components" / "monitoring"
DOCS = (PROJECT / "docs" / "observability.md").read_text()
(RULES,) = (group["rules"] for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]["groups"])
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
ADAPTER = yaml.safe_load((MONITORING.parent / "scale-by-hpa" / "prometheus-adapter-values.yaml").read_text())
#: Labels that come from each process, and from what scrapes it.
COMMON = {"role", "pid", "namespace", "pod"}
NAME = re.compile(r"\b(?:compressorize|process)_[a-z_]+\b")
SELECTOR = re.compile(r"\b((?:compressorize|process)_[a-z_]+)\{([^}]*)\}")
GROUPING = re.compile(r"\b(?:by|on) ?\(([^)]*)\)")


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    """The labels of every sample of an API process that has seen everything, by its name."""
    folder = make_short_folder()

    async def read() -> list[Family]:
        parts = assemble(Settings(data_dir=folder, redis_url=f"unix://{folder / 's'}", metrics_port=9464))
        meter = parts.eyes.meter
        meter.count_request("/", 413, took_s=1, bytes_in=1, bytes_out=1, refusal="file_too_large")
        meter.count_encode("webp", stages_ms={"decode": 1}, source_bytes=2, result_bytes=1, distance=1.2)
        meter.count_job("paid", "complete", waited_s=1, took_s=1)
        meter.count_webhook("delivered", took_s=1)
        try:
            server = parts.eyes._server
            assert server is not None
            return await server._read()
        finally:
            for client in parts.clients:
                await client.aclose()

    with EmbeddedValkey(folder, folder / "s"):
        families = asyncio.run(read())
    shutil.rmtree(folder)
    return {name: set(labels) for family in families for name, labels, _ in family.samples}


def queries() -> Iterator[tuple[str, str]]:
    """Each query, by where it stands."""
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for rule in ADAPTER["rules"]["external"]:
        yield "adapter", rule["seriesQuery"]
        yield "adapter", rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="x"')


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_asks_for_what_is_told(where: str, query: str, samples: dict[str, set[str]]) -> None:
    names = set(NAME.findall(query))
    assert names
    assert names <= samples.keys()
    for name, selector in SELECTOR.findall(query):
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", selector)) <= samples[name] | COMMON
    known = COMMON.union(*(samples[name] for name in names))
    for labels in GROUPING.findall(query):
        assert {label.strip() for label in labels.split(",") if label.strip()} <= known


def test_a_count_is_asked_for_its_rate(samples: dict[str, set[str]]) -> None:
    """What a process counted goes with it, so the bare number means nothing."""
    for where, query in queries():
        bare = re.sub(r"(?:rate|increase)\((?:[^()]|\([^()]*\))*\[[^]]+\]\)", "", query)
        assert not re.search(r"_(?:total|bucket|count|sum)\b", bare), where


def test_the_docs_tell_every_metric_with_its_labels_and_no_other(samples: dict[str, set[str]]) -> None:
    told: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^\| `((?:compressorize|process)_\w+)` \|([^|]*)\|", DOCS, re.MULTILINE):
        told[name] = set(re.findall(r"`(\w+)`", labels))
    families = {re.sub(r"_(?:bucket|count|sum)$", "", name): labels - {"le"} for name, labels in samples.items()}
    assert told == families
    assert set(NAME.findall(DOCS)) <= told.keys()


def test_every_alert_says_how_bad_it_is_and_the_docs_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert re.findall(r"^### (Compressorize\w+)$", DOCS, re.MULTILINE) == names
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_panels_lie_side_by_side_and_have_titles() -> None:
    places: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert places.setdefault((x, y), panel["title"]) == panel["title"]
        assert place["x"] + place["w"] <= 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_what_is_scraped_is_the_port_of_the_metrics() -> None:
    monitor: dict[str, Any] = yaml.safe_load((MONITORING / "pod-monitor.yaml").read_text())
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    policy: dict[str, Any] = yaml.safe_load((MONITORING / "network-policy.yaml").read_text())
    (rule,) = policy["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [endpoint["port"]]
    assert policy["spec"]["podSelector"] == monitor["spec"]["selector"]


def test_the_docs_tell_every_stage() -> None:
    (told,) = re.findall(r"^\| `compressorize_stage_seconds` \|.*$", DOCS, re.MULTILINE)
    assert re.findall(r"`(\w+)`", told.split("|")[3]) == list(get_args(Stage))
