"""Animations keep all their frames, delays and loops, or are refused."""

import numpy as np
import pytest
from PIL import Image

from pixels.animated_webp import restore_frames
from pixels.errors import DecodeFailed, UnsupportedFormat
from pixels.options import Options
from pixels.pipeline import compress
from pixels.vips import pyvips
from tests.pixels.pictures import SRGB, XMP, animation, difference, encoded, exif, noise, opened, photo, stored

DELAYS_MS = [100, 200, 300, 400]
#: Four frames that differ all over.
FRAMES = [stored(photo(80, 60), orientation) for orientation in (1, 2, 3, 4)]
MOVING = animation(FRAMES, DELAYS_MS, quality=95)
MOVING_PNG = encoded(FRAMES[0], "png", save_all=True, append_images=FRAMES[1:], duration=DELAYS_MS, loop=2)


def facts(data: bytes | memoryview) -> tuple[int, tuple[int, int], list[int], int]:
    """Frames, canvas, delays in ms and loops of a WebP, read from its chunks: Pillow joins what it finds alike."""
    data = bytes(data)
    at, delays, loop = 12, [], -1
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if kind == b"ANIM":
            loop = int.from_bytes(body[4:6], "little")
        elif kind == b"ANMF":
            delays.append(int.from_bytes(body[12:15], "little"))
        at += 8 + size + size % 2
    return len(delays), opened(data).size, delays, loop


def shown(data: bytes | memoryview) -> list[Image.Image]:
    """Each frame as it shows."""
    image = opened(data)
    found = []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        found.append(image.convert("RGBA"))
    return found


@pytest.mark.parametrize(
    "options",
    [Options(), Options(format="webp", quality=40), Options(strip_metadata=False), Options(max_width=5000)],
    ids=str,
)
def test_an_animated_webp_stays_what_it_was(options: Options) -> None:
    result = compress(MOVING, options)
    assert facts(result.data) == (4, (80, 60), DELAYS_MS, 3)
    assert (result.frames, result.width, result.height) == (4, 80, 60)
    for got, want in zip(shown(result.data), FRAMES, strict=True):
        assert difference(got, want) < 3


def test_an_animated_webp_is_resized_whole() -> None:
    result = compress(MOVING, Options(max_width=40, strip_metadata=False))
    assert facts(result.data) == (4, (40, 30), DELAYS_MS, 3)
    for got, want in zip(shown(result.data), FRAMES, strict=True):
        assert difference(got, want.resize((40, 30))) < 4


def test_frames_that_look_alike_stay_apart() -> None:
    """Libwebp would join them, which plays the same but is no longer the animation that came."""
    one, other = FRAMES[0], FRAMES[1]
    alike = without_joining([one, one, other, other, other, one], [40, 50, 60, 70, 80, 90])
    result = compress(alike, Options(quality=50))
    assert facts(result.data)[0] == 6
    assert facts(result.data)[2] == [40, 50, 60, 70, 80, 90]
    for got, want in zip(frames_by_libvips(result.data), [one, one, other, other, other, one], strict=True):
        assert difference(got, want) < 4


def test_an_animation_of_one_picture_stays_an_animation() -> None:
    result = compress(without_joining([FRAMES[0]] * 3, [40, 50, 60]), Options(quality=30))
    assert facts(result.data) == (3, (80, 60), [40, 50, 60], 5)


def test_delays_shorter_than_browsers_keep_stay_as_they_are() -> None:
    result = compress(animation(FRAMES, [5, 10, 11, 0], quality=95), Options(quality=40))
    assert facts(result.data)[2] == [5, 10, 11, 0]


def test_clear_parts_that_move_leave_no_trace() -> None:
    """A square that walks over a clear canvas: each frame clears what the one before drew."""
    frames = []
    for step in range(4):
        frame = Image.new("RGBA", (64, 48))
        frame.paste((200, 40, 40, 255), (step * 14, 10, step * 14 + 12, 30))
        frames.append(frame)
    walk = [frames[0], frames[0], frames[1], frames[2], frames[2], frames[3]]
    result = compress(without_joining(walk, [60, 50, 40, 30, 20, 90]), Options(quality=60))
    assert facts(result.data)[2] == [60, 50, 40, 30, 20, 90]
    for got, want in zip(frames_by_libvips(result.data), walk, strict=True):
        assert np.abs(np.asarray(got.getchannel("A"), int) - np.asarray(want.getchannel("A"), int)).mean() < 2


def test_what_a_frame_clears_when_it_ends_the_last_that_stands_for_it_clears() -> None:
    """An encoder may end a joined frame by clearing its rectangle: not before the last of its frames was shown."""
    red, blue = (Image.new("RGBA", (20, 20), colour) for colour in ("red", "blue"))
    canvas = Image.new("RGBA", (60, 40))

    def frame(image: Image.Image, x: int, delay_ms: int, flags: int) -> bytes:
        still = encoded(image, "webp", lossless=True)
        place = b"".join(n.to_bytes(3, "little") for n in (x // 2, 5, 19, 19, delay_ms))
        return place + bytes((flags,)) + still[still.index(b"VP8L") :]

    chunks = [(b"VP8X", bytes((0x12, 0, 0, 0, 59, 0, 0, 39, 0, 0))), (b"ANIM", bytes(6))]
    chunks += [(b"ANMF", frame(red, 0, 150, 1)), (b"ANMF", frame(blue, 30, 90, 0))]
    body = b"".join(kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for kind, data in chunks)
    joined = b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body
    restored = restore_frames(joined, 60, 40, [50, 60, 40, 90], loop=0)
    assert facts(restored) == (4, (60, 40), [50, 60, 40, 90], 0)
    first, last = canvas.copy(), canvas.copy()
    first.paste(red, (0, 10))
    last.paste(blue, (30, 10))
    for got, want in zip(frames_by_libvips(restored), [first, first, first, last], strict=True):
        assert np.array_equal(np.asarray(got.getchannel("A")), np.asarray(want.getchannel("A")))


def test_delays_that_do_not_add_up_change_nothing() -> None:
    assert restore_frames(MOVING, 80, 60, [100, 200, 300], loop=3) == MOVING
    assert restore_frames(MOVING, 80, 60, [100, 200, 300, 400, 500], loop=3) == MOVING


@pytest.mark.parametrize("target", ["jpeg", "png", "avif"])
def test_an_animated_webp_becomes_no_still(target: str) -> None:
    with pytest.raises(UnsupportedFormat, match=target.upper()):
        compress(MOVING, Options(format=target))


@pytest.mark.parametrize(
    "options", [Options(), Options(format="png", quality=40), Options(strip_metadata=False)], ids=str
)
def test_an_animated_png_comes_back_whole(options: Options) -> None:
    result = compress(MOVING_PNG, options)
    assert result.data == MOVING_PNG
    assert result.original_returned
    assert (result.frames, result.width, result.height, result.quality) == (4, 80, 60, 100)


def test_an_animated_png_loses_its_metadata_and_nothing_else() -> None:
    source = encoded(FRAMES[0], "png", save_all=True, append_images=FRAMES[1:], duration=50, exif=exif(), xmp=XMP,
                     icc_profile=SRGB)  # fmt: skip
    assert b"TestCam" in source
    stripped = compress(source, Options())
    assert b"TestCam" not in bytes(stripped.data)
    assert stripped.original_returned
    # Its pixels are not touched, so that it still needs its profile.
    assert opened(stripped.data).info["icc_profile"] == SRGB
    for got, want in zip(shown(stripped.data), shown(source), strict=True):
        assert np.array_equal(got, want)
    assert compress(source, Options(strip_metadata=False)).data == source


@pytest.mark.parametrize("target", ["jpeg", "webp", "avif"])
def test_an_animated_png_becomes_nothing_else(target: str) -> None:
    with pytest.raises(UnsupportedFormat, match=target.upper()):
        compress(MOVING_PNG, Options(format=target))


def test_an_animated_png_is_not_resized_but_a_box_it_fits_in_is_no_resize() -> None:
    with pytest.raises(UnsupportedFormat, match="resized"):
        compress(MOVING_PNG, Options(max_width=79))
    assert compress(MOVING_PNG, Options(max_width=80, max_height=900)).data == MOVING_PNG


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_animated_png_is_broken(share: float) -> None:
    with pytest.raises(DecodeFailed):
        compress(MOVING_PNG[: int(len(MOVING_PNG) * share)], Options())


def test_a_damaged_later_frame_of_an_animated_png_is_broken() -> None:
    at = MOVING_PNG.rindex(b"fdAT") + 30
    with pytest.raises(DecodeFailed):
        compress(MOVING_PNG[:at] + bytes((MOVING_PNG[at] ^ 255,)) + MOVING_PNG[at + 1 :], Options())


def test_avif_sequences_are_refused() -> None:
    sequence = encoded(FRAMES[0], "avif", save_all=True, append_images=FRAMES[1:], duration=100)
    for target in ("auto", "jpeg"):
        with pytest.raises(UnsupportedFormat):
            compress(sequence, Options(format=target))


def without_joining(frames: list[Image.Image], delays_ms: list[int]) -> bytes:
    """An animation with one full frame for each of `frames`, which no encoder of animations writes for equal ones."""
    width, height = frames[0].size
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [(b"VP8X", bytes((0x12, 0, 0, 0)) + canvas), (b"ANIM", bytes(4) + (5).to_bytes(2, "little"))]
    for frame, delay_ms in zip(frames, delays_ms, strict=True):
        still = encoded(frame, "webp", lossless=True, exact=True)
        image = still[still.index(b"VP8L") :]
        # Flag 2: not blended with what was there.
        chunks.append((b"ANMF", bytes(6) + canvas + delay_ms.to_bytes(3, "little") + b"\2" + image))
    body = b"".join(kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def frames_by_libvips(data: bytes | memoryview) -> list[Image.Image]:
    """Each frame as libwebp's decoder composes it, equal neighbours and all."""
    tall = pyvips.Image.new_from_buffer(bytes(data), "", n=-1)
    pixels = tall.numpy().reshape(-1, tall.get("page-height"), tall.width, tall.bands)
    return [Image.fromarray(frame).convert("RGBA") for frame in pixels]


def test_noise_never_grows() -> None:
    frames = [noise(32, 32, seed) for seed in range(3)]
    source = animation(frames, [50] * 3, quality=10)
    result = compress(source, Options(quality=95))
    assert result.original_returned
    assert result.data == source
