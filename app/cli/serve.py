"""`compressorize serve`: what a person sees at the start."""

import asyncio
import os

import click

from app.adapters.embedded import EmbeddedError
from app.ports.keys import LIVE_KEYS_PER_ACCOUNT
from app.settings import Settings
from app.supervisor import serve
from app.wiring import open_keys

#: Whose key the start prints.
_ACCOUNT = "local"


def run(settings: Settings) -> int:
    """Run everything until told to stop; the exit code."""
    try:
        return serve(settings, announce=lambda: _announce(settings, asyncio.run(_working_key(settings))))
    except EmbeddedError as error:
        raise click.ClickException(str(error)) from None


async def _working_key(settings: Settings) -> str:
    """The key that the last start printed, if it still works; otherwise a new one."""
    path = settings.data_dir / "key"
    async with open_keys(settings) as keys:
        if path.exists() and await keys.find(kept := path.read_text().strip()):
            return kept
        live = [record for record in await keys.list(_ACCOUNT) if record.revoked is None]
        for record in live[LIVE_KEYS_PER_ACCOUNT - 1 :]:  # their text is lost: nobody can be using them
            await keys.revoke(record.id)
        made = (await keys.create(account=_ACCOUNT, plan="paid")).key
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made + "\n")
    return made


def _announce(settings: Settings, key: str) -> None:
    url = f"http://{settings.host}:{settings.port}"
    click.echo(
        f"""
Compressorize is ready at {url}

  API key    {key}  (100 compressions a minute; kept in {settings.data_dir / "key"})
  Try it     curl -H "Authorization: Bearer {key}" -F file=@photo.jpg {url}/api/v1/compress --output compressed.jpg
  Reference  {url}/docs
  Health     {url}/health/ready

Ctrl-C ends it; requests under way are answered first.
"""
    )
