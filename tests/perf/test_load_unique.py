"""Each upload can be another file with the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from perf.load.bodies import Body
from perf.load.pictures import Picture
from perf.load.unique import Nonces, find_gap
from pixels import vips
from pixels.options import Options
from pixels.pipeline import compress
from tests.whole.pictures import photo

SAVED = {
    "jpeg": {"quality": 90},
    "png": {},
    "webp": {"quality": 90},
    "avif": {"quality": 80, "speed": 10},
}


def picture_of(kind, **options):
    out = io.BytesIO()
    photo(90, 61).save(out, kind, **SAVED[kind], **options)
    return Picture(f"a.{kind}", out.getvalue(), kind, 0.005)


def with_comment(picture, nonce):
    gap = find_gap(picture.data, picture.format)
    return bytes(gap.before) + gap.fill(nonce) + bytes(gap.after)


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize("options", [{}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}], ids=["plain", "exif"])
def test_bytes_differ_and_pixels_do_not(kind, options):
    picture, nonces = picture_of(kind, **options), Nonces()
    first, second = (with_comment(picture, nonces.draw()) for _ in range(2))
    assert first != second
    assert len(first) == len(second)
    plain = vips.pyvips.Image.new_from_buffer(picture.data, "").numpy()
    for changed in (first, second):
        assert np.array_equal(vips.pyvips.Image.new_from_buffer(changed, "").numpy(), plain)
        assert np.array_equal(
            np.asarray(Image.open(io.BytesIO(changed))), np.asarray(Image.open(io.BytesIO(picture.data)))
        )


@pytest.mark.parametrize("kind", SAVED)
def test_the_service_makes_the_same_result_of_it(kind):
    picture = picture_of(kind)
    options = Options(format="jpeg", quality=70)
    assert compress(with_comment(picture, Nonces().draw()), options).data == compress(picture.data, options).data


def test_an_animation_in_webp_stays_whole():
    out = io.BytesIO()
    frames = [photo(40, 30), photo(40, 30).rotate(180)]
    frames[0].save(out, "webp", save_all=True, append_images=frames[1:], duration=50)
    changed = with_comment(Picture("a.webp", out.getvalue(), "webp", 0.0), Nonces().draw())
    assert Image.open(io.BytesIO(changed)).n_frames == 2


def test_a_png_with_a_comment_has_valid_checksums():
    changed = with_comment(picture_of("png"), Nonces().draw())
    image = Image.open(io.BytesIO(changed))
    image.verify()
    assert "Comment" in Image.open(io.BytesIO(changed)).text


def test_nonces_of_two_processes_differ():
    assert Nonces().draw() != Nonces().draw()


@pytest.mark.parametrize("is_unique", [False, True])
@pytest.mark.parametrize("kind", SAVED)
def test_a_body_is_as_long_as_it_says(kind, is_unique):
    picture = picture_of(kind)
    body = Body(picture, {"quality": "75"}, is_unique=is_unique)
    whole = b"".join(body.render(Nonces().draw()))
    assert len(whole) == body.size
    assert body.picture_bytes >= len(picture.data)
    assert whole.count(b"Content-Disposition") == 2


def test_what_is_hostile_stays_as_it_is():
    body = Body(Picture("odd", b"GIF89a"), {}, is_unique=True)
    assert b"\r\n\r\nGIF89a\r\n--" in b"".join(body.render(Nonces().draw()))
