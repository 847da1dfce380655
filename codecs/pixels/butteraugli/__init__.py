"""Butteraugli: how visible the difference of two images is. Arrays in, numbers out.

Follows libjxl 0.7 (lib/jxl/butteraugli) and its constants. Glossary:

- Opsin: the light-sensitive proteins of the retina; opsin dynamics are their response to light.
- X, Y, B: opponent colours made of the responses: red minus green, luminance, blue.
- Bands: LF, MF, HF, UHF, the image split by Gaussian blurs from low to ultra-high frequency.
- Malta: differences summed along line segments in 16 directions (the shape of a Maltese cross).
- Mask: how much the detail of the reference hides; visibility is what a squared difference is multiplied by.
- AC, DC: differences of detail (MF and finer), and of LF.
- Diffmap: the distance of each pixel.
- Ring: a plane of which only the rows in use are kept; the image goes through all stages a few rows at a time.
- Scale: all of it is done at full resolution and at half, which counts half.
- 3-norm: the mean of the norms of the diffmap for p = 3, 6 and 12.

A distance of 1 is about what can just be noticed; 0.5 hardly ever is, 2 mostly is and 4 is plain to see.
"""

from pixels.butteraugli.comparator import Comparator
from pixels.butteraugli.norms import Distance, Tally, pool
from pixels.butteraugli.tile_comparator import TileComparator
from pixels.butteraugli.warm import warm

__all__ = ["Comparator", "Distance", "Tally", "TileComparator", "pool", "warm"]
