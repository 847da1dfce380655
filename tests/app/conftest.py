"""Servers that several modules' tests share: each is started once, when the first test asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.files_server import FilesServer
    from tests.seaweed import SeaweedFS


@pytest.fixture(scope="session")
def seaweed() -> "Iterator[SeaweedFS]":
    """Run an S3 server, with its credentials in this process' environment."""
    from tests.seaweed import CREDENTIALS, SeaweedFS  # AWS' library takes a second to import

    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        with SeaweedFS() as server:
            yield server


@pytest.fixture(scope="session")
def files_server() -> "Iterator[FilesServer]":
    """Serve signed links."""
    from tests.files_server import FilesServer

    server = FilesServer()
    try:
        server.wait()
        yield server
    finally:
        server.close()
