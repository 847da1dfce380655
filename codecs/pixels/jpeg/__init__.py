"""A JPEG encoder for the fewest bytes at equal looks.

Its coefficients are its own: chroma halved with the decoder's interpolation in mind (`planes`), luma that may go beyond
black and white (`overshoot`), jpegli's quantisation tables (`tables`), and a choice of each value by what it costs and
what it spoils (`trellis`). They are written as a plain baseline file (`huffman`), which is all that a search needs, and
in the end as a progressive one of the same coefficients (`progressive`, `scans`, `codes`).

JPEG is ITU-T T.81; "T.81, F.1.2" names its clauses.
"""

from pixels.jpeg.encode import Chroma, encode_draft, encode_with_excerpt, finish
from pixels.jpeg.warm import warm

__all__ = ["Chroma", "encode_draft", "encode_with_excerpt", "finish", "warm"]
