"""Metrics on their way from one process to another, and together as Prometheus reads them."""

from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its samples, each a name, labels and a value."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


class Snapshot(msgspec.Struct, frozen=True):
    """All metrics of one process at one moment; `role` is what it was started as."""

    role: str
    pid: int
    families: list[Family]


def take_families(metrics: Iterable[Metric]) -> list[Family]:
    """Copy what collectors give."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), float(sample.value)) for sample in metric.samples],
        )
        for metric in metrics
    ]


def render(snapshots: Iterable[Snapshot], accepted: str) -> tuple[bytes, str]:
    """Write the metrics of several processes as one page, each sample with its process' `role` and `pid`.

    They are not added up: a process that ends takes its counts with it, which Prometheus knows to handle, where a sum
    would only seem to go back.

    Parameters
    ----------
    accepted
        The `Accept` header of the one who asks.

    Returns
    -------
    tuple[bytes, str]
        The page and its content type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(snapshots))
    encode, content_type = choose_encoder(accepted)
    return encode(registry), content_type


class _Merged(Collector):
    def __init__(self, snapshots: Iterable[Snapshot]) -> None:
        self._metrics: dict[str, Metric] = {}
        for snapshot in snapshots:
            process = {"role": snapshot.role, "pid": str(snapshot.pid)}
            for family in snapshot.families:
                metric = self._metrics.setdefault(family.name, Metric(family.name, family.text, family.kind))
                for name, labels, value in family.samples:
                    metric.add_sample(name, {**process, **labels}, value)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.values()
