"""Real and hostile files, where they are at hand: each ends in a good image or in an error of ours."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pixels.errors import PixelsError
from pixels.options import Options
from pixels.pipeline import compress
from pixels.sniff import sniff
from tests.pixels.pictures import CORPUS, KINDS, difference, opened, seen

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="no real images here: set COMPRESSORIZE_SHARED")
MAX_MEMORY_BYTES = 3 << 30

#: Real files with a profile, inks, an orientation, many bits, alpha or an odd build, that Pillow reads as viewers do.
FILES = [
    "cmyk_icc.jpg", "icc_adobergb.jpg", "icc_ferry_sunset.jpg", "icc_prophoto.jpg",
    "hopper_orientation_2.jpg", "hopper_orientation_7.webp", "orient_portrait_6.jpg", "jpeg_non_interleaved.jpg",
    "jpeg_progressive_3.jpg", "jpeg_q20.jpg", "jpeg_sampling_factors.jpg", "peacock.s-very-weird.jpeg",
    "frozenpond.mpo", "paris_exif_xmp_gainmap_littleendian.jpg", "paris_icc_exif_xmp.avif",
    "indexed.png", "png_alpha_dice.png", "icc_p3.png", "pngsuite_basi6a16.png", "pngsuite_tbbn3p08.png",
    "sample-xyb.jpg", "webp_icc_adobergb.webp", "webp_alpha_lossy_2.webp", "avif_transparency.avif", "tiny_1x1.avif",
]  # fmt: skip

HOSTILE = """
import resource, sys
from pathlib import Path
from pixels import vips
from pixels.errors import PixelsError
from pixels.options import Options
from pixels.pipeline import compress
vips.prepare()
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
for path in map(Path, sys.argv[2:]):
    for options in (Options(), Options(format="webp", max_width=50, strip_metadata=False)):
        try:
            compress(path.read_bytes(), options)
        except PixelsError as error:
            if not str(error):
                sys.exit(f"{path.name}: an error without a text")
        except BaseException as error:
            sys.exit(f"{path.name}: {error!r}")
"""


@pytest.mark.parametrize("name", FILES)
def test_real_files_look_the_same_in_every_format(name: str) -> None:
    data = (CORPUS / "features" / name).read_bytes()
    want = seen(data)
    kind = sniff(data)
    assert kind is not None
    for target in KINDS:
        result = compress(data, Options(format=target, max_width=300, quality=90))
        image = opened(result.data)
        assert "icc_profile" not in image.info
        assert not image.getexif()
        reference = want.convert("RGBA").resize(image.size) if image.size != want.size else want
        tiny = min(image.size) < 64
        assert difference(image, reference) < (8 if tiny else 3), target
        if target == kind.format and result.original_returned:
            assert len(result.data) <= len(data)


def test_hostile_files_end_in_an_error_of_ours_within_memory() -> None:
    files = sorted(str(path) for path in (CORPUS / "hostile").iterdir())
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(MAX_MEMORY_BYTES), *files],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_photograph_of_many_megapixels_takes_little_memory() -> None:
    path = CORPUS / "features" / "jpeg_33mp_vertical_samp.jpg"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = compress(path.read_bytes(), Options(max_width=1000))
    assert result.width == 1000
    # Whole, its pixels would be 100 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 80 * 1024


@pytest.mark.parametrize("path", sorted((CORPUS / "features").glob("*.avif*")), ids=lambda path: path.name)
def test_real_avif_files_are_stripped_or_refused(path: Path) -> None:
    data = path.read_bytes()
    try:
        result = compress(data, Options())
    except PixelsError:
        assert sniff(data) is None
        return
    assert len(result.data) <= len(data)
    assert not opened(result.data).info.get("icc_profile")
