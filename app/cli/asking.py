"""How a subcommand asks Redis: the running service's, or the one in the data folder where none runs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import UTC, datetime
from typing import TypeVar

import click

from app.adapters.embedded import EmbeddedError, EmbeddedValkey
from app.ports.cdn_accounts import CdnAccountsUnavailable
from app.ports.keys import KeysUnavailable
from app.settings import Settings
from app.wiring import redis_answers

Answer = TypeVar("Answer")
Part = TypeVar("Part")


def ask(
    settings: Settings,
    open_part: Callable[[Settings], AbstractAsyncContextManager[Part]],
    question: Callable[[Part], Awaitable[Answer]],
) -> Answer:
    """Ask a part that lives in Redis.

    Raises
    ------
    click.ClickException
        The answer is no, or there is nobody to give one.
    """

    async def ask_part() -> Answer:
        async with open_part(settings) as part:
            return await question(part)

    with ExitStack() as stack:
        if not settings.redis_url and not asyncio.run(redis_answers(settings)):
            try:
                stack.enter_context(EmbeddedValkey(settings.data_dir, settings.valkey_socket))
            except EmbeddedError as error:
                raise click.ClickException(str(error)) from None
        try:
            return asyncio.run(ask_part())
        except (KeysUnavailable, CdnAccountsUnavailable):
            raise click.ClickException(f"No Redis answers at {settings.redis_url or settings.valkey_socket}") from None
        except ValueError as error:
            raise click.ClickException(str(error)) from None


def known(found: Answer | None, key_id: str) -> Answer:
    """Return `found`; a click.ClickException where it is None."""
    if found is None:
        raise click.ClickException(f"There is no key with the id {key_id}")
    return found


def stamp(moment: float | None) -> str:
    """A moment in Unix seconds as people read it, in UTC; nothing for None."""
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
