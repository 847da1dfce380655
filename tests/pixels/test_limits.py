"""What is too large is refused by its header, before a pixel is decoded."""

import resource
import zlib

import pytest

from pixels import png_chunks
from pixels.errors import DecodeFailed, ImageTooLarge
from pixels.options import Limits, Options
from pixels.pipeline import compress
from tests.hostile import crafted_heif, crafted_jpeg, crafted_webp
from tests.pixels.pictures import KINDS, animation, encoded, noise, photo

SMALL = Limits(max_pixels=100 * 100, max_frames=4)


def claiming_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((1, 0, 0, 0, 0))
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")
    return png_chunks.SIGNATURE + b"".join(png_chunks.build(kind, body) for kind, body in chunks)


@pytest.mark.parametrize("name", KINDS)
def test_more_pixels_than_allowed_are_refused_in_every_format(name: str) -> None:
    with pytest.raises(ImageTooLarge, match=r"101 x 100 = 0\.0 megapixels"):
        compress(encoded(noise(101, 100), name), Options(), SMALL)
    assert compress(encoded(noise(100, 100), name), Options(format="jpeg"), SMALL).width == 100


@pytest.mark.parametrize("size", [(10_000, 5_001), (100_000, 100_000), (65_500, 65_500)])
def test_a_claimed_size_is_refused_without_memory_for_it(size: tuple[int, int]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageTooLarge):
        compress(claiming_png(*size), Options())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_fifty_megapixels_are_the_default_limit() -> None:
    with pytest.raises(ImageTooLarge):
        compress(claiming_png(10_000, 5_001), Options())
    # At the limit it is opened, and only then is found out to be empty.
    with pytest.raises(Exception, match="could not be decoded"):
        compress(claiming_png(10_000, 5_000), Options())


def test_all_frames_count_as_pixels() -> None:
    frames = [noise(60, 60, seed) for seed in range(3)]
    with pytest.raises(ImageTooLarge, match="x 3 frames"):
        compress(animation(frames, [50] * 3), Options(), SMALL)
    assert compress(animation(frames[:2], [50] * 2), Options(), SMALL).frames == 2


def test_too_many_frames_are_refused_however_small() -> None:
    frames = [noise(4, 4, seed) for seed in range(5)]
    with pytest.raises(ImageTooLarge, match="5 frames"):
        compress(animation(frames, [50] * 5), Options(), SMALL)


def test_an_animated_png_is_held_to_the_same_limits() -> None:
    frames = [noise(60, 60, seed) for seed in range(5)]
    for count, words in ((5, "5 frames"), (3, "x 3 frames")):
        data = encoded(frames[0], "png", save_all=True, append_images=frames[1:count], duration=50)
        with pytest.raises(ImageTooLarge, match=words):
            compress(data, Options(), SMALL)


@pytest.mark.parametrize(("name", "most"), [("webp", 16_383), ("avif", 16_384)])
def test_a_side_that_the_asked_format_cannot_have_is_refused(name: str, most: int) -> None:
    source = encoded(photo().resize((most + 1, 2)), "png")
    with pytest.raises(ImageTooLarge, match=str(most)):
        compress(source, Options(format=name))
    assert compress(source, Options(format=name, max_width=most)).width == most


def test_frames_are_counted_before_a_library_counts_them() -> None:
    """Libwebp takes a minute to open a hundred thousand."""
    with pytest.raises(ImageTooLarge, match="257 frames or more"):
        compress(crafted_webp.animated(100_000), Options())


def test_a_picture_of_more_than_100_mb_of_pixels_stays_in_memory() -> None:
    """Beyond that libvips would write it to a file, which an encode process may not."""
    source = crafted_webp.riff(crafted_webp.lossless(6_000, 6_000))
    assert compress(source, Options(quality=1, max_width=60)).width == 60


def test_a_jpeg_that_is_too_short_for_its_size_is_broken() -> None:
    with pytest.raises(DecodeFailed, match="most of it is missing"):
        compress(crafted_jpeg.flat(8, 8, claimed=(7_000, 7_000)), Options())
    assert compress(crafted_jpeg.flat(700, 700), Options(quality=50)).width == 700


@pytest.mark.parametrize(("side", "scans", "fits"), [(64, 99, True), (64, 100, False), (4_000, 90, False)])
def test_scans_of_a_jpeg_are_bounded_by_number_and_by_what_they_walk_over(side: int, scans: int, *, fits: bool) -> None:
    """The first scan, and those that repeat it; a walk over 16 megapixels may come 78 times."""
    source = crafted_jpeg.progressive(side, side, scans, refine=False)
    if fits:
        assert compress(source, Options(quality=50)).width == side
    else:
        with pytest.raises(DecodeFailed, match="very many scans"):
            compress(source, Options(quality=50))


def test_rows_are_bounded_however_short() -> None:
    """A picture one pixel wide and 49 million high kept a process busy for more than a minute."""
    with pytest.raises(ImageTooLarge, match="200001 rows"):
        compress(claiming_png(1, 200_001), Options())


def test_scans_inside_metadata_are_none() -> None:
    source = crafted_jpeg.spliced(crafted_jpeg.segment(crafted_jpeg.COM, b"\xff\xda" * 200))
    assert compress(source, Options(quality=50)).width == 160


def test_a_still_avif_of_many_frames_is_broken() -> None:
    stream = crafted_heif.coded()[1]
    assert compress(crafted_heif.still(stream=stream * 4), Options(format="jpeg", quality=50)).width == 64
    with pytest.raises(DecodeFailed, match="very many frames"):
        compress(crafted_heif.still(stream=stream * 9), Options())


@pytest.mark.parametrize("places", [((0, 400),) * 9, ((0, 0),) * 9])
def test_an_avif_does_not_unfold_to_more_than_it_is(places: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(DecodeFailed, match="overlap"):
        compress(crafted_heif.with_place(*places), Options())
