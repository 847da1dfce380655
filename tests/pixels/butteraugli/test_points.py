"""Agreement with libjxl's own program, butteraugli_main 0.7, on pairs that nothing was fitted to."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from pixels.butteraugli import Comparator

SHARED = Path(os.environ.get("COMPRESSORIZE_SHARED") or Path(__file__).parents[3].parent / "shared")
FOLDER = SHARED / "reference" / "butteraugli"


def load(path):
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_file(str(path))
    if image.hasalpha():
        image = image.flatten()
    return np.ascontiguousarray(image.colourspace("srgb").numpy()[:, :, :3])


@pytest.mark.skipif(not (FOLDER / "points.tsv").is_file(), reason="the reference pairs are not beside this checkout")
def test_agrees_with_the_reference_program():
    """Spearman >= 0.9995 and, after one constant factor, RMS of the log ratio <= 0.01; the factor is 1 within 1 %."""
    with (FOLDER / "points.tsv").open() as file:
        points = list(csv.DictReader(file, delimiter="\t"))
    judges, found, wanted = {}, [], []
    for point in points:
        name = point["reference"]
        if name not in judges:
            judges = {name: Comparator(load(FOLDER / name))}
        found.append(judges[name].compare(load(FOLDER / point["distorted"])).norm3)
        wanted.append(float(point["butteraugli_3norm"]))
    ranks = [np.argsort(np.argsort(values)) for values in (found, wanted)]
    ratio = np.log(np.array(found) / wanted)
    assert np.corrcoef(ranks)[0, 1] >= 0.9995
    assert ratio.std() <= 0.01
    assert abs(ratio.mean()) <= 0.01
