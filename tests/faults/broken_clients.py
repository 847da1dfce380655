"""`make faults`: what tests/whole/test_broken_clients.py tries in short, five hundred at once, a thousand in all."""

import pytest

from tests.faults.crowd import SETTINGS, Crowd, nothing_stays, upload
from tests.faults.load import tell
from tests.whole.jobs import MB, SMALL
from tests.whole.pictures import padded_jpeg
from tests.whole.service import Service

CROWD = 500
MOST_GROWTH = 32 * MB


@pytest.mark.parametrize("missing", [9, 0], ids=["in mid-upload", "before the answer"])
def test_1000_clients_that_hang_up(missing: int) -> None:
    """The second five hundred find what the first have left: nothing."""
    service = Service(**SETTINGS).start()
    try:
        with service.client() as client:
            for file in (SMALL, padded_jpeg(SMALL, 256 * 1024)) if missing else (SMALL,):
                sent = upload(client.key, file, missing=missing)
                growth = nothing_stays(
                    service, client, lambda sent=sent: Crowd(service, CROWD, sent).leave(), most_growth=MOST_GROWTH
                )
                tell(f"{2 * CROWD} clients with {len(file)} bytes: {growth / MB:.1f} MiB more")
    finally:
        service.close()
