"""The bytes that encoders need are compared at the same distance of the same image."""

import numpy as np
import pytest

from perf.quality.charts import EncoderRow, compare_bytes


def curve(image, encoder, scale, qualities=(30, 60, 90)):
    """Bytes of `scale` over the distance, as if an encoder followed a power law."""
    distances = {30: 3.0, 60: 1.5, 90: 0.5}
    return [EncoderRow(image, "photo", encoder, q, round(scale / distances[q]), distances[q]) for q in qualities]


def test_ratios_are_geometric_means_over_images():
    rows = [
        *(*curve("a", "base", 10_000_000), *curve("a", "half", 5_000_000)),
        *(*curve("b", "base", 80_000_000), *curve("b", "half", 10_000_000)),
    ]
    ratios = compare_bytes(rows, "base")
    assert ratios["base"] == pytest.approx(1)
    assert ratios["half"] == pytest.approx(0.25, rel=1e-3)


def test_nothing_is_drawn_where_an_encoder_was_not_tried():
    rows = [*curve("a", "base", 10_000_000), *curve("a", "other", 10_000_000, qualities=(30, 60))]
    other = compare_bytes(rows, "base")["other"]
    assert np.isnan(other[0])
    assert other[-1] == pytest.approx(1)
