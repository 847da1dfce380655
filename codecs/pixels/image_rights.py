"""The statements about a picture, on an image that libvips has opened."""

from typing import Any, Final

from pixels import exif
from pixels.rights import Rights
from pixels.vips import pyvips

_EXIF, _XMP, _IPTC, _ICC = "exif-data", "xmp-data", "iptc-data", "icc-profile-data"
_BLOCKS: Final = {"exif_block": _EXIF, "xmp_packet": _XMP, "iptc_block": _IPTC}


def read_rights(image: Any) -> Rights | None:
    """Collect what an opened image says; None where it says nothing. What is broken counts as not there."""
    return Rights.collect(**{name: image.get(field) for name, field in _BLOCKS.items() if image.get_typeof(field)})


def put_rights(image: Any, rights: Rights) -> Any:
    """Return the image with these statements for its only metadata."""
    bare = image.copy()
    for name in bare.get_fields():
        if name.startswith("exif-") or name in {_XMP, _IPTC, _ICC}:
            bare.remove(name)
    bare.set_type(pyvips.GValue.blob_type, _EXIF, exif.PREFIX + rights.exif_block())
    if packet := rights.xmp_packet():
        bare.set_type(pyvips.GValue.blob_type, _XMP, packet)
    return bare
