"""`compressorize keys`: make, list, end and replace API keys."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TypeVar, cast

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from app.adapters.embedded import EmbeddedError, EmbeddedValkey
from app.ports.keys import Keys, KeysUnavailable, NewKey, Plan
from app.settings import Settings
from app.wiring import open_keys, redis_answers

Answer = TypeVar("Answer")


def create(settings: Settings, *, account: str, plan: str, per_minute: int | None, as_json: bool) -> None:
    """Make a key and print it, this once."""
    made = _ask(settings, lambda keys: keys.create(account=account, plan=cast(Plan, plan), per_minute=per_minute))
    _print_new(made, as_json=as_json)


def rotate(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """Make a second key like `key_id`, and print it."""
    made = _ask(settings, lambda keys: keys.rotate(key_id))
    _print_new(_known(made, key_id), as_json=as_json)


def revoke(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """End a key."""
    ended = _known(_ask(settings, lambda keys: keys.revoke(key_id)), key_id)
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(ended)))
    else:
        click.echo(f"{ended.id} of {ended.account} is revoked.")


def show(settings: Settings, *, account: str | None, as_json: bool) -> None:
    """List keys, newest first."""
    found = _ask(settings, lambda keys: keys.list(account))
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(found)))
        return
    table = Table("Id", "Account", "Begins with", "Plan", "A minute", "Created", "Last used", "Revoked")
    for key in found:
        stamps = (_stamp(moment) for moment in (key.created, key.last_used, key.revoked))
        table.add_row(key.id, key.account, key.prefix, key.plan, str(key.per_minute), *stamps)
    Console().print(table)


def _ask(settings: Settings, question: Callable[[Keys], Awaitable[Answer]]) -> Answer:
    """Ask the keys of the running service; where none runs, those in its data folder.

    Raises
    ------
    click.ClickException
        The answer is no, or there is nobody to give one.
    """

    async def ask() -> Answer:
        async with open_keys(settings) as keys:
            return await question(keys)

    with ExitStack() as stack:
        if not settings.redis_url and not asyncio.run(redis_answers(settings)):
            try:
                stack.enter_context(EmbeddedValkey(settings.data_dir, settings.valkey_socket))
            except EmbeddedError as error:
                raise click.ClickException(str(error)) from None
        try:
            return asyncio.run(ask())
        except KeysUnavailable:
            raise click.ClickException(f"No Redis answers at {settings.redis_url or settings.valkey_socket}") from None
        except ValueError as error:
            raise click.ClickException(str(error)) from None


def _known(found: Answer | None, key_id: str) -> Answer:
    if found is None:
        raise click.ClickException(f"There is no key with the id {key_id}")
    return found


def _print_new(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        facts = msgspec.to_builtins(made.record)
        click.echo(orjson.dumps({"key": made.key, "webhook_secret": made.webhook_secret, **facts}))
        return
    click.echo(f"API key         {made.key}\nWebhook secret  {made.webhook_secret}\nId              {made.record.id}")
    click.echo("The key is not kept and will not be shown again.", err=True)


def _stamp(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
