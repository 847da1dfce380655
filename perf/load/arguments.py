"""What the command line may say."""

import argparse
from contextlib import suppress
from pathlib import Path
from typing import Final, get_args

from app.service.cdn.source import OWN
from perf.load.loops import Arrivals
from perf.load.mixes import MIXES
from perf.load.run import Settings, read_rate
from perf.load.scenarios import SCENARIOS, Scenario
from perf.load.visits import CDN_MIXES

_ABOUT: Final = "Run a scenario against a service, or render what runs have found."


def parse() -> argparse.Namespace:
    """Read the arguments of this process; what is wrong with them is told, and ends it.

    Returns
    -------
    `command` is a scenario's name, or ``report``; the others are as `--help` tells.
    """
    parser = argparse.ArgumentParser(prog="python -m perf.load", description=_ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="SCENARIO")
    for name, scenario in SCENARIOS.items():
        _add_arguments(commands.add_parser(name, help=scenario.about, description=scenario.about), scenario)
    told = commands.add_parser("report", help="render results as Markdown with charts")
    told.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what --json wrote")
    told.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.command != "report":
        if SCENARIOS[arguments.command].mix in CDN_MIXES:
            if len({bool(arguments.url), bool(arguments.cdn_key), bool(arguments.cdn_source)}) > 1:
                parser.error("--url, --cdn-key and --cdn-source go together; without them a service is started")
        elif bool(arguments.url) != bool(arguments.key):
            parser.error("--url and --key go together; without them a service is started")
        if arguments.url and SCENARIOS[arguments.command].needs_other and not arguments.other_key:
            parser.error("this scenario needs the key of another account: --other-key")
    return arguments


def _add_arguments(parser: argparse.ArgumentParser, scenario: Scenario) -> None:
    default = Settings()
    add = parser.add_argument
    add("--url", default="", help="the service's address (default: one is started for the run)")
    add("--key", default="", help="an API key with a limit above what is sent")
    add("--other-key", default="", metavar="KEY", help="of another account, for `fairness`")
    add("--pid", type=int, help="the service's topmost process on this machine, to measure its CPU and memory")
    add(
        "--images",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folders of pictures (default: ../shared/corpus, or drawn)",
    )
    add("--drawn", action="store_true", help="draw pictures in any case")
    add("--hostile", type=Path, metavar="DIR", help="a folder of hostile files")
    if scenario.mix in MIXES:
        add("--mix", choices=MIXES, help=f"what to ask ({scenario.mix})")
    else:  # what is asked of a CDN origin is what the scenario is about
        parser.set_defaults(mix=None)
    add("--cdn-key", type=_split_key, metavar="ID:SECRET", help="that signs URLs, for `cdn-` scenarios")
    add(
        "--cdn-source",
        type=_check_source,
        metavar="PREFIX",
        help="where the pictures lie under their names: a URL, or own: and the beginning of a key",
    )
    add(
        "--clients",
        type=_positive_int,
        default=default.clients,
        metavar="N",
        help="of the closed loop at capacity (%(default)s)",
    )
    rates = " ".join(default.rates)
    add(
        "--rate",
        nargs="*",
        type=_check_rate,
        default=default.rates,
        metavar="R",
        help=f"open loops: requests/s or times capacity ({rates})",
    )
    add("--arrivals", choices=get_args(Arrivals), default=default.arrivals, help="(%(default)s)")
    add("--factor", type=_positive, default=default.factor, help="of a flood over the capacity (%(default)s)")
    add("--hits", type=_positive, default=default.hits_per_s, metavar="R", help="a second beside a storm (%(default)s)")
    add("--storm", type=_positive_int, default=default.storm_urls, metavar="N", help="URLs in it (%(default)s)")
    add(
        "--storm-clients",
        type=_positive_int,
        default=default.storm_clients,
        metavar="N",
        help="a storm of so many clients for the whole phase instead",
    )
    add("--duration", type=_positive, default=default.duration_s, metavar="S", help="of each phase (%(default)s)")
    add("--warm-up", type=float, default=default.warm_up_s, metavar="S", help="(%(default)s)")
    add("--seed", type=int, default=default.seed, help="(%(default)s)")
    add(
        "--processes",
        type=_positive_int,
        default=default.processes,
        metavar="N",
        help="that send the main stream (%(default)s)",
    )
    add(
        "--unique",
        action=argparse.BooleanOptionalAction,
        help="each upload another file with the same pixels, each URL another (yes, but for hits)",
    )
    add("--timeout", type=_positive, default=60.0, metavar="S", help="until a request has failed (%(default)s)")
    add("--poll", type=_positive, default=0.5, metavar="S", help="between two looks at a job (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the result")


def _split_key(text: str) -> tuple[str, str]:
    key_id, _, secret = text.partition(":")
    if not key_id or not secret:
        raise argparse.ArgumentTypeError("a signing key is its id, a colon and its secret")
    return key_id, secret


def _check_source(text: str) -> str:
    if not text.startswith(("https://", "http://", OWN)):
        raise argparse.ArgumentTypeError(f"{text} begins with none of https://, http:// and {OWN}")
    return text


def _check_rate(text: str) -> str:
    try:
        read_rate(text, 1.0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no rate: 20 is, and 0.8x") from None
    return text


def _positive(text: str) -> float:
    with suppress(ValueError):
        if (value := float(text)) > 0:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no number above 0")


def _positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)
