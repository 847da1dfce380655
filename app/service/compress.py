"""What POST /compress does once it has a file and its options."""

import msgspec

from app.errors import ServiceError, invalid_param
from app.service.encoders import Encoded, Encoders
from app.service.netguard import ForbiddenUrl, parse_public_url
from app.service.upload import Upload
from pixels.options import Options


class Compressor:
    """Compresses uploads, as many at once as there are encode processes."""

    def __init__(self, encoders: Encoders, *, smart_distance: float) -> None:
        self._encoders = encoders
        self._smart_distance = smart_distance

    def refuse_if_full(self) -> None:
        """Raise 503 `overloaded` while there is no room, before a body is read."""
        self._encoders.slots.refuse_if_full()

    async def compress(self, upload: Upload, options: Options) -> Encoded:
        """Compress one file and give its memory back.

        Raises
        ------
        ServiceError
            413, 415, 422, 500 or 503, each with its reason.
        """
        options = msgspec.structs.replace(options, smart_distance=self._smart_distance)
        try:
            return await self._encoders.encode(upload.source, options)
        finally:
            upload.release()


def check_webhook_url(url: str) -> None:
    """Refuse a webhook address that is not https and public.

    Raises
    ------
    ServiceError
        400 `invalid_param`.
    """
    try:
        parse_public_url(url, schemes=frozenset({"https"}))
    except ForbiddenUrl as error:
        raise invalid_param("webhook_url", str(error)) from None


def check_source_url(url: str) -> None:
    """Refuse an image address that is not http or https and public.

    Raises
    ------
    ServiceError
        400 `invalid_url`.
    """
    try:
        parse_public_url(url, schemes=frozenset({"http", "https"}))
    except ForbiddenUrl as error:
        raise ServiceError("invalid_url", str(error), param="url") from None
