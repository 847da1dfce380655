"""The `compressorize` command. Each subcommand imports what it needs, so that `--help` and `api` start fast."""

import sys

import click

from app.cli.cdn_commands import cdn, sign
from app.cli.environment import read_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="compressorize")
def main() -> None:
    """Compressorize: the smallest image file that looks the same.

    `compressorize serve` runs everything on this machine. `compressorize compress` needs no server.
    Settings come from the environment; the README has a table of them.
    """


@main.command()
def serve() -> None:
    """Run everything on this machine: the API, its encode processes and, unless REDIS_URL is set, a private Valkey."""
    from app.cli.serve import run

    sys.exit(run(read_settings()))


@main.command()
def api() -> None:
    """Run the HTTP API alone; REDIS_URL, or the Valkey of a `serve` with the same DATA_DIR, must be there."""
    from app.server import run_api

    run_api(read_settings())


@main.command()
def worker() -> None:
    """Run a worker: it takes jobs off the queue, sends webhooks and removes what has expired."""
    from app.worker import run_worker

    run_worker(read_settings())


@main.command()
def warm() -> None:
    """Run every codec once, so that a broken installation shows now, and compile the metric (once; it is cached)."""
    import multiprocessing

    from pixels import butteraugli, jpeg, vips

    vips.prepare()
    vips.warm()
    # Side by side: compiling is work for one core each.
    beside = multiprocessing.get_context("spawn").Process(target=jpeg.warm)
    beside.start()
    butteraugli.warm()
    beside.join()
    # From the cache now; where the other process failed, or nothing can be kept, this tells.
    jpeg.warm()
    click.echo("JPEG, PNG, WebP and AVIF work; the metric and the JPEG encoder are compiled.")


@main.group()
def keys() -> None:
    """Make, list, end and replace API keys."""


@keys.command("create")
@click.option(
    "--plan",
    type=click.Choice(["free", "paid", "custom"]),
    default="free",
    show_default=True,
    help="free: 20 compressions a minute, paid: 100, custom: --per-minute.",
)
@click.option("--per-minute", type=click.IntRange(1), help="Compressions a minute; only with --plan custom.")
@click.option("--account", required=True, help="Whom the key belongs to; an account has at most two live keys.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create_key(plan: str, per_minute: int | None, account: str, as_json: bool) -> None:
    """Make a key and print it, with its account's webhook secret. It is not shown again."""
    from app.cli.keys import create

    create(read_settings(), account=account, plan=plan, per_minute=per_minute, as_json=as_json)


@keys.command("list")
@click.option("--account", help="Only the keys of this account.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_keys(account: str | None, as_json: bool) -> None:
    """List keys by their id and first characters, newest first."""
    from app.cli.keys import show

    show(read_settings(), account=account, as_json=as_json)


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def revoke_key(key_id: str, as_json: bool) -> None:
    """End the key with this ID; every process refuses it within a second."""
    from app.cli.keys import revoke

    revoke(read_settings(), key_id=key_id, as_json=as_json)


@keys.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate_key(key_id: str, as_json: bool) -> None:
    """Make a second key for the account of ID, on the same plan; revoke the first when the new one is in use."""
    from app.cli.keys import rotate

    rotate(read_settings(), key_id=key_id, as_json=as_json)


@main.group()
def webhooks() -> None:
    """List the webhooks of the last 7 days, and send one again."""


@webhooks.command("list")
@click.option("--account", help="Only those of this account.")
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only those that stand so.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_webhooks(account: str | None, state: str | None, as_json: bool) -> None:
    """List webhooks, newest first, with what the last attempt came to."""
    from app.cli.webhooks import show

    show(read_settings(), account=account, state=state, as_json=as_json)


@webhooks.command("replay")
@click.argument("delivery_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay_webhook(delivery_id: str, as_json: bool) -> None:
    """Send the webhook with this ID again now, its schedule begun anew; receivers know it by its id."""
    from app.cli.webhooks import replay

    replay(read_settings(), delivery_id=delivery_id, as_json=as_json)


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False), metavar="IN...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="OUT",
    help="A file, or a folder where there are several. Default: beside each IN, as NAME.compressed.EXT.",
)
@click.option(
    "--format",
    "target",
    type=click.Choice(["auto", "jpeg", "jpg", "png", "webp", "avif"]),
    default="auto",
    show_default=True,
    help="Output format; auto keeps each file's own.",
)
@click.option(
    "--quality",
    default="smart",
    show_default=True,
    metavar="smart|1-100",
    help="smart, or what the format's own users call that quality.",
)
@click.option("--max-width", type=click.IntRange(1, 65535), help="Fit inside this width; never enlarged.")
@click.option("--max-height", type=click.IntRange(1, 65535), help="Fit inside this height; never enlarged.")
@click.option("--keep-metadata", is_flag=True, help="Keep EXIF, XMP and the colour profile.")
@click.option("--jobs", type=click.IntRange(1), help="Files at once. Default: one for each core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, or one a line for several files.")
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    target: str,
    quality: str,
    max_width: int | None,
    max_height: int | None,
    keep_metadata: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    r"""Compress files on this machine, without a server: the same pipeline as the API's.

    \b
    compressorize compress photo.jpg -o small.jpg
    compressorize compress *.png --format webp --quality 80 -o out/
    """
    from app.cli.compress import run

    parameters = {"format": target, "quality": quality, "max_width": max_width, "max_height": max_height}
    options = {name: str(value) for name, value in parameters.items() if value is not None}
    options["strip_metadata"] = str(not keep_metadata)
    sys.exit(run(inputs, output, options, jobs=jobs, as_json=as_json, settings=read_settings()))


@main.command()
@click.argument("reference", type=click.Path(exists=True, dir_okay=False), metavar="A")
@click.argument("distorted", type=click.Path(exists=True, dir_okay=False), metavar="B")
@click.option("--json", "as_json", is_flag=True, help='Print {"max": ..., "3-norm": ...}.')
def distance(reference: str, distorted: str, as_json: bool) -> None:
    """Tell how different B looks from A: butteraugli's maximum and 3-norm.

    0.5 is hardly ever noticed, 1 just can be, 2 mostly is, 4 is plain to see.
    """
    from app.cli.distance import run

    run(reference, distorted, as_json=as_json, settings=read_settings())


main.add_command(cdn)
main.add_command(sign)


if __name__ == "__main__":
    main()
