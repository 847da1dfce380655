"""`compressorize webhooks`: what became of them, and sending one again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import click
import orjson
from rich.console import Console
from rich.table import Table

from app.ports.deliveries import Deliveries, Delivery, DeliveryState
from app.ports.jobs import JobsUnavailable
from app.settings import Settings
from app.wiring import open_deliveries

Answer = TypeVar("Answer")


def show(settings: Settings, *, account: str | None, state: str | None, as_json: bool) -> None:
    """List webhooks, newest first."""
    found = _ask(settings, lambda deliveries: deliveries.list(account=account, state=cast(DeliveryState | None, state)))
    if as_json:
        click.echo(orjson.dumps([_facts(delivery) for delivery in found]))
        return
    table = Table("Id", "Job", "Account", "State", "Attempts", "Created", "Next attempt", "Last result")
    for one in found:
        upcoming = _stamp(one.next_at) if one.state == "waiting" else ""
        attempts, created = str(one.attempts), _stamp(one.created)
        table.add_row(one.id, one.job_id, one.account, one.state, attempts, created, upcoming, one.last_result)
    Console().print(table)


def replay(settings: Settings, *, delivery_id: str, as_json: bool) -> None:
    """Make a webhook due now."""
    found = _ask(settings, lambda deliveries: deliveries.replay(delivery_id))
    if found is None:
        raise click.ClickException(f"There is no webhook with the id {delivery_id}")
    click.echo(orjson.dumps(_facts(found)) if as_json else f"{found.id} is due now; a running worker sends it.")


def _ask(settings: Settings, question: Callable[[Deliveries], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        async with open_deliveries(settings) as deliveries:
            return await question(deliveries)

    try:
        return asyncio.run(ask())
    except JobsUnavailable:
        raise click.ClickException(f"No Redis answers at {settings.redis_url or settings.valkey_socket}") from None


def _facts(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "job": delivery.job_id,
        "account": delivery.account,
        "url": delivery.url,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created": delivery.created,
        "next_at": delivery.next_at if delivery.state == "waiting" else None,
        "last_result": delivery.last_result,
    }


def _stamp(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"
