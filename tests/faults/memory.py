"""`make memory`: a hundred of the largest uploads at once, on both stores."""

from collections.abc import Iterator

import pytest

from tests.faults.load import tell, uploads_at_once, watching_memory
from tests.seaweed import BUCKET, CREDENTIALS, SeaweedFS
from tests.whole.jobs import MB, SMALL, is_soon
from tests.whole.service import Service

UPLOADS = 100
MOST_GROWTH = 300 * MB


@pytest.fixture(params=["filesystem", "S3"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    seaweed, settings = None, {}
    if request.param == "S3":
        seaweed = SeaweedFS()
        seaweed.start()
        settings = {"STORE_URL": f"s3://{BUCKET}/x", "S3_ENDPOINT": seaweed.endpoint, "S3_REGION": "us-east-1"}
    running = Service(**settings, **CREDENTIALS)
    try:
        yield running.start()
    finally:
        running.close()
        if seaweed is not None:
            seaweed.close()


def test_100_uploads_of_25_mb_at_once(service: Service) -> None:
    with service.client() as client:
        assert is_soon(lambda: client.compress(SMALL).status_code == 200)
        with watching_memory(service) as held:
            statuses = uploads_at_once(client, UPLOADS, 25 * MB)
    growth = max(held) - held[0]
    tell(f"{UPLOADS} uploads of 25 MB: {growth / MB:.0f} MiB more than {held[0] / MB:.0f}")
    assert statuses == [202] * UPLOADS
    assert growth <= MOST_GROWTH
