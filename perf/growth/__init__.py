"""How cost grows: with the size of a picture, with encode processes, with the requests that have been.

``python -m perf.growth megapixels|processes|memory``; perf/GROWTH.md has what was found.
"""
