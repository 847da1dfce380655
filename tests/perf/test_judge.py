"""The judges agree, and see what lies behind clear parts."""

import shutil

import numpy as np
import pytest

from perf.quality import judge
from perf.quality.images import NotCompared, lay_over, open_subject
from perf.quality.judge import Ruler, choose_judge, pass_verdict
from pixels.vips import pyvips
from tests.pixels.pictures import encoded, photo, translucent

OURS = choose_judge("ours")


def subject(tmp_path, image):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(image, "png"))
    return open_subject("a.png", path, 1.0)


@pytest.mark.skipif(not shutil.which("butteraugli_main"), reason="libjxl's butteraugli_main is not installed")
def test_the_judges_agree_within_2_percent(tmp_path):
    reference = subject(tmp_path, photo()).image
    result = encoded(photo(), "jpeg", quality=60)
    theirs = pass_verdict(choose_judge("libjxl"), reference, result, "jpeg")
    assert theirs > 0.5
    assert pass_verdict(OURS, reference, result, "jpeg") == pytest.approx(theirs, rel=0.02)


def test_a_pair_is_judged_once(tmp_path):
    calls = []
    counting = judge.Judge("ours", lambda *pair: calls.append(pair) or 1.5)
    reference, result = subject(tmp_path, photo()).image, encoded(photo(), "jpeg", quality=60)
    assert [pass_verdict(counting, reference, result, "jpeg") for _ in range(2)] == [1.5, 1.5]
    assert len(calls) == 1
    pass_verdict(counting, reference, encoded(photo(), "jpeg", quality=61), "jpeg")
    assert len(calls) == 2


def test_damage_that_shows_over_one_background_alone_counts(tmp_path):
    """Alpha is turned round, which shows most over the background that is least like the picture."""
    reference = subject(tmp_path, translucent()).image
    turned = reference.numpy().copy()
    turned[:, :48, 3] = 255 - turned[:, :48, 3]
    result = pyvips.Image.new_from_array(turned).pngsave_buffer()
    after = pyvips.Image.new_from_buffer(result, "")
    single = [OURS.compare(lay_over(reference, level), lay_over(after, level)) for level in (0, 255)]
    assert abs(single[0] - single[1]) > 0.01
    assert pass_verdict(OURS, reference, result, "webp") == pytest.approx(max(single))
    assert Ruler(reference, "webp").measure(result) == pytest.approx(max(single))


def test_a_jpeg_of_a_clear_image_is_judged_over_white(tmp_path):
    reference = subject(tmp_path, translucent()).image
    white = np.asarray(lay_over(reference, 255))
    result = pyvips.Image.new_from_array(white).jpegsave_buffer(Q=95)
    assert pass_verdict(OURS, reference, result, "jpeg") < 1
    assert pass_verdict(OURS, reference, result, "webp") > 5


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"nothing", "no JPEG"),
        (encoded(photo(7, 30), "png"), "too small"),
        (encoded(photo(1200, 1000), "png"), "megapixels"),
        (encoded(photo(), "webp", save_all=True, append_images=[photo().rotate(180)]), "Animations"),
    ],
    ids=["no image", "7 pixels", "1.2 MP", "animation"],
)
def test_what_cannot_be_compared_says_why(tmp_path, data, reason):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(NotCompared, match=reason):
        open_subject("a", path, 1.0)
