"""`POST /api/v1/purge`: what the CDN origin has kept goes, everywhere within a second."""

from typing import Any

import orjson
from litestar import Request, Router, post
from litestar.response.base import ASGIResponse

from app.api.exchange import exchange_of
from app.api.form import read_small_body
from app.api.limits import door
from app.api.parameters import BODY, parse_json
from app.errors import ServiceError, invalid_param
from app.ports.cdn_accounts import CdnAccounts, CdnAccountsUnavailable
from app.ports.keys import Keys
from app.ports.limiter import Limiter
from app.ports.variants import VariantsUnavailable
from app.service.cdn.purging import read_purge
from app.service.cdn.serve import Cdn
from app.settings import Settings


def router(keys: Keys, limiter: Limiter, accounts: CdnAccounts, cdn: Cdn, settings: Settings) -> Router:
    """Make the route. It spends from the budget of polls: a purge costs about as little."""
    admit = door(keys, limiter, "poll")

    @post("/", status_code=200)
    async def purge(request: Request[Any, Any, Any]) -> ASGIResponse:
        """Remove variants of the account, by URL, prefix or tag."""
        await admit(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise invalid_param(BODY, "Send the purge as application/json.")
        fields = parse_json(await read_small_body(request, settings))
        try:
            account = await accounts.find_account(exchange_of(request).caller.account)
            count = await cdn.purge(read_purge(fields, account))
        except (CdnAccountsUnavailable, VariantsUnavailable):
            raise ServiceError(
                "unavailable", "This cannot be purged right now. Try again.", headers={"Retry-After": "2"}
            ) from None
        return ASGIResponse(
            body=orjson.dumps({"purged": count}),
            media_type="application/json",
            headers={"cache-control": "no-store"},
        )

    return Router("/api/v1/purge", route_handlers=[purge])
