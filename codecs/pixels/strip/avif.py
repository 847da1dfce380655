"""Cuts metadata out of an AVIF still (ISO/IEC 23008-12 HEIF, 14496-12; AVIF 1.1).

A HEIF file is a set of items - coded images, the grid that joins them, their alpha, EXIF, XMP - of which one is shown.
The file is written anew around the items that the shown one needs, whose bytes are copied as they are.
"""

import contextlib
from typing import Final

import msgspec

from pixels.rights import Rights
from pixels.strip.errors import NotStrippable
from pixels.strip.iso_boxes import Box, Cursor, build_box, build_full_box, walk_boxes

_COLOUR_PROFILES: Final = (b"prof", b"rICC")
_MAX_ID: Final = 0xFFFF
#: Of an item's entry: version and flags, id, protection, type.
_ENTRY_HEAD_BYTES: Final = 14


class _Reference(msgspec.Struct):
    """An item that needs (`dimg`), belongs to (`auxl`) or describes (`cdsc`, `thmb`) others."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


class _Meta:
    """What the `meta` box says of the items."""

    def __init__(self, box: Box) -> None:
        self.boxes = {child.kind: child for child in walk_boxes(box.body[4:])}
        properties = {child.kind: child for child in walk_boxes(self._box(b"iprp").body)}
        pitm = self._box(b"pitm")
        self.primary = Cursor(pitm.body, 4).number(2 if pitm.version == 0 else 4)
        self.entries = self._read_entries()
        self.references = self._read_references()
        self.properties = list(walk_boxes(properties[b"ipco"].body))
        self.associations = _read_associations(properties[b"ipma"])

    def needed(self) -> set[int]:
        """The primary item, what it is derived from, and what belongs to these (alpha)."""
        found, before = {self.primary}, 0
        while len(found) != before:
            before = len(found)
            for reference in self.references:
                if reference.kind == b"dimg" and reference.source in found:
                    found.update(reference.targets)
                elif reference.kind == b"auxl" and found.intersection(reference.targets):
                    found.add(reference.source)
        return found

    def _box(self, kind: bytes) -> Box:
        if kind not in self.boxes:
            raise NotStrippable(f"the AVIF has no {kind.decode('latin-1')} box")
        return self.boxes[kind]

    def _read_entries(self) -> dict[int, Box]:
        iinf = self._box(b"iinf")
        entries = {}
        for entry in walk_boxes(iinf.body[6 if iinf.version == 0 else 8 :]):
            entries[Cursor(entry.body, 4).number(2 if entry.version < 3 else 4)] = entry
        return entries

    def _read_references(self) -> list[_Reference]:
        if b"iref" not in self.boxes:
            return []
        iref = self.boxes[b"iref"]
        size, found = (2 if iref.version == 0 else 4), []
        for box in walk_boxes(iref.body[4:]):
            cursor = Cursor(box.body)
            source = cursor.number(size)
            found.append(_Reference(box.kind, source, tuple(cursor.number(size) for _ in range(cursor.number(2)))))
        return found


def strip_avif(data: memoryview, rights: Rights | None = None) -> bytes:
    """Keep the shown image with its parts, alpha and turns; drop EXIF, XMP, colour profiles, thumbnails, gain maps.

    Raises
    ------
    NotStrippable
        The file is cut, or of a rarer build: items of 32-bit ids, in other files, or derived from parts of others. Or
        there are `rights`, which would need items of their own: libheif writes them in a new encode.
    """
    if rights is not None:
        raise NotStrippable("statements are not put into an AVIF")
    boxes = {box.kind: box for box in walk_boxes(data)}
    try:
        meta = _Meta(boxes[b"meta"])
        needed = meta.needed()
        if max(needed) > _MAX_ID:
            raise NotStrippable("the AVIF has ids of 32 bits")
        properties, associations = _without_profiles(meta, needed)
        if needed == meta.entries.keys() and len(properties) == len(meta.properties):
            return bytes(data)
        payloads = _read_payloads(data, meta, needed)
        head = boxes[b"ftyp"].whole
    except (KeyError, IndexError) as error:
        raise NotStrippable("the AVIF lacks a part that it names") from error

    # The length of `meta` does not depend on the offsets in it: it is written once to be measured.
    def write_meta(first_offset: int) -> bytes:
        return _build_meta(meta, needed, properties, associations, _build_iloc(payloads, first_offset))

    offset = len(head) + len(write_meta(0)) + 8
    return b"".join((head, write_meta(offset), build_box(b"mdat", *payloads.values())))


def read_items(data: memoryview, kind: bytes) -> list[bytes]:
    """Return the bytes of every item of a kind, such as ``av01`` or ``Exif``, as they are stored.

    Raises
    ------
    NotStrippable
        The file is cut, says the same twice, or is of a rarer build.
    """
    metas: list[Box] = []
    # What follows the last whole box is no part of the picture.
    with contextlib.suppress(NotStrippable):
        metas.extend(box for box in walk_boxes(data) if box.kind == b"meta")
    try:
        [box] = metas
        meta = _Meta(box)
        if len(meta.boxes) != sum(1 for _ in walk_boxes(box.body[4:])):
            raise NotStrippable("the AVIF has a box twice")
        entries = meta.entries.items()
        wanted = {item for item, entry in entries if kind in bytes(entry.body[:_ENTRY_HEAD_BYTES])}
        return list(_read_payloads(data, meta, wanted).values())
    except (KeyError, IndexError, ValueError) as error:
        raise NotStrippable("a part that it names is missing") from error


def _build_meta(
    meta: _Meta, needed: set[int], properties: list[Box], associations: dict[int, list[tuple[int, bool]]], iloc: bytes
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


def _numbers(reference: _Reference) -> tuple[int, ...]:
    return (reference.source, len(reference.targets), *reference.targets)


def _without_profiles(meta: _Meta, needed: set[int]) -> tuple[list[Box], dict[int, list[tuple[int, bool]]]]:
    """Choose the properties that the needed items use, colour profiles left out, and number them anew from 1."""
    kept: list[Box] = []
    renumbered: dict[int, int] = {}
    for item in sorted(needed):
        for index, _ in meta.associations.get(item, []):
            box = meta.properties[index - 1] if index else None
            if box is None or index in renumbered or (box.kind == b"colr" and bytes(box.body[:4]) in _COLOUR_PROFILES):
                continue
            kept.append(box)
            renumbered[index] = len(kept)
    associations = {
        item: [(renumbered[index], essential) for index, essential in meta.associations[item] if index in renumbered]
        for item in sorted(needed & meta.associations.keys())
    }
    return kept, associations


def _read_associations(ipma: Box) -> dict[int, list[tuple[int, bool]]]:
    cursor = Cursor(ipma.body)
    head = cursor.number(4)
    id_bytes, wide = (2 if head >> 24 == 0 else 4), head & 1
    found = {}
    for _ in range(cursor.number(4)):
        item, many = cursor.number(id_bytes), cursor.number(1)
        numbers = [cursor.number(2 if wide else 1) for _ in range(many)]
        top = 0x8000 if wide else 0x80
        found[item] = [(number & ~top, bool(number & top)) for number in numbers]
    return found


def _build_ipma(associations: dict[int, list[tuple[int, bool]]]) -> bytes:
    parts = [len(associations).to_bytes(4, "big")]
    for item, indices in associations.items():
        if any(index > 0x7F for index, _ in indices):
            raise NotStrippable("the AVIF has very many properties")
        parts.append(item.to_bytes(2, "big") + bytes((len(indices),)))
        parts.append(bytes(index | (0x80 if essential else 0) for index, essential in indices))
    return build_full_box(b"ipma", 0, 0, *parts)


def _read_payloads(data: memoryview, meta: _Meta, needed: set[int]) -> dict[int, bytes]:
    """Collect the bytes of the needed items by the item location box (14496-12, 8.11.3)."""
    iloc = meta.boxes[b"iloc"]
    cursor = Cursor(iloc.body, 4)
    sizes = cursor.number(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if iloc.version else 0
    id_bytes = 2 if iloc.version < 2 else 4
    found: dict[int, bytes] = {}
    spare_bytes = len(data)
    for _ in range(cursor.number(id_bytes)):
        item = cursor.number(id_bytes)
        method = cursor.number(2) & 15 if iloc.version else 0
        elsewhere = cursor.number(2)
        base = cursor.number(base_bytes)
        parts = []
        for _ in range(cursor.number(2)):
            cursor.number(index_bytes)
            offset, length = base + cursor.number(offset_bytes), cursor.number(length_bytes)
            parts.append((offset, length))
        if item in needed:
            if elsewhere or method > 1:
                raise NotStrippable("the AVIF's pixels are in another file or item")
            holder = meta.boxes[b"idat"].body if method else data
            pieces = [_extent(holder, offset, length) for offset, length in parts]
            # Items may share bytes: a small file must not unfold into a huge one.
            spare_bytes -= sum(map(len, pieces))
            if spare_bytes < 0:
                raise NotStrippable("the AVIF's items overlap")
            found[item] = b"".join(pieces)
    if found.keys() != needed:
        raise NotStrippable("the AVIF lacks a part that it names")
    return found


def _extent(holder: memoryview, offset: int, length: int) -> memoryview:
    end = offset + length if length else len(holder)
    if end > len(holder):
        raise NotStrippable("the AVIF's pixels are cut")
    return holder[offset:end]


def _build_iloc(payloads: dict[int, bytes], first_offset: int) -> bytes:
    parts = [b"\x44\0", len(payloads).to_bytes(2, "big")]
    offset = first_offset
    for item, payload in payloads.items():
        place = (item.to_bytes(2, "big"), b"\0\0", b"\0\1", offset.to_bytes(4, "big"), len(payload).to_bytes(4, "big"))
        parts.append(b"".join(place))
        offset += len(payload)
    return build_full_box(b"iloc", 0, 0, *parts)
