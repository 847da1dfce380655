"""`compressorize cdn`: the keys that URLs are signed with, and what each account allows."""

from collections.abc import Callable, Iterable

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from app.cli.asking import ask, known, stamp
from app.ports.cdn_accounts import AllowedOrigin, CdnAccount, CdnAccounts, SigningKey
from app.service.cdn.source import parse_origin
from app.settings import Settings
from app.wiring import open_cdn_accounts


def create_key(settings: Settings, *, account: str, as_json: bool) -> None:
    """Make a signing key and print it, with its secret."""
    made = ask(settings, open_cdn_accounts, lambda accounts: accounts.create_key(account))
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(made)))
    else:
        click.echo(f"Id      {made.id}\nSecret  {made.secret}")


def revoke_key(settings: Settings, *, key_id: str, as_json: bool) -> None:
    """End a signing key."""
    ended = known(ask(settings, open_cdn_accounts, lambda accounts: accounts.revoke_key(key_id)), key_id)
    click.echo(orjson.dumps(_facts(ended)) if as_json else f"{ended.id} of {ended.account} is revoked.")


def show_keys(settings: Settings, *, account: str | None, as_json: bool) -> None:
    """List signing keys, newest first, without their secrets."""
    found = ask(settings, open_cdn_accounts, lambda accounts: accounts.list_keys(account))
    if as_json:
        click.echo(orjson.dumps([_facts(key) for key in found]))
        return
    table = Table("Id", "Account", "Created", "Revoked")
    for key in found:
        table.add_row(key.id, key.account, stamp(key.created), stamp(key.revoked))
    Console().print(table)


def show_accounts(settings: Settings, *, as_json: bool) -> None:
    """List what each account allows."""
    found = ask(settings, open_cdn_accounts, lambda accounts: accounts.list_accounts())
    if as_json:
        click.echo(orjson.dumps([_account_facts(one) for one in found]))
        return
    table = Table("Account", "Origins", "Client hints", "Bucket prefix")
    for one in found:
        origins = "\n".join(origin.spell() for origin in one.origins)
        table.add_row(one.account, origins, "on" if one.client_hints else "off", one.bucket_prefix or "")
    Console().print(table)


def allow(settings: Settings, *, account: str, origins: Iterable[str], as_json: bool) -> None:
    """Let an account's sources come from these origins too."""
    added = _parse(origins)
    _change(
        settings,
        account,
        lambda one: msgspec.structs.replace(one, origins=tuple(dict.fromkeys((*one.origins, *added)))),
        as_json=as_json,
    )


def forbid(settings: Settings, *, account: str, origins: Iterable[str], as_json: bool) -> None:
    """Let an account's sources come from these origins no longer."""
    removed = _parse(origins)
    _change(
        settings,
        account,
        lambda one: msgspec.structs.replace(one, origins=tuple(o for o in one.origins if o not in removed)),
        as_json=as_json,
    )


def configure(
    settings: Settings, *, account: str, client_hints: bool | None, bucket_prefix: str | None, as_json: bool
) -> None:
    """Change what is not None; an empty `bucket_prefix` takes the account's objects away."""
    changes: dict[str, object] = {}
    if client_hints is not None:
        changes["client_hints"] = client_hints
    if bucket_prefix is not None:
        changes["bucket_prefix"] = bucket_prefix or None
    _change(settings, account, lambda one: msgspec.structs.replace(one, **changes), as_json=as_json)


def _change(settings: Settings, account: str, change: Callable[[CdnAccount], CdnAccount], *, as_json: bool) -> None:
    async def write(accounts: CdnAccounts) -> CdnAccount:
        changed = change(await accounts.find_account(account))
        await accounts.write_account(changed)
        return changed

    written = ask(settings, open_cdn_accounts, write)
    if as_json:
        click.echo(orjson.dumps(_account_facts(written)))
        return
    click.echo(
        f"Account        {written.account}\n"
        f"Origins        {' '.join(origin.spell() for origin in written.origins) or 'none'}\n"
        f"Client hints   {'on' if written.client_hints else 'off'}\n"
        f"Bucket prefix  {written.bucket_prefix or 'none'}"
    )


def _parse(origins: Iterable[str]) -> list[AllowedOrigin]:
    try:
        return [parse_origin(text) for text in origins]
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _facts(key: SigningKey) -> dict[str, object]:
    return {"id": key.id, "account": key.account, "created": key.created, "revoked": key.revoked}


def _account_facts(account: CdnAccount) -> dict[str, object]:
    return msgspec.structs.asdict(account) | {"origins": [origin.spell() for origin in account.origins]}
