"""What each script costs the Valkey that runs it, by the server's own CPU: parsing, the script and the answer."""

from app.ports.jobs import Claim
from perf.bench.pace import Pace
from perf.bench.server import OUTCOME, Server

#: Calls of a round.
CALLS = 100


def test_rate_limit(pace: Pace, server: Server) -> None:
    server.empty()

    async def spend() -> None:
        assert (await server.limiter.spend("compress", "key", 10**9)).allowed

    pace(lambda: server.repeat(spend, CALLS), operations=CALLS, clock=server.own_cpu_s)
    assert server.limiter.decided_locally == 0


def test_submit(pace: Pace, server: Server) -> None:
    async def submit() -> None:
        await server.jobs.submit(server.make_job())

    pace(lambda: server.repeat(submit, CALLS), operations=CALLS, prepare=server.empty, clock=server.own_cpu_s)


def _submit_all(server: Server) -> None:
    server.empty()

    async def submit() -> None:
        for _ in range(CALLS):
            await server.jobs.submit(server.make_job())

    server.run(submit())


def _claim_all(server: Server) -> list[Claim]:
    _submit_all(server)

    async def claim() -> list[Claim]:
        return [await server.claim() for _ in range(CALLS)]

    return server.run(claim())


def test_claim(pace: Pace, server: Server) -> None:
    pace(
        lambda: server.repeat(server.claim, CALLS),
        operations=CALLS,
        prepare=lambda: _submit_all(server),
        clock=server.own_cpu_s,
    )


def test_extend(pace: Pace, server: Server) -> None:
    claims = _claim_all(server)

    async def extend() -> None:
        for claim in claims:
            assert await server.jobs.extend(claim)

    pace(lambda: server.run(extend()), operations=CALLS, clock=server.own_cpu_s)


def test_finish(pace: Pace, server: Server) -> None:
    claims: list[Claim] = []

    def prepare() -> None:
        claims[:] = _claim_all(server)

    async def finish() -> None:
        for claim in claims:
            assert await server.jobs.finish(claim, OUTCOME, took_s=1)

    pace(lambda: server.run(finish()), operations=CALLS, prepare=prepare, clock=server.own_cpu_s)


def test_hand_back(pace: Pace, server: Server) -> None:
    claims: list[Claim] = []

    def prepare() -> None:
        claims[:] = _claim_all(server)

    async def hand_back() -> None:
        for claim in claims:
            await server.jobs.hand_back(claim)

    pace(lambda: server.run(hand_back()), operations=CALLS, prepare=prepare, clock=server.own_cpu_s)


def test_idempotency_key(pace: Pace, server: Server) -> None:
    """A key is claimed and settled."""

    async def take() -> None:
        for number in range(CALLS):
            entry = await server.idempotency.claim("acme", f"key-{number}", "token")
            assert entry.state == "mine"
            await server.idempotency.settle("acme", f"key-{number}", "token", "fingerprint", "job")

    pace(lambda: server.run(take()), operations=CALLS, prepare=server.empty, clock=server.own_cpu_s)
