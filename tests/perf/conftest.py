"""Sets libvips up, and keeps findings of tests out of the checkout."""

import pytest

from perf.quality import store
from pixels import vips


@pytest.fixture(scope="session", autouse=True)
def prepared():
    vips.prepare()


@pytest.fixture(autouse=True)
def own_store(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "FOLDER", tmp_path / "store")
