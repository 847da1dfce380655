"""The command line: runs a scenario, or renders what runs have found."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from perf.cdn_customer import CdnCustomer, create_customer
from perf.load import page, result
from perf.load.arguments import parse
from perf.load.filling import Unfilled
from perf.load.fleet import Fleet
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
from perf.load.run import Run, Settings
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
    arguments = parse()
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


if __name__ == "__main__":
    main()
