"""Gets the image that a request names by `url` into an upload."""

from app.service.fetch import Fetcher
from app.service.upload import Upload


class _Intake:
    """An upload as what a fetch writes into: what is no image is given up at its first bytes."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def write(self, data: memoryview) -> None:
        self._upload.write(data)
        self._upload.check()

    async def flush(self) -> None:
        await self._upload.flush()


async def take_in(fetcher: Fetcher, url: str, upload: Upload) -> None:
    """Fetch `url` into `upload`.

    Raises
    ------
    ServiceError
        What `Fetcher.fetch` and `Upload.check` raise.
    """
    upload.begin()
    await fetcher.fetch(url, _Intake(upload))
    upload.end()
    upload.check()
