"""The command line: runs a scenario, or renders what runs have found."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, get_args

from app.service.cdn.source import OWN
from perf.cdn_customer import CdnCustomer, create_customer
from perf.load import page, result
from perf.load.filling import Unfilled
from perf.load.fleet import Fleet
from perf.load.loops import Arrivals
from perf.load.mixes import MIXES, Mix, UploadMix
from perf.load.pictures import (
    Picture,
    draw_pictures,
    find_corpus,
    find_hostile,
    make_hostile,
    read_hostile,
    read_pictures,
)
from perf.load.run import Run, Settings, read_rate
from perf.load.scenarios import SCENARIOS, Scenario
from perf.load.service import (
    OwnService,
    Target,
    UnknownService,
    ask_version,
    check_customer,
    check_key,
    name_sources,
)
from perf.load.visits import CDN_MIXES, CdnMix
from perf.machine import describe_commit

#: More good pictures than that are not needed to make broken ones of.
_BROKEN: Final = 6


def main() -> None:
    """Run a scenario and print its page, or render a report."""
    arguments = _parse()
    if arguments.command == "report":
        try:
            found = [result.read(path) for path in arguments.files]
        except (OSError, ValueError) as error:
            sys.exit(f"This is no result of perf.load: {error}")
        # Here and not above: nothing else wants matplotlib, which a machine that makes load may lack.
        from perf.load import report

        print(*report.publish(found, arguments.output), sep="\n")  # noqa: T201 - a command's answer
        return
    scenario = SCENARIOS[arguments.command]
    try:
        found_now = _run(arguments, scenario, (MIXES | CDN_MIXES)[arguments.mix or scenario.mix])
    except (UnknownService, Unfilled) as error:
        sys.exit(str(error))
    print(page.render(found_now))  # noqa: T201 - a command's answer
    if arguments.json:
        result.write(found_now, arguments.json)


def _run(arguments: argparse.Namespace, scenario: Scenario, mix: Mix) -> result.Result:
    pictures, source = _find_pictures(arguments, mix)
    settings = Settings(
        seed=arguments.seed,
        duration_s=arguments.duration,
        warm_up_s=arguments.warm_up,
        clients=arguments.clients,
        rates=tuple(arguments.rate),
        arrivals=arguments.arrivals,
        factor=arguments.factor,
        processes=arguments.processes,
        is_unique=not mix.is_reused if arguments.unique is None else arguments.unique,
        hits_per_s=arguments.hits,
        storm_urls=arguments.storm,
        storm_clients=arguments.storm_clients,
    )
    with ExitStack() as stack:
        target = _reach(arguments, mix, pictures) if arguments.url else _start(stack, mix, pictures)
        size = settings.processes + scenario.streams - 1
        fleet = stack.enter_context(
            Fleet(target.url, pictures, size=size, timeout_s=arguments.timeout, poll_s=arguments.poll)
        )
        run = Run(target, fleet, mix, settings)
        findings = list(scenario.tell(run))
    suited = [pictures[place] for place in mix.choose(pictures)]
    return result.Result(
        scenario=arguments.command,
        mix=arguments.mix or scenario.mix,
        mix_about=mix.about,
        date=result.today(),
        commit=describe_commit(),
        machine=result.look_at_machine(),
        versions=result.list_versions(),
        is_own_service=target.is_own,
        service_version=target.version,
        settings={name: str(getattr(settings, name)) for name in settings.__struct_fields__},
        pictures=len(suited),
        picture_source=source,
        picture_bytes_mean=round(sum(len(picture.data) for picture in suited) / len(suited), 1),
        phases=run.phases,
        findings=findings,
    )


def _reach(arguments: argparse.Namespace, mix: Mix, pictures: Sequence[Picture]) -> Target:
    """Return the service at the given address, once it has taken the keys."""
    customer = None
    if isinstance(mix, CdnMix):
        sources = name_sources(arguments.cdn_source, (picture.name for picture in pictures))
        key_id, secret = arguments.cdn_key
        customer = CdnCustomer(key_id, secret, sources)
        check_customer(arguments.url, customer)
    for key in filter(None, (arguments.key, arguments.other_key)):
        check_key(arguments.url, key)
    return Target(
        url=arguments.url,
        key=arguments.key,
        other_key=arguments.other_key,
        customer=customer,
        pid=arguments.pid,
        version=ask_version(arguments.url),
    )


def _start(stack: ExitStack, mix: Mix, pictures: Sequence[Picture]) -> Target:
    """Start a service for as long as `stack` is open."""
    service = stack.enter_context(OwnService(reuse_results=mix.is_reused))
    customer = create_customer(service, [one.data for one in pictures]) if isinstance(mix, CdnMix) else None
    return service.target(customer)


def _find_pictures(arguments: argparse.Namespace, mix: Mix) -> tuple[list[Picture], str]:
    """Return the good pictures that suit the mix, and hostile ones if it has any; and where they came from."""
    folders = [] if arguments.drawn else arguments.images or find_corpus()
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        sys.exit(f"No such folder: {', '.join(missing)}.")
    good, source = [picture for picture in read_pictures(folders) if mix.suits(picture)], "real"
    if not good and not arguments.images:
        drawn = draw_pictures(min_megapixels=mix.min_megapixels, max_megapixels=mix.max_megapixels)
        good, source = [picture for picture in drawn if mix.suits(picture)], "drawn"
    if not good:
        sys.exit(f"No picture in these folders suits the mix: {mix.about}.")
    hostile: list[Picture] = []
    if isinstance(mix, UploadMix) and mix.hostile_share:
        hostile = make_hostile(good[:_BROKEN])
        folder = arguments.hostile or (None if arguments.drawn else find_hostile())
        hostile += read_hostile(folder, max_bytes=mix.max_bytes) if folder else []
    return good + hostile, source


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf.load", description=__doc__)
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


if __name__ == "__main__":
    main()
