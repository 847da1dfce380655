"""Where variants are kept: the index in Redis, their bytes in the object store, those used of late in memory too."""

import time
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from app.ports.blobs import BlobMissing, Blobs, BlobsUnavailable
from app.ports.variants import Found, Variant, Variants, VariantsUnavailable
from app.service.cdn.memory import Held, Memory
from app.service.job_blobs import new_id

#: A blob that is written and not kept by then was left by a process that died. Far longer than any write takes.
_RESERVED_S: Final = 600.0


class Looked(NamedTuple):
    """What was found under a key, and what `Shelf.keep` has to know of when it was looked for.

    `since` is None where the index does not answer: then nothing can be kept.
    """

    held: Held | None
    since: str | None
    epoch: int


class Shelf:
    """Finds and keeps variants. What does not answer counts as empty."""

    def __init__(self, variants: Variants, blobs: Blobs, memory: Memory) -> None:
        self.memory = memory
        self._variants = variants
        self._blobs = blobs

    async def find(self, key: str) -> Held | None:
        """Return a variant that may still be used, from memory or the store."""
        held = self.memory.find(key)
        if held is not None and held.variant.usable_until > time.time():
            return held
        return (await self.look(key)).held

    async def look(self, key: str) -> Looked:
        """Look into the index itself, and read the bytes where memory has not the same."""
        epoch = self.memory.epoch
        try:
            return await self._get(await self._variants.find(key), epoch)
        except VariantsUnavailable:
            return Looked(None, None, epoch)

    async def lead(self, key: str, owner: str) -> tuple[bool, Looked]:
        """Take the lead in making a variant, or keep it, and look; without an index each process leads for itself."""
        epoch = self.memory.epoch
        try:
            leads, found = await self._variants.lead(key, owner)
        except VariantsUnavailable:
            return True, Looked(None, None, epoch)
        return leads, await self._get(found, epoch)

    async def _get(self, found: Found, epoch: int) -> Looked:
        variant, since = found
        if variant is None or variant.usable_until <= time.time():
            return Looked(None, since, epoch)
        known = self.memory.find(variant.key)
        if known is not None and known.variant.blob == variant.blob:
            held = Held(variant, known.data)
        else:
            try:
                held = Held(variant, await self._read(variant))
            except (BlobMissing, BlobsUnavailable):
                return Looked(None, since, epoch)
        self.memory.put(held, epoch=epoch)
        return Looked(held, since, epoch)

    async def keep(self, held: Held, looked: Looked) -> bool:
        """Keep a variant, unless it was purged after `looked`. One that cannot be kept was answered all the same.

        While the store takes nothing, memory alone has it: purges are heard of, and not each request makes it anew.
        """
        try:
            return await self.store(held, looked)
        except VariantsUnavailable:
            return False
        except BlobsUnavailable:
            self.memory.put(held, epoch=looked.epoch)
            return False

    async def store(self, held: Held, looked: Looked) -> bool:
        """Keep a variant as `keep` does; what does not answer is told. Raises VariantsUnavailable, BlobsUnavailable."""
        variant, data = held.variant, held.data
        if looked.since is None:
            return False
        if data and not variant.blob:
            variant = msgspec.structs.replace(variant, blob=_new_blob())
            await self._variants.reserve(variant.blob, for_s=_RESERVED_S)
            # What is lost in a power cut is made again.
            await self._blobs.put_many({variant.blob: data})
        is_kept = await self._variants.keep(variant, since=looked.since)
        if is_kept:
            self.memory.put(Held(variant, data), epoch=looked.epoch)
        return is_kept

    async def resign(self, key: str, owner: str) -> None:
        """Give up the lead; where the index does not answer, it ends by itself."""
        with suppress(VariantsUnavailable):
            await self._variants.resign(key, owner)

    async def note_uses(self) -> None:
        """Tell the index which variants memory has answered with, so that it does not take them for unused."""
        used, self.memory.used = list(self.memory.used), set()
        if used:
            with suppress(VariantsUnavailable):
                await self._variants.touch(used)

    async def _read(self, variant: Variant) -> bytes:
        if not variant.blob:
            return b""
        data = b"".join([chunk async for chunk in self._blobs.read(variant.blob)])
        if len(data) != variant.size:
            raise BlobMissing(variant.blob)
        return data


def _new_blob() -> str:
    """Name a blob; in many folders, because some file systems are slow with large ones."""
    name = new_id()
    return f"cdn/{name[-2:]}/{name}"
