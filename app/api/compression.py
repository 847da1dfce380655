"""The story of one POST /compress: read, judged, maybe fetched, then answered at once or queued."""

from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.response.base import ASGIResponse

from app.api import replies
from app.api.exchange import Exchange, exchange_of
from app.api.form import Form, promises_at_least, read_form
from app.api.limits import IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY, charge
from app.api.parameters import Parameters
from app.errors import invalid_param
from app.ports.jobs import Job, Lane
from app.ports.keys import ApiKey
from app.ports.limiter import Limiter
from app.service.compress import Answer, Compressor, Ticket
from app.service.desk import Desk
from app.service.fetch import Fetcher
from app.service.intake import take_in
from app.service.once import Claim, Once, conflict, fingerprint_of
from app.service.upload import Upload
from app.settings import Settings


class Compression:
    """Handles compress requests."""

    def __init__(
        self,
        compressor: Compressor,
        desk: Desk,
        once: Once,
        limiter: Limiter,
        fetcher: Fetcher,
        begin_upload: Callable[[], Upload],
        settings: Settings,
    ) -> None:
        self._compressor = compressor
        self._desk = desk
        self._once = once
        self._limiter = limiter
        self._fetcher = fetcher
        self._begin_upload = begin_upload
        self._settings = settings

    async def handle(self, request: Request[Any, Any, Any]) -> ASGIResponse:
        """Answer a request that has passed the door."""
        claim = exchange_of(request).claim
        upload = self._begin_upload()
        try:
            if claim is None:
                return await self._answer(request, upload)
            async with self._once.held(claim):
                return await self._answer(request, upload)
        finally:
            await upload.discard()

    async def _answer(self, request: Request[Any, Any, Any], upload: Upload) -> ASGIResponse:
        exchange = exchange_of(request)
        exchange.end_stage("door")
        if exchange.claim is None and IDEMPOTENCY_KEY in request.headers:
            raise invalid_param(
                "Idempotency-Key", f"An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters."
            )
        form = await self._read(request, upload, exchange.caller.account)
        exchange.end_stage("read")
        parameters = form.parameters
        if exchange.claim is not None:
            known = await self._repeat(exchange, exchange.claim, parameters, upload.digest if form.has_file else "")
            if known is not None:
                return known
        if parameters.url is not None:
            await take_in(self._fetcher, parameters.url, upload)
            exchange.end_stage("fetch")
        made = await self._compress(exchange, parameters, upload)
        if exchange.claim is not None:
            await self._once.settle(exchange.claim, made.job.id)
        return replies.compressed(made, exchange.timings_ms) if isinstance(made, Answer) else replies.accepted(made)

    async def _read(self, request: Request[Any, Any, Any], upload: Upload, account: str) -> Form:
        if promises_at_least(request, self._settings.sync_max_bytes):
            return await read_form(request, upload, self._settings)
        with self._compressor.expecting(account):
            return await read_form(request, upload, self._settings)

    async def _compress(self, exchange: Exchange, parameters: Parameters, upload: Upload) -> Answer | Ticket:
        caller = exchange.caller
        if upload.is_large:
            return await self._compressor.submit(
                upload,
                parameters.options,
                account=caller.account,
                lane=lane_of(caller),
                webhook_url=parameters.webhook_url or "",
            )
        return await self._compressor.compress(
            upload,
            parameters.options,
            account=caller.account,
            lane=lane_of(caller),
            keep=exchange.claim is not None,
        )

    async def _repeat(
        self, exchange: Exchange, claim: Claim, parameters: Parameters, digest: str
    ) -> ASGIResponse | None:
        """Answer a repetition as the first request was; None where this is the first."""
        was_mine = claim.is_mine
        fingerprint = fingerprint_of(digest, parameters.url, parameters.webhook_url, parameters.options)
        job_id = await self._once.resolve(claim, fingerprint)
        if job_id is None:
            if not was_mine:  # the first one came to nothing: now this one counts
                await charge(exchange, self._limiter, "compress")
            return None
        return await self._answer_again(await self._desk.find(job_id, exchange.caller.account))

    async def _answer_again(self, job: Job) -> ASGIResponse:
        if job.source_parts:
            return replies.accepted(Ticket(job, 0, None))
        data = await self._desk.read(job)
        if data is None or job.outcome is None:
            raise conflict("The result of the first request with this Idempotency-Key is gone. Use another key.")
        return replies.compressed(Answer(job, job.outcome, data, {}, None))


def lane_of(key: ApiKey) -> Lane:
    """Tell in which lane a key's jobs wait."""
    return "free" if key.plan == "free" else "paid"
