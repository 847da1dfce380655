"""One service for all the tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from tests.whole.service import Api, Service


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    running = Service().start()
    yield running
    running.close()


@pytest.fixture(scope="session")
def api(service: Service) -> Iterator[Api]:
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def anonymous(service: Service) -> Iterator[Api]:
    with Api(service.url, None) as client:
        yield client
