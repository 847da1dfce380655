"""Two hosts and clients of both."""

from collections.abc import Iterator

import pytest

from tests.fleet.hosts import Fleet, clients_with
from tests.whole.service import Api


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as running:
        yield running


@pytest.fixture(scope="module")
def clients(fleet: Fleet) -> Iterator[list[Api]]:
    """Clients with one key, one for each host."""
    made = clients_with(fleet, fleet.hosts[0].api.new_key())
    yield made
    for one in made:
        one.close()
