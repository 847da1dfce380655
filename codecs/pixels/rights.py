"""Who made a picture, and who may use it: what stays of its metadata where the rest goes.

Read from EXIF, XMP and IPTC-IIM, of each statement the first there is; written as EXIF, which everybody reads, and as
XMP where there is what EXIF has no field for. Everything else is left behind: the place, the camera, the time, the
preview. The blocks are built anew, so that nothing else can hide in them.
"""

from typing import Final, Self

import msgspec

from pixels import exif, iptc, xmp

#: A statement is cut to this: no notice is longer.
_MAX_CHARACTERS: Final = 1000


class Rights(msgspec.Struct, frozen=True):
    """The statements about a picture, each empty where there is none.

    Attributes
    ----------
    artist, copyright
        Who made it, and whose it is.
    credit, web_statement, usage_terms
        Whom to name, where the licence is to be read, and what it allows (IPTC Photo Metadata 2023).
    """

    artist: str = ""
    copyright: str = ""
    credit: str = ""
    web_statement: str = ""
    usage_terms: str = ""

    def exif_block(self, orientation: int = 1) -> bytes:
        """Build EXIF from its TIFF header on, with an orientation other than 1."""
        return exif.build(orientation, self.artist, self.copyright)

    def xmp_packet(self) -> bytes:
        """Build XMP where there is what EXIF has no field for; otherwise nothing."""
        if not (self.credit or self.web_statement or self.usage_terms):
            return b""
        return xmp.build_rights(self.artist, self.copyright, self.credit, self.web_statement, self.usage_terms)

    @classmethod
    def collect(cls, *, exif_block: bytes = b"", xmp_packet: bytes = b"", iptc_block: bytes = b"") -> Self | None:
        """Read a file's blocks of metadata, each empty where there is none; None where they say nothing.

        What is broken counts as not there.
        """
        found = dict.fromkeys(cls.__struct_fields__, "")
        for block, read in (
            (exif_block, exif.read_rights),
            (xmp_packet, xmp.read_rights),
            (iptc_block, iptc.read_rights),
        ):
            for name, text in read(block).items() if block else ():
                found[name] = found[name] or _clean(text)
        return cls(**found) if any(found.values()) else None


def _clean(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MAX_CHARACTERS]
