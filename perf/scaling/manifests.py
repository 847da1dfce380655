"""Reads what an autoscaler is told from the manifests that are shipped."""

from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from perf.scaling.autoscaler import Behavior, Spec

_K8S: Final = Path(__file__).parents[2] / "k8s"
#: The two components, either of which scales the workers.
MANIFESTS: Final = {
    "keda": _K8S / "components" / "scale-by-keda" / "scaled-object.yaml",
    "hpa": _K8S / "components" / "scale-by-hpa" / "worker-scaling.yaml",
}


class UnreadableManifest(Exception):
    """A manifest scales in a way that is not simulated here; the text tells which."""


def read_spec(path: Path) -> Spec:
    """Read a ScaledObject, or a HorizontalPodAutoscaler, whose metric is external and counts for each pod.

    Raises
    ------
    UnreadableManifest
        It follows something else.
    """
    (found,) = (each for each in yaml.safe_load_all(path.read_text()) if "scaleTargetRef" in each.get("spec", {}))
    spec = found["spec"]
    if found["kind"] == "ScaledObject":
        if spec["minReplicaCount"] < 1:
            raise UnreadableManifest("a ScaledObject with minReplicaCount 0 is scaled by KEDA itself, too")
        told = spec["advanced"]
        modifiers = told["scalingModifiers"]
        _check_kind(modifiers["metricType"])
        return _make(
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            modifiers["target"],
            told["horizontalPodAutoscalerConfig"]["behavior"],
        )
    (metric,) = spec["metrics"]
    target = metric.get("external", {}).get("target", {})
    _check_kind(target.get("type", metric["type"]))
    return _make(spec["minReplicas"], spec["maxReplicas"], target["averageValue"], spec["behavior"])


def _check_kind(kind: str) -> None:
    if kind != "AverageValue":
        raise UnreadableManifest(f"only AverageValue of an External metric is simulated, not {kind}")


def _make(least: int, most: int, target: str, behavior: dict[str, Any]) -> Spec:
    return Spec(least, most, float(target), msgspec.convert(behavior, Behavior))
