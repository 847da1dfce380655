"""Sets libvips up as an encode process does, once for all the tests of `pixels`."""

import pytest

from pixels import vips


@pytest.fixture(scope="session", autouse=True)
def prepared() -> None:
    vips.prepare()
