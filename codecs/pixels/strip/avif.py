"""Cuts metadata out of an AVIF still (ISO/IEC 23008-12 HEIF, 14496-12; AVIF 1.1).

A HEIF file is a set of items - coded images, the grid that joins them, their alpha, EXIF, XMP - of which one is shown.
The file is written anew around the items that the shown one needs, whose bytes are copied as they are.
"""

from typing import Final

from pixels.rights import Rights
from pixels.strip.avif_items import Meta, Reference, read_payloads
from pixels.strip.errors import NotStrippable
from pixels.strip.iso_boxes import Box, build_box, build_full_box, walk_boxes

_COLOUR_PROFILES: Final = (b"prof", b"rICC")
#: Properties that tell about an item: a description, a text in its place, when it was made and changed.
_TOLD: Final = (b"udes", b"altt", b"crtt", b"mdft")
_MAX_ID: Final = 0xFFFF


def strip_avif(data: memoryview, rights: Rights | None = None, *, keep_look: bool = False) -> bytes:
    """Keep the shown image with its parts, alpha and turns; drop EXIF, XMP, colour profiles, thumbnails, gain maps.

    Parameters
    ----------
    keep_look
        True keeps the colour profiles.

    Raises
    ------
    NotStrippable
        The file is cut, or of a rarer build: items of 32-bit ids, in other files, or derived from parts of others. Or
        there are `rights`, which would need items of their own: libheif writes them in a new encode.
    """
    if rights is not None:
        raise NotStrippable("statements are not put into an AVIF")
    try:
        return _rebuild(data, keep_profiles=keep_look)
    except (KeyError, IndexError) as error:
        raise NotStrippable("the AVIF lacks a part that it names") from error


def _rebuild(data: memoryview, *, keep_profiles: bool) -> bytes:
    boxes = {box.kind: box for box in walk_boxes(data)}
    meta = Meta(boxes[b"meta"])
    needed = meta.needed()
    if max(needed) > _MAX_ID:
        raise NotStrippable("the AVIF has ids of 32 bits")
    properties, associations = _shown_properties(meta, needed, keep_profiles=keep_profiles)
    payloads = read_payloads(data, meta, needed)
    is_all_used = needed == meta.entries.keys() and len(properties) == len(meta.properties)
    if is_all_used and meta.is_bare and _has_nothing_else(data, boxes, payloads):
        return bytes(data)

    # The length of `meta` does not depend on the offsets in it: it is written once to be measured.
    def write_meta(first_offset: int) -> bytes:
        return _build_meta(meta, needed, properties, associations, _build_iloc(payloads, first_offset))

    head = boxes[b"ftyp"].whole
    offset = len(head) + len(write_meta(0)) + 8
    return b"".join((head, write_meta(offset), build_box(b"mdat", *payloads.values())))


def _has_nothing_else(data: memoryview, boxes: dict[bytes, Box], payloads: dict[int, bytes]) -> bool:
    mdat = boxes.get(b"mdat")
    if mdat is None:
        return False
    heads = len(boxes[b"ftyp"].whole) + len(boxes[b"meta"].whole) + len(mdat.whole) - len(mdat.body)
    return heads + sum(map(len, payloads.values())) == len(data)


def _build_meta(
    meta: Meta, needed: set[int], properties: list[Box], associations: dict[int, list[tuple[int, bool]]], iloc: bytes
) -> bytes:
    entries = [box.whole for item, box in meta.entries.items() if item in needed]
    references = [
        build_box(reference.kind, b"".join(n.to_bytes(2, "big") for n in _numbers(reference)))
        for reference in meta.references
        if needed.issuperset((reference.source, *reference.targets))
    ]
    return build_full_box(
        b"meta",
        0,
        0,
        meta.boxes[b"hdlr"].whole,
        meta.boxes[b"pitm"].whole,
        iloc,
        build_full_box(b"iinf", 0, 0, len(entries).to_bytes(2, "big"), *entries),
        build_full_box(b"iref", 0, 0, *references) if references else b"",
        build_box(b"iprp", build_box(b"ipco", *(box.whole for box in properties)), _build_ipma(associations)),
    )


def _numbers(reference: Reference) -> tuple[int, ...]:
    return (reference.source, len(reference.targets), *reference.targets)


def _shown_properties(
    meta: Meta, needed: set[int], *, keep_profiles: bool
) -> tuple[list[Box], dict[int, list[tuple[int, bool]]]]:
    """Choose the properties that the needed items are shown by, and number them anew from 1."""
    kept: list[Box] = []
    renumbered: dict[int, int] = {}
    for item in sorted(needed):
        for index, _ in meta.associations.get(item, []):
            box = meta.properties[index - 1] if index else None
            if box is None or index in renumbered or box.kind in _TOLD:
                continue
            if box.kind == b"colr" and bytes(box.body[:4]) in _COLOUR_PROFILES and not keep_profiles:
                continue
            kept.append(box)
            renumbered[index] = len(kept)
    associations = {
        item: [(renumbered[index], essential) for index, essential in meta.associations[item] if index in renumbered]
        for item in sorted(needed & meta.associations.keys())
    }
    return kept, associations


def _build_ipma(associations: dict[int, list[tuple[int, bool]]]) -> bytes:
    parts = [len(associations).to_bytes(4, "big")]
    for item, indices in associations.items():
        if any(index > 0x7F for index, _ in indices):
            raise NotStrippable("the AVIF has very many properties")
        parts.append(item.to_bytes(2, "big") + bytes((len(indices),)))
        parts.append(bytes(index | (0x80 if essential else 0) for index, essential in indices))
    return build_full_box(b"ipma", 0, 0, *parts)


def _build_iloc(payloads: dict[int, bytes], first_offset: int) -> bytes:
    parts = [b"\x44\0", len(payloads).to_bytes(2, "big")]
    offset = first_offset
    for item, payload in payloads.items():
        place = (item.to_bytes(2, "big"), b"\0\0", b"\0\1", offset.to_bytes(4, "big"), len(payload).to_bytes(4, "big"))
        parts.append(b"".join(place))
        offset += len(payload)
    return build_full_box(b"iloc", 0, 0, *parts)
