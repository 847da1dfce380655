"""What is asked: which pictures suit a mix, with which parameters, and a seeded order of both."""

import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from perf.load.pictures import Picture

Fields = dict[str, str]
#: From this size on the service makes a job of an upload (its setting SYNC_MAX_BYTES); the comment of `unique` fits in.
JOB_BYTES: Final = 2 * 1024 * 1024
_COMMENT_BYTES: Final = 64
#: A few photographs that everybody looks at.
_POPULAR: Final = 8


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures of one kind; the kinds of mixes tell what is asked of them.

    Attributes
    ----------
    min_bytes, max_bytes, min_megapixels, max_megapixels
        Bounds of the pictures that suit it.
    formats
        The sources' formats; empty: all.
    most_pictures
        Take no more than so many; 0: all.
    is_reused
        The same requests on purpose, to be answered from results that are kept.
    """

    about: str
    min_bytes: int = 0
    max_bytes: int = JOB_BYTES - _COMMENT_BYTES
    min_megapixels: float = 0.0
    max_megapixels: float = 50.0
    formats: tuple[str, ...] = ()
    most_pictures: int = 0
    is_reused: bool = False

    def suits(self, picture: Picture) -> bool:
        """Tell whether a picture belongs to it."""
        return (
            picture.format is not None
            and self.min_bytes <= len(picture.data) < self.max_bytes
            and self.min_megapixels <= picture.megapixels <= self.max_megapixels
            and (not self.formats or picture.format in self.formats)
        )

    def choose(self, pictures: Sequence[Picture]) -> list[int]:
        """Return the places of the pictures that suit it."""
        found = [place for place, picture in enumerate(pictures) if self.suits(picture)]
        return found[: self.most_pictures] if self.most_pictures else found


class UploadMix(Mix, frozen=True, kw_only=True):
    """Pictures to upload, and parameters of which each request takes one set.

    Attributes
    ----------
    hostile_share
        This share of requests sends something hostile instead.
    are_jobs
        Each request is a job, whose result is waited for and downloaded.
    """

    variants: tuple[Fields, ...]
    hostile_share: float = 0.0
    are_jobs: bool = False


class Choice(NamedTuple):
    """One request: the places of its picture and of its set of parameters."""

    picture: int
    variant: int


def choose_forever(mix: UploadMix, pictures: Sequence[Picture], seed: str) -> Iterator[Choice]:
    """Yield requests without end: the same for the same seed, mix and pictures.

    Pictures come in shuffled rounds, so that a short run has asked of all of them about as often.
    """
    # Not cryptographic: it has to be repeatable.
    dice = random.Random(seed)  # noqa: S311
    good = mix.choose(pictures)
    hostile = [place for place, picture in enumerate(pictures) if picture.format is None]
    while good:
        dice.shuffle(good)
        for picture in good:
            if hostile and dice.random() < mix.hostile_share:
                picture = dice.choice(hostile)  # noqa: PLW2901 - it takes the good one's turn
            yield Choice(picture, dice.randrange(len(mix.variants)))


MIXES: Final[dict[str, UploadMix]] = {
    "thumbnails": UploadMix(
        about="photographs fitted into 160 to 480 pixels, as JPEG and WebP at fixed qualities",
        min_megapixels=0.2,
        variants=(
            {"max_width": "160", "max_height": "160", "quality": "75", "format": "jpeg"},
            {"max_width": "320", "max_height": "320", "quality": "75", "format": "jpeg"},
            {"max_width": "480", "max_height": "480", "quality": "75", "format": "webp"},
        ),
    ),
    "web-photos": UploadMix(
        about="photographs of 0.1 to 4 megapixels for web pages: half at fixed qualities, half smart",
        min_megapixels=0.1,
        max_megapixels=4.0,
        formats=("jpeg",),
        variants=(
            {"quality": "75"},
            {"quality": "80", "format": "webp", "max_width": "1200"},
            {"quality": "smart", "max_width": "1600"},
            {"quality": "smart", "format": "webp", "max_width": "800"},
        ),
    ),
    "camera-files": UploadMix(
        about="files of 2 MB and over, as jobs: submitted, polled and downloaded",
        min_bytes=JOB_BYTES,
        max_bytes=25 * 1024 * 1024,
        variants=({"quality": "75"}, {"quality": "smart", "max_width": "2048"}),
        are_jobs=True,
    ),
    "mixed-formats": UploadMix(
        about="photographs and graphics of up to 2 megapixels between all four formats",
        max_megapixels=2.0,
        variants=tuple(
            {"quality": quality, "format": name}
            for name in ("jpeg", "png", "webp", "avif")
            for quality in ("75", "smart")
        ),
    ),
    "cache-hits": UploadMix(
        about="the same few photographs again and again, answered from results that are kept",
        max_megapixels=4.0,
        formats=("jpeg",),
        most_pictures=_POPULAR,
        variants=({"quality": "75"}, {"quality": "75", "format": "webp", "max_width": "800"}),
        is_reused=True,
    ),
    "hostile-mix": UploadMix(
        about="seven good requests of ten; the rest is broken, disguised or lies about its size",
        max_megapixels=1.0,
        variants=({"quality": "75"}, {"quality": "75", "format": "webp"}),
        hostile_share=0.3,
    ),
    "plain-jpeg": UploadMix(
        about="JPEG photographs at quality 75 and their own size: one kind of work, for steady figures",
        min_megapixels=0.3,
        max_megapixels=1.2,
        formats=("jpeg",),
        variants=({"quality": "75"},),
    ),
}
