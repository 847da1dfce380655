"""How close `smart` comes to its target, beside what it has to beat: `python -m perf.quality`, `make quality`.

Each image of a set is brought to one butteraugli distance in each format, in three ways:

- smart: the pipeline with `quality=smart`;
- fixed: the single quality that suits the whole set best, one for each format;
- bisection: six encodes of the whole image, each decoded and scored whole.

What comes out is judged by libjxl's own program on whole images.
"""
