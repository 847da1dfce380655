"""What one request asks to be made: of which source, in which formats, how; and the name that this has in caches."""

import hashlib
from typing import Final

import msgspec

from app.ports.cdn_accounts import CdnAccount
from app.service.cdn.negotiation import SHOWN_BY_ALL, Candidate, Negotiated
from app.service.cdn.options import CdnOptions
from app.service.cdn.source import CdnSource
from app.service.reuse import encoder_version
from pixels.formats import FormatName
from pixels.options import Options

_KEY_CHARACTERS: Final = 32
#: In WebP's extended header, and in AVIF's list of properties.
_WEBP_ALPHA: Final = 0x10
_AVIF_ALPHA: Final = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
#: Of a source, what is enough to see whether an AVIF has alpha.
HEAD_BYTES: Final = 4096


class Recipe(msgspec.Struct, frozen=True):
    """What one request asks for."""

    account: CdnAccount
    source: CdnSource
    options: CdnOptions
    negotiated: Negotiated
    smart_distance: float

    def key(self) -> str:
        """Name the variant: 128 bits, the same for whatever gives the same bytes and the same headers."""
        negotiated = self.negotiated
        parts = (
            self.account.account,
            self.source.canonical(),
            self.options.canonical(),
            negotiated.formats,
            sorted(negotiated.shown),
            (negotiated.max_width, negotiated.max_height, negotiated.quality, negotiated.distance_factor),
            (negotiated.vary, negotiated.accept_ch, self.smart_distance),
            encoder_version(),
        )
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()[:_KEY_CHARACTERS]

    def may_be_source(self, source: FormatName) -> bool:
        """Whether a source of this format is of a format that was asked for, so that it may be the answer."""
        asked = self.options.format
        return source in self.negotiated.shown and asked in {"auto", "source", source}

    def may_stand_in(self, source: FormatName) -> bool:
        """Whether a source of this format may be the answer where there is no encode.

        What every client shows is worth more to it than an error about the format that was asked for.
        """
        return self.may_be_source(source) or source in SHOWN_BY_ALL

    def formats_for(self, source: FormatName, head: bytes) -> list[FormatName]:
        """Return the formats to try, the quickest to encode first, for a source of this one that begins with `head`."""
        candidates = [self._resolve(one, source, head) for one in reversed(self.negotiated.formats)]
        return list(dict.fromkeys(candidates))

    def encode_options(self, name: FormatName) -> Options:
        """Return what the pipeline is asked for."""
        negotiated = self.negotiated
        return Options(
            format=name,
            quality=None if negotiated.quality == "smart" else negotiated.quality,
            max_width=negotiated.max_width,
            max_height=negotiated.max_height,
            strip_metadata=self.options.keep != "all",
            keep_copyright=self.options.keep == "copyright",
            smart_distance=self.smart_distance * negotiated.distance_factor,
        )

    def _resolve(self, candidate: Candidate, source: FormatName, head: bytes) -> FormatName:
        if candidate != "source":
            return candidate
        if source in self.negotiated.shown:
            return source
        return "png" if _has_alpha(source, head) else "jpeg"


def _has_alpha(source: FormatName, head: bytes) -> bool:
    if source == "webp":
        # Lossless files tell it among their pixels: they are drawings as a rule, which PNG suits anyway.
        return head[12:16] == b"VP8L" or (head[12:16] == b"VP8X" and bool(head[20] & _WEBP_ALPHA))
    return _AVIF_ALPHA in head
