"""The subcommands `cdn` and `sign`. Each imports what it needs, so that `--help` starts fast."""

import click

from app.cli.environment import read_settings


@click.group()
def cdn() -> None:
    """Make and end the keys that image URLs are signed with, and say what each account's URLs may do."""


@cdn.command("create-key")
@click.option("--account", required=True, help="Whose URLs it signs; an account has at most two live keys.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create_signing_key(account: str, as_json: bool) -> None:
    """Make a signing key and print its id and secret."""
    from app.cli.cdn import create_key

    create_key(read_settings(), account=account, as_json=as_json)


@cdn.command("keys")
@click.option("--account", help="Only the keys of this account.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_signing_keys(account: str | None, as_json: bool) -> None:
    """List signing keys, newest first, without their secrets."""
    from app.cli.cdn import show_keys

    show_keys(read_settings(), account=account, as_json=as_json)


@cdn.command("revoke-key")
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def revoke_signing_key(key_id: str, as_json: bool) -> None:
    """End the signing key with this ID; every process refuses its URLs within a second."""
    from app.cli.cdn import revoke_key

    revoke_key(read_settings(), key_id=key_id, as_json=as_json)


@cdn.command("accounts")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_cdn_accounts(as_json: bool) -> None:
    """List what each account allows."""
    from app.cli.cdn import show_accounts

    show_accounts(read_settings(), as_json=as_json)


@cdn.command("allow")
@click.argument("origins", nargs=-1, required=True, metavar="ORIGIN...")
@click.option("--account", required=True, help="Whose URLs may name them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def allow_origins(origins: tuple[str, ...], account: str, as_json: bool) -> None:
    """Let sources come from each ORIGIN: https://img.example.com, https://*.example.com, https://example.com/photos."""
    from app.cli.cdn import allow

    allow(read_settings(), account=account, origins=origins, as_json=as_json)


@cdn.command("forbid")
@click.argument("origins", nargs=-1, required=True, metavar="ORIGIN...")
@click.option("--account", required=True, help="Whose URLs may name them no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def forbid_origins(origins: tuple[str, ...], account: str, as_json: bool) -> None:
    """Take each ORIGIN back."""
    from app.cli.cdn import forbid

    forbid(read_settings(), account=account, origins=origins, as_json=as_json)


@cdn.command("set")
@click.option("--account", required=True, help="Whose URLs are meant.")
@click.option("--client-hints/--no-client-hints", default=None, help="Heed Save-Data, Sec-CH-DPR and Sec-CH-Width.")
@click.option("--bucket-prefix", help="What own: keys are put behind in the object store; '' for no objects.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def configure_account(account: str, client_hints: bool | None, bucket_prefix: str | None, as_json: bool) -> None:
    """Change what an account's URLs may do."""
    from app.cli.cdn import configure

    configure(read_settings(), account=account, client_hints=client_hints, bucket_prefix=bucket_prefix, as_json=as_json)


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--options", default="f:auto", show_default=True, help="What is asked for, such as f:auto,w:800.")
@click.option("--account", help="Sign with its newest live key.")
@click.option("--key", "key_id", metavar="ID", help="Sign with this key; with CDN_SECRET set, nobody is asked for it.")
@click.option("--expires-in", "expires_in_s", type=click.IntRange(1), metavar="SECONDS", help="How long it is good.")
@click.option("--base64", "as_base64", is_flag=True, help="For caches that rewrite percent-encoded paths.")
def sign(
    source: str, options: str, account: str | None, key_id: str | None, expires_in_s: int | None, as_base64: bool
) -> None:
    r"""Print the signed URL of SOURCE, an image's address or own:KEY.

    \b
    compressorize sign --account acme --options f:auto,w:800 https://img.example.com/a.jpg
    """
    from app.cli.sign import run

    if not account and not key_id:
        raise click.UsageError("Say whose key signs: --account or --key")
    run(
        read_settings(),
        source,
        options,
        account=account,
        key_id=key_id,
        expires_in_s=expires_in_s,
        as_base64=as_base64,
    )
