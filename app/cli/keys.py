"""`compressorize keys`: make, list, end and replace API keys."""

from typing import cast

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from app.cli.asking import ask, known, stamp
from app.ports.keys import NewKey, Plan
from app.settings import Settings
from app.wiring import open_keys


def create(settings: Settings, *, account: str, plan: str, per_minute: int | None, as_json: bool) -> None:
    """Make a key and print it, this once."""
    made = ask(
        settings, open_keys, lambda keys: keys.create(account=account, plan=cast(Plan, plan), per_minute=per_minute)
    )
    _print_new(made, as_json=as_json)


def rotate(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """Make a second key like `key_id`, and print it."""
    made = ask(settings, open_keys, lambda keys: keys.rotate(key_id))
    _print_new(known(made, key_id), as_json=as_json)


def revoke(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """End a key."""
    ended = known(ask(settings, open_keys, lambda keys: keys.revoke(key_id)), key_id)
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(ended)))
    else:
        click.echo(f"{ended.id} of {ended.account} is revoked.")


def show(settings: Settings, *, account: str | None, as_json: bool) -> None:
    """List keys, newest first."""
    found = ask(settings, open_keys, lambda keys: keys.list(account))
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(found)))
        return
    table = Table("Id", "Account", "Begins with", "Plan", "A minute", "Created", "Last used", "Revoked")
    for key in found:
        stamps = (stamp(moment) for moment in (key.created, key.last_used, key.revoked))
        table.add_row(key.id, key.account, key.prefix, key.plan, str(key.per_minute), *stamps)
    Console().print(table)


def _print_new(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        facts = msgspec.to_builtins(made.record)
        click.echo(orjson.dumps({"key": made.key, "webhook_secret": made.webhook_secret, **facts}))
        return
    click.echo(f"API key         {made.key}\nWebhook secret  {made.webhook_secret}\nId              {made.record.id}")
    click.echo("The key is not kept and will not be shown again.", err=True)
