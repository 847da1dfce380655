"""What the manifests, compose.yaml and the Dockerfile say is what the code does; `make k8s-check` judges the rest."""

import functools
import re
import tomllib
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from app import server, wiring
from app.adapters.asking_redis import ROOT
from app.api import health
from app.ports.jobs import Lane
from app.service import addresses
from app.service.netguard import PORTS
from app.settings import Settings
from tests.fleet.rolling import PRE_STOP_S

PROJECT = Path(__file__).parents[2]
K8S = PROJECT / "k8s"
OVERLAYS = ("production", "production-hpa", "single-node")
#: Settings of libraries: S3's client, Numba, glibc, libvips, Python.
NOT_OURS = re.compile(r"AWS_\w+|NUMBA_\w+|MALLOC_ARENA_MAX|VIPS_CONCURRENCY|PYTHON\w+|PATH|PIP_\w+")
SECRETS = {"REDIS_URL": "redis://redis", "KEY_PEPPER": "pepper"}
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((PROJECT / "compose.yaml").read_text())
LANES = [f"{ROOT}jobs:{lane}" for lane in get_args(Lane)]


@functools.cache
def read(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def read_kustomization(folder: Path) -> dict[str, Any]:
    (found,) = read(folder / "kustomization.yaml")
    return found


def collect(folder: Path) -> Iterator[dict[str, Any]]:
    """Every object that a kustomization takes in, as written."""
    kustomization = read_kustomization(folder)
    for name in kustomization.get("resources", []) + kustomization.get("components", []):
        path = (folder / name).resolve()
        yield from collect(path) if path.is_dir() else read(path)


def read_settings(folder: Path) -> dict[str, str]:
    """The variables in the `settings.env` of a kustomization and of those that it takes in; its own win."""
    found: dict[str, str] = {}
    for name in read_kustomization(folder).get("resources", []):
        if (folder / name).is_dir():
            found |= read_settings(folder / name)
    path = folder / "settings.env"
    lines = path.read_text().splitlines() if path.exists() else []
    return found | dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Every pod's name, its specification and its settings."""
    for overlay in OVERLAYS:
        folder = K8S / "overlays" / overlay
        for each in collect(folder):
            if each["kind"] in {"Deployment", "StatefulSet"}:
                pod = each["spec"]["template"]["spec"]
                own = {variable["name"]: variable["value"] for variable in pod["containers"][0].get("env", [])}
                yield f"{overlay}/{each['metadata']['name']}", pod, read_settings(folder) | own


PODS = list(pods())
pods_of_all = pytest.mark.parametrize(("pod", "settings"), [each[1:] for each in PODS], ids=[each[0] for each in PODS])


def find(folder: Path, kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (each for each in collect(folder) if each["kind"] == kind and name in each["metadata"]["name"])
    return found


def judge(variables: dict[str, str]) -> Settings:
    """Refuse a variable that is no setting, and a value that a setting cannot have."""
    unknown = {name for name in variables if name.lower() not in Settings.__struct_fields__}
    assert not {name for name in unknown if not NOT_OURS.fullmatch(name)}
    return Settings.from_environment(variables)


def test_there_are_pods() -> None:
    assert len(PODS) == 5


@pods_of_all
def test_a_pod_has_settings_that_the_service_knows(pod: dict[str, Any], settings: dict[str, str]) -> None:
    judge(settings | SECRETS)


@pytest.mark.parametrize("name", ["api", "worker", "bucket"])
def test_compose_has_settings_that_the_service_knows(name: str) -> None:
    variables = {key: re.sub(r"\$\{\w+:?[-?]?([^}]*)\}", r"\1", value) for key, value in environment_of(name).items()}
    judge(variables)


def environment_of(name: str) -> dict[str, str]:
    found: dict[str, str] = COMPOSE["services"][name]["environment"]
    return found


def test_the_image_has_settings_that_the_service_knows() -> None:
    text = DOCKERFILE.replace("\\\n", " ")
    pairs = [pair for line in re.findall(r"^ENV (.+)$", text, re.MULTILINE) for pair in line.split()]
    judge({name: value for name, _, value in (pair.partition("=") for pair in pairs) if "$" not in value})


@pods_of_all
def test_a_pod_is_left_the_time_that_it_needs_to_end(pod: dict[str, Any], settings: dict[str, str]) -> None:
    kept = judge(settings | SECRETS)
    container = pod["containers"][0]
    needed_s = kept.drain_s
    if container["args"] != ["worker"]:
        needed_s += container["lifecycle"]["preStop"]["sleep"]["seconds"]
        needed_s += server._KILL_SLACK_S + wiring._KEEPING_S
        assert kept.drain_s > kept.wait_timeout_s + kept.encode_deadline_s
    if container["args"] != ["api"]:
        assert kept.drain_s > kept.job_deadline_s
    assert pod["terminationGracePeriodSeconds"] > needed_s


def test_a_pod_that_answers_is_out_of_its_service_before_it_is_told_to_end() -> None:
    """As in tests/fleet/told_restart.py, which fails no request; and its successor answers before it goes."""
    api = find(K8S / "overlays" / "production", "Deployment", "api")["spec"]
    assert api["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    for name, pod, _ in PODS:
        container = pod["containers"][0]
        if container["args"] != ["worker"]:
            assert container["lifecycle"]["preStop"]["sleep"]["seconds"] >= PRE_STOP_S, name


@pytest.mark.parametrize("name", ["api", "worker"])
def test_compose_leaves_the_time_that_is_needed_to_end(name: str) -> None:
    service = COMPOSE["services"][name]
    assert float(service["stop_grace_period"].removesuffix("s")) > float(service["environment"]["DRAIN_S"]) + 7


@pods_of_all
def test_a_pod_is_confined(pod: dict[str, Any], settings: dict[str, str]) -> None:
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user
    context = pod["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert context["runAsNonRoot"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    # With a read-only root, /tmp and the image's volume have to come from somewhere, and no emptyDir without bounds.
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/tmp", "/data"}  # noqa: S108  # not ours
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"])


@pods_of_all
def test_a_pod_asks_for_the_processors_that_its_processes_use(pod: dict[str, Any], settings: dict[str, str]) -> None:
    """`serve` asks for half: its two kinds of encode processes are seldom busy at once."""
    kept = judge(settings | SECRETS)
    container = pod["containers"][0]
    processes = {"api": kept.encode_processes, "worker": kept.worker_processes}
    cores = processes.get(container["args"][0], sum(processes.values()) / 2)
    assert all(processes.values())
    assert kept.api_workers
    assert int(container["resources"]["requests"]["cpu"].removesuffix("m")) / 1000 > cores


@pods_of_all
def test_probes_ask_what_is_there_and_only_the_first_asks_for_redis(
    pod: dict[str, Any], settings: dict[str, str]
) -> None:
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == judge(settings | SECRETS).metrics_port
    (path,) = health.live.paths
    if container["args"] == ["worker"]:
        assert ports.keys() == {"metrics"}
        # The port of the metrics has a probe of its own, under the same name.
        assert container["livenessProbe"]["httpGet"] == {"path": "/health" + path, "port": "metrics"}
        assert container["startupProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
        assert "readinessProbe" not in container
        return
    assert f"PORT={ports['http']}" in DOCKERFILE
    for probe, asked in {"startupProbe": "/health/ready", "readinessProbe": "/health" + path}.items():
        assert container[probe]["httpGet"] == {"path": asked, "port": "http"}
    assert container["livenessProbe"]["httpGet"] == container["readinessProbe"]["httpGet"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_service_leads_to_the_pods_that_listen(overlay: str) -> None:
    folder = K8S / "overlays" / overlay
    selector = find(folder, "Service", "compressorize")["spec"]["selector"]
    for each in collect(folder):
        if each["kind"] in {"Deployment", "StatefulSet"}:
            labels = each["spec"]["template"]["metadata"]["labels"]
            is_chosen = selector.items() <= labels.items()
            ports = each["spec"]["template"]["spec"]["containers"][0]["ports"]
            assert is_chosen == ("http" in [port["name"] for port in ports])
            assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers_have_one_scaler_at_most(overlay: str) -> None:
    """KEDA makes an HPA; beside another one, both would write the same replicas."""
    scalers = [
        each["kind"]
        for each in collect(K8S / "overlays" / overlay)
        if each["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
        and each["spec"]["scaleTargetRef"]["name"] == "compressorize-worker"
    ]
    assert scalers == {"production": ["ScaledObject"], "production-hpa": ["HorizontalPodAutoscaler"]}.get(overlay, [])


def test_what_is_scaled_has_no_replicas_of_its_own() -> None:
    for each in collect(K8S / "fleet"):
        assert each["kind"] != "Deployment" or "replicas" not in each["spec"]


def test_keda_follows_the_sum_of_both_lanes_lengths() -> None:
    spec = find(K8S / "overlays" / "production", "ScaledObject")["spec"]
    assert sorted(each["metadata"]["stream"] for each in spec["triggers"]) == sorted(LANES)
    # With a consumer group KEDA takes XPENDING, which leaves out what waits.
    assert all(set(each["metadata"]) == {"stream", "streamLength"} for each in spec["triggers"])
    modifiers = spec["advanced"]["scalingModifiers"]
    assert modifiers["formula"].split(" + ") == [each["name"] for each in spec["triggers"]]
    assert {each["metadata"]["streamLength"] for each in spec["triggers"]} == {modifiers["target"]}


def test_the_plain_autoscaler_does_what_keda_does() -> None:
    keda = find(K8S / "overlays" / "production", "ScaledObject")["spec"]
    plain = find(K8S / "overlays" / "production-hpa", "HorizontalPodAutoscaler", "worker")["spec"]
    assert (plain["minReplicas"], plain["maxReplicas"]) == (keda["minReplicaCount"], keda["maxReplicaCount"])
    assert plain["behavior"] == keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    target = plain["metrics"][0]["external"]["target"]
    modifiers = keda["advanced"]["scalingModifiers"]
    assert (target["type"], target["averageValue"]) == (modifiers["metricType"], modifiers["target"])


def test_the_adapters_rule_gives_what_the_plain_autoscaler_asks_for() -> None:
    folder = K8S / "components" / "scale-by-hpa"
    (rule,) = yaml.safe_load((folder / "prometheus-adapter-values.yaml").read_text())["rules"]["external"]
    (scaler,) = read(folder / "worker-scaling.yaml")
    assert scaler["spec"]["metrics"][0]["external"]["metric"]["name"] == rule["name"]["as"]
    # Every process tells the same of a lane, and the sum of both is what KEDA follows.
    assert rule["metricsQuery"] == "sum(max by (lane) (compressorize_queue_depth{<<.LabelMatchers>>}))"
    assert "monitoring" in [path.name for path in components_of("production-hpa")]


def components_of(overlay: str) -> list[Path]:
    folder = K8S / "overlays" / overlay
    return [folder / name for name in read_kustomization(folder).get("components", [])]


def test_the_share_of_a_limit_is_that_of_the_most_pods() -> None:
    folder = K8S / "overlays" / "production"
    most = find(folder, "HorizontalPodAutoscaler", "api")["spec"]["maxReplicas"]
    assert judge(read_settings(folder) | SECRETS).api_replicas == most


def test_the_way_out_is_closed_to_all_that_is_not_public() -> None:
    (policy, _) = read(K8S / "base" / "network-policy.yaml")
    (way_out,) = (rule for rule in policy["spec"]["egress"] if "ipBlock" in rule["to"][0])
    closed = [{ip_network(each) for each in to["ipBlock"]["except"]} for to in way_out["to"]]
    assert closed == [set(addresses._NOT_PUBLIC_V4), set(addresses._NOT_PUBLIC_V6)]
    opened = [ip_network(to["ipBlock"]["cidr"]) for to in way_out["to"]]
    assert opened == [ip_network("0.0.0.0/0"), addresses._GLOBAL_UNICAST]
    assert {each["port"] for each in way_out["ports"]} == PORTS


def test_what_is_deployed_is_this_version() -> None:
    assert f"ARG VERSION={VERSION}\n" in DOCKERFILE
    for overlay in OVERLAYS:
        images = read_kustomization(K8S / "overlays" / overlay)["images"]
        assert [each["newTag"] for each in images] == [VERSION]


def test_the_image_is_given_what_it_copies_and_no_more() -> None:
    lines = re.findall(r"^COPY ((?!--from).+)$", DOCKERFILE, re.MULTILINE)
    copied = {name for line in lines for name in line.split()[:-1]}
    ignored = (PROJECT / ".dockerignore").read_text().split("\n")
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((PROJECT / name).exists() for name in copied)
