"""What a file tells beside its picture, as it lies there."""

import msgspec

from pixels import exif
from pixels.rights import Rights


class Metadata(msgspec.Struct, frozen=True):
    """The blocks of metadata, empty where there are none.

    Attributes
    ----------
    exif
        From its TIFF header on.
    xmp
        The packet.
    iptc
        The image resources of Photoshop, with their name before them.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""

    @property
    def orientation(self) -> int:
        """The orientation that EXIF states, 1-8."""
        return exif.read_orientation(self.exif)

    @property
    def rights(self) -> Rights | None:
        """Who made the picture, and who may use it; None where nothing is said."""
        return Rights.collect(exif_block=self.exif, xmp_packet=self.xmp, iptc_block=self.iptc)
