"""Reads the items of an AVIF still: which there are, what they need of each other, and where their bytes lie.

ISO/IEC 23008-12 (HEIF), 14496-12; AVIF 1.1.
"""

import contextlib
from typing import Final

import msgspec

from pixels.strip.errors import NotStrippable
from pixels.strip.iso_boxes import Box, Cursor, walk_boxes
from pixels.strip.metadata import Metadata

#: The boxes that `meta` consists of where there is nothing to cut out.
_BARE_META: Final = frozenset((b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp"))
#: A thousand tiles take some 50 kB.
_MAX_META_BYTES: Final = 256 * 1024
#: Other items of that kind have other texts.
_XMP_MARK: Final = b"xmpmeta"
#: Of an item's entry: version and flags, id, protection, type.
_ENTRY_HEAD_BYTES: Final = 14


class Reference(msgspec.Struct):
    """An item that needs (`dimg`), belongs to (`auxl`) or describes (`cdsc`, `thmb`) others."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


class Meta:
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

    def _read_references(self) -> list[Reference]:
        if b"iref" not in self.boxes:
            return []
        iref = self.boxes[b"iref"]
        size, found = (2 if iref.version == 0 else 4), []
        for box in walk_boxes(iref.body[4:]):
            cursor = Cursor(box.body)
            source = cursor.number(size)
            found.append(Reference(box.kind, source, tuple(cursor.number(size) for _ in range(cursor.number(2)))))
        return found


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
        meta = Meta(box)
        if len(meta.boxes) != sum(1 for _ in walk_boxes(box.body[4:])):
            raise NotStrippable("the AVIF has a box twice")
        entries = meta.entries.items()
        wanted = {item for item, entry in entries if kind in bytes(entry.body[:_ENTRY_HEAD_BYTES])}
        return list(read_payloads(data, meta, wanted).values())
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


def read_payloads(data: memoryview, meta: Meta, needed: set[int]) -> dict[int, bytes]:
    """Collect the bytes of the needed items by the item location box (14496-12, 8.11.3).

    Raises
    ------
    NotStrippable
        They are cut, share bytes, or lie in other files or items.
    """
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
