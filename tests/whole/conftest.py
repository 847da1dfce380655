"""One service for all the tests that leave it as it was."""

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.whole.cdn import Customer
from tests.whole.public import ADDRESS, PublicNet, Web
from tests.whole.service import Api, Service

if TYPE_CHECKING:
    from tests.seaweed import SeaweedFS


#: Until a fetch is given up, for which one test waits; a machine with other things to do moves 25 MB meanwhile.
FETCH_S = 8


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


@pytest.fixture(scope="session")
def pair(service: Service) -> Iterator[Service]:
    """Two more API processes of the service, which share a port."""
    running = Service("api", DATA_DIR=service.environment["DATA_DIR"], API_WORKERS="2").start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def seaweed() -> "Iterator[SeaweedFS]":
    """An S3 server that the module's last test may kill."""
    from tests.seaweed import SeaweedFS  # AWS' library takes a second to import

    with SeaweedFS() as server:
        yield server


@pytest.fixture(scope="session")
def net() -> Iterator[PublicNet]:
    """A network of our own with a public address."""
    made = PublicNet()
    yield made
    made.close()


@pytest.fixture(scope="module")
def web(net: PublicNet) -> Iterator[Web]:
    """The servers of customers' pictures."""
    running = Web(net, 80)
    yield running
    running.close()


@pytest.fixture(scope="module")
def cdn(service: Service) -> Iterator[Customer]:
    """A customer of the service that the module has."""
    customer = Customer(service)
    yield customer
    customer.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Signs the certificates of the tests' servers."""
    return trustme.CA()


@pytest.fixture(scope="session")
def outbound_service(net: PublicNet, authority: trustme.CA) -> Iterator[Service]:
    """A service that can reach the servers in `net`, and trusts them."""
    running = Service(
        net=net, FETCH_TIMEOUT_S=str(FETCH_S), PUBLIC_URL="https://compressorize.test/", REUSE_RESULTS="false"
    )
    certificates = running.folder / "authority.pem"
    authority.cert_pem.write_to_path(str(certificates))
    running.environment["SSL_CERT_FILE"] = str(certificates)
    yield running.start()
    running.close()


@pytest.fixture(scope="session")
def receiver(net: PublicNet, authority: trustme.CA) -> Iterator[Web]:
    """An https server."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ADDRESS).configure_cert(tls)
    web = Web(net, 443, tls=tls)
    yield web
    web.close()
