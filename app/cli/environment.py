"""The settings that a subcommand runs with."""

import click

from app.settings import InvalidSettings, Settings


def read_settings() -> Settings:
    """Read the environment; a click.ClickException where a value is wrong."""
    try:
        return Settings.from_environment()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
