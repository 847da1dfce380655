"""The stages of the JPEG encoder of smart, each on the strip of 64 rows that it works on at a time, and the whole."""

from typing import NamedTuple

import numpy as np
import pytest

from perf.bench.pace import Pace
from perf.bench.pictures import Pixels, draw
from pixels import jpeg
from pixels.butteraugli.jit import Plane
from pixels.jpeg import dct, huffman, overshoot, planes, trellis
from pixels.jpeg.baseline import STRIP_ROWS
from pixels.jpeg.encode import Chroma
from pixels.jpeg.tables import quantisation_tables
from pixels.raster import hold
from pixels.vips import pyvips

WIDTH = 1008
#: Rows of its neighbours that a strip is given above and below, for chroma at half resolution.
HALO = 4
QUALITY = 80


class Strip(NamedTuple):
    """A strip of a picture in all states that it passes through; `coefficients` are luma's."""

    rgb: Pixels
    y: Plane
    chroma: tuple[Plane, Plane]
    halves: tuple[Plane, Plane]
    sharp: tuple[Plane, Plane]
    rows: Plane
    steps: Plane
    coefficients: Plane
    quantised: trellis.Coefficients

    def convert(self) -> None:
        """Make luma and chroma of the pixels."""
        planes.convert(self.rgb.reshape(self.rgb.shape[0], -1), 0, self.y, *self.chroma)

    def halve_chroma(self) -> None:
        """Take chroma to half resolution, and sharpen it."""
        for full, half, sharp in zip(self.chroma, self.halves, self.sharp, strict=True):
            planes.halve(full, half)
            planes.sharpen(half, self.rows[0, : half.shape[1]], sharp)

    def correct_luma(self) -> None:
        """Let luma make up for chroma."""
        planes.correct_luma(self.rgb.shape[1], self.chroma, self.sharp, self.rows, self.y)

    def transform(self) -> None:
        """Transform luma's blocks."""
        scale = (1 / self.steps).astype(np.float32).ravel()
        dct.transform(self.y, HALO, 0, scale, np.empty((8, 8), np.float32), self.coefficients)

    def quantise(self) -> None:
        """Choose luma's values."""
        costs, links = np.empty(64, np.float32), np.empty((3, 64), np.int32)
        trellis.choose(self.coefficients, trellis.LUMA_LAMBDA, trellis.BITS, costs, links, self.quantised)


@pytest.fixture(scope="module")
def strip() -> Strip:
    jpeg.warm()
    rgb = draw(STRIP_ROWS + 2 * HALO, WIDTH)[0]
    rgb.flags.writeable = False

    def make(*shape: int) -> Plane:
        return np.zeros(shape, np.float32)

    rows = rgb.shape[0]
    steps = quantisation_tables(QUALITY, half_chroma=True)[0].reshape(8, 8).astype(np.float32)
    blocks = (STRIP_ROWS // 8, WIDTH // 8, 64)
    made = Strip(
        rgb=rgb,
        y=make(rows, WIDTH),
        chroma=(make(rows, WIDTH), make(rows, WIDTH)),
        halves=(make(rows // 2, WIDTH // 2 + 2), make(rows // 2, WIDTH // 2 + 2)),
        sharp=(make(rows // 2, WIDTH // 2 + 2), make(rows // 2, WIDTH // 2 + 2)),
        rows=make(4, WIDTH + 2),
        steps=steps,
        coefficients=make(*blocks),
        quantised=np.zeros(blocks, np.int16),
    )
    for step in (made.convert, made.halve_chroma, made.correct_luma, made.transform, made.quantise):
        step()
    return made


def test_colour(pace: Pace, strip: Strip) -> None:
    pace(strip.convert)


def test_chroma(pace: Pace, strip: Strip) -> None:
    pace(strip.halve_chroma)


def test_luma_correction(pace: Pace, strip: Strip) -> None:
    pace(strip.correct_luma, prepare=strip.convert)


def test_overshoot(pace: Pace, strip: Strip) -> None:
    target, block = np.empty((8, 8), np.float32), np.empty((8, 8), np.float32)
    blocks = strip.quantised.shape[:2]
    pace(lambda: overshoot.relax(strip.y, HALO, blocks, strip.steps, target, block), prepare=strip.convert)


def test_transform(pace: Pace, strip: Strip) -> None:
    pace(strip.transform)


def test_trellis(pace: Pace, strip: Strip) -> None:
    pace(strip.quantise)


def test_huffman(pace: Pace, strip: Strip) -> None:
    pace(lambda: huffman.Writer().write_grey(strip.quantised))


@pytest.mark.parametrize("chroma", ["420", "444"])
def test_draft(pace: Pace, chroma: Chroma) -> None:
    raster = hold(pyvips.Image.new_from_array(draw(667, 1000)[0]).copy(interpretation="srgb"))
    pace(lambda: jpeg.encode_draft(raster, QUALITY, chroma))


def test_finish(pace: Pace) -> None:
    """The progressive file that the draft becomes."""
    raster = hold(pyvips.Image.new_from_array(draw(667, 1000)[0]).copy(interpretation="srgb"))
    draft = jpeg.encode_draft(raster, QUALITY, "420")
    pace(lambda: jpeg.finish(draft, raster, keep=0))
