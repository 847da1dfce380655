"""`compressorize distance`: how different two files look."""

from pathlib import Path

import click
import orjson

from app.settings import Settings
from pixels import vips
from pixels.distance import measure_distance
from pixels.errors import PixelsError


def run(reference: str, distorted: str, *, as_json: bool, settings: Settings) -> None:
    """Print the maximum and the 3-norm.

    Raises
    ------
    click.ClickException
        A file cannot be read, or the two cannot be compared.
    """
    vips.prepare()
    limits = settings.limits
    try:
        distance = measure_distance(Path(reference).read_bytes(), Path(distorted).read_bytes(), limits)
    except (PixelsError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(orjson.dumps({"max": distance.max, "3-norm": distance.norm3}))
    else:
        click.echo(f"max {distance.max:.4f}\n3-norm {distance.norm3:.4f}")
