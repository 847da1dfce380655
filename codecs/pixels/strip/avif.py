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
from pixels.strip.metadata import Metadata

_COLOUR_PROFILES: Final = (b"prof", b"rICC")
#: Properties that tell about an item: a description, a text in its place, when it was made and changed.
_TOLD: Final = (b"udes", b"altt", b"crtt", b"mdft")
#: The boxes that `meta` consists of where there is nothing to cut out.
_BARE_META: Final = frozenset((b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp"))
_MAX_ID: Final = 0xFFFF
#: A thousand tiles take some 50 kB.
_MAX_META_BYTES: Final = 256 * 1024
#: Other items of that kind have other texts.
_XMP_MARK: Final = b"xmpmeta"
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
        if len(box.whole) > _MAX_META_BYTES:
            raise NotStrippable("the AVIF has very many parts")
        self._bytes = len(box.body)
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
        leads_to: dict[int, set[int]] = {}
        for reference in self.references:
            for target in reference.targets:
                if reference.kind == b"dimg":
                    leads_to.setdefault(reference.source, set()).add(target)
                elif reference.kind == b"auxl":
                    leads_to.setdefault(target, set()).add(reference.source)
        found, waiting = {self.primary}, [self.primary]
        while waiting:
            new = leads_to.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    @property
    def is_bare(self) -> bool:
        """Whether it consists of what is read here, each once."""
        return self.boxes.keys() <= _BARE_META and 4 + sum(len(box.whole) for box in self.boxes.values()) == self._bytes

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


def find_metadata(data: memoryview) -> Metadata:
    """Return the first EXIF and XMP.

    Raises
    ------
    NotStrippable
        As `read_items`.
    """
    # An item of EXIF begins with how far before the TIFF header is (ISO/IEC 23008-12, A.2.1).
    exif = next(iter(read_items(data, b"Exif")), b"")
    packet = next((item for item in read_items(data, b"mime") if _XMP_MARK in item), b"")
    return Metadata(exif=exif[4 + int.from_bytes(exif[:4], "big") :], xmp=packet)


def _rebuild(data: memoryview, *, keep_profiles: bool) -> bytes:
    boxes = {box.kind: box for box in walk_boxes(data)}
    meta = _Meta(boxes[b"meta"])
    needed = meta.needed()
    if max(needed) > _MAX_ID:
        raise NotStrippable("the AVIF has ids of 32 bits")
    properties, associations = _shown_properties(meta, needed, keep_profiles=keep_profiles)
    payloads = _read_payloads(data, meta, needed)
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


def _shown_properties(
    meta: _Meta, needed: set[int], *, keep_profiles: bool
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
        extents = cursor.number(2)
        # What is written in no bytes could be repeated without end.
        if extents > 1 and not (index_bytes or offset_bytes or length_bytes):
            raise NotStrippable("the AVIF names a part over and over")
        for _ in range(extents):
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
