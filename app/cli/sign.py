"""`compressorize sign`: the URL under which a picture may be asked for."""

import os
import time
from base64 import urlsafe_b64encode
from typing import Final
from urllib.parse import quote

import click

from app.cli.asking import ask
from app.errors import ServiceError
from app.ports.cdn_accounts import CdnAccounts, SigningKey
from app.service.cdn.options import EXPIRES, parse_options
from app.service.cdn.signing import sign
from app.service.cdn.source import OWN
from app.service.netguard import HTTP_SCHEMES, ForbiddenUrl, parse_public_url
from app.settings import Settings
from app.wiring import open_cdn_accounts

#: With it, and `--key`, nobody is asked.
SECRET_VARIABLE: Final = "CDN_SECRET"  # noqa: S105 (its name, not what it holds)


def run(
    settings: Settings,
    source: str,
    options: str,
    *,
    account: str | None,
    key_id: str | None,
    expires_in_s: int | None,
    as_base64: bool,
) -> None:
    """Print the signed URL of a source.

    Raises
    ------
    click.ClickException
        The source or the options are wrong, there is no live key, or the URL would be too long.
    """
    if expires_in_s is not None:
        options = f"{options},{EXPIRES}:{int(time.time()) + expires_in_s}"
    try:
        parse_options(options)
    except ServiceError as error:
        raise click.ClickException(error.message) from None
    if not source.startswith(OWN):
        try:
            parse_public_url(source, schemes=HTTP_SCHEMES)
        except ForbiddenUrl as error:
            raise click.ClickException(str(error)) from None
    key = _find_key(settings, account, key_id)
    try:
        path = sign(key.secret, key.id, options, _spell(source, as_base64=as_base64))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{settings.link_base}{path}")


def _spell(source: str, *, as_base64: bool) -> str:
    if source.startswith(OWN):
        return OWN + quote(source.removeprefix(OWN))
    if as_base64:
        return "b64:" + urlsafe_b64encode(source.encode()).rstrip(b"=").decode()
    return quote(source, safe="")


def _find_key(settings: Settings, account: str | None, key_id: str | None) -> SigningKey:
    secret = os.environ.get(SECRET_VARIABLE)
    if key_id and secret:
        return SigningKey(key_id, account or "", secret, created=0)

    async def find(accounts: CdnAccounts) -> SigningKey | None:
        if key_id:
            return await accounts.find_key(key_id)
        return next((key for key in await accounts.list_keys(account) if key.revoked is None), None)

    found = ask(settings, open_cdn_accounts, find)
    if found is None:
        raise click.ClickException(
            f"There is no live key {key_id}" if key_id else f"{account} has no live key: compressorize cdn create-key"
        )
    return found
