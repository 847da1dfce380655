"""Gives an encoded WebP animation back the frames and delays that its encoder melts together.

libwebp drops a frame that looks like the one before and shows that one longer; libvips turns delays of 10 ms and less
into 100 ms, as browsers do. Here every source frame gets a frame again, with its own delay: one of a single clear
pixel stands for "nothing changes". Layout by RFC 9649, section 2.7.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pixels import webp_chunks
from pixels.vips import pyvips

_ANIMATION_FLAG: Final = 0x02
_ALPHA_FLAG: Final = 0x10
_DISPOSE_FLAG: Final = 0x01
#: Delays up to this many milliseconds are written by libvips as `_SHORT_DELAY_MS`.
_MAX_SHORT_MS: Final = 10
_SHORT_DELAY_MS: Final = 100
#: A lossless image of one clear pixel, as libwebp's own animation encoder writes it.
_CLEAR_PIXEL: Final = b"VP8L\x08\0\0\0\x2f\0\0\0\x10\x88\x88\x08"
_IMAGE_CHUNKS: Final = (b"ALPH", b"VP8 ", b"VP8L")


def restore_frames(data: bytes, width: int, height: int, delays_ms: Sequence[int], loop: int) -> bytes:
    """Split the frames that were melted together, and set every delay.

    Parameters
    ----------
    data
        An animation as libvips encoded it, or the still that is left where all frames were alike.
    width, height
        Of the canvas, in pixels.
    delays_ms
        One delay for each frame that was encoded.
    loop
        How often the animation plays; 0 for ever.

    Returns
    -------
    bytes
        An animation of ``len(delays_ms)`` frames that plays as `data` does. Where the delays in `data` are not the
        sums of those wanted, `data` itself.
    """
    chunks = [(kind, body) for _, kind, body in webp_chunks.walk(data)]
    frames = [body for kind, body in chunks if kind == b"ANMF"]
    if len(frames) == len(delays_ms) and min(delays_ms) > _MAX_SHORT_MS:
        return data
    if not frames:
        image = b"".join(_build(kind, body) for kind, body in chunks if kind in _IMAGE_CHUNKS)
        frames = [_frame(width, height, sum(map(_written_ms, delays_ms)), image)]
    split = _split(frames, delays_ms)
    if split is None:
        return data
    flags = next((body[0] for kind, body in chunks if kind == b"VP8X"), 0) | _ANIMATION_FLAG
    if len(split) > len(frames):
        flags |= _ALPHA_FLAG
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"".join(
        (
            _build(b"VP8X", bytes((flags, 0, 0, 0)) + canvas),
            *(_build(kind, body) for kind, body in chunks if kind == b"ICCP"),
            _build(b"ANIM", bytes(4) + min(loop, 0xFFFF).to_bytes(2, "little")),
            *(_build(b"ANMF", frame) for frame in split),
            *(_build(kind, body) for kind, body in chunks if kind in {b"EXIF", b"XMP "}),
        )
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _split(frames: list[bytes], delays_ms: Sequence[int]) -> list[bytes] | None:
    """Hand the delays out to the frames in order: each takes as many as its own delay is the sum of."""
    waiting = list(delays_ms)
    found: list[bytes] = []
    for frame in frames:
        shown_ms = int.from_bytes(frame[12:15], "little")
        taken: list[int] = []
        while waiting and sum(map(_written_ms, taken)) < shown_ms:
            taken.append(waiting.pop(0))
        if sum(map(_written_ms, taken)) != shown_ms:
            return None
        found.extend(_repeat(frame, taken))
    return None if waiting else found


def _repeat(frame: bytes, delays_ms: Sequence[int]) -> Iterator[bytes]:
    """Yield `frame`, then frames that change nothing: in all one for each delay."""
    first, *others = delays_ms
    # What a frame clears when it ends, the last that stands for it has to clear.
    place, flags, image = frame[:12], frame[15], frame[16:]
    disposes = bool(flags & _DISPOSE_FLAG and others)
    yield place + first.to_bytes(3, "little") + bytes((flags & ~_DISPOSE_FLAG if disposes else flags,)) + image
    for number, delay_ms in enumerate(others, 1):
        if disposes and number == len(others):
            width, height = (int.from_bytes(place[at : at + 3], "little") + 1 for at in (6, 9))
            yield place + delay_ms.to_bytes(3, "little") + bytes((_DISPOSE_FLAG,)) + _clear_image(width, height)
        else:
            yield _frame(1, 1, delay_ms, _CLEAR_PIXEL)


def _frame(width: int, height: int, delay_ms: int, image: bytes) -> bytes:
    """Lay out a frame at the top left that is blended over the canvas and left there."""
    numbers = (0, 0, width - 1, height - 1, delay_ms)
    return b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + image


def _clear_image(width: int, height: int) -> bytes:
    clear: Any = pyvips.Image.black(width, height, bands=4).copy(interpretation="srgb")
    still = clear.webpsave_buffer(lossless=True, keep=0)
    return b"".join(_build(kind, body) for _, kind, body in webp_chunks.walk(still) if kind in _IMAGE_CHUNKS)


def _written_ms(delay_ms: int) -> int:
    return _SHORT_DELAY_MS if delay_ms <= _MAX_SHORT_MS else delay_ms


def _build(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)
