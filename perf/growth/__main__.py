"""The command line: measures one kind of growth, and publishes it if asked to."""

import argparse

from perf.growth import megapixels, memory, processes
from perf.growth.result import publish, render


def main() -> None:
    """Print what was found in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m perf.growth", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    by_size = commands.add_parser("megapixels", help=megapixels.__doc__)
    by_size.add_argument("--rounds", type=int, default=5, metavar="N", help="(%(default)s)")
    by_size.add_argument("--formats", nargs="+", choices=megapixels.FIXED, default=list(megapixels.FIXED))
    by_size.add_argument("--sizes", nargs="+", type=float, default=megapixels.SIZES_MP, metavar="MP")
    by_processes = commands.add_parser("processes", help=processes.__doc__)
    by_processes.add_argument("--rounds", type=int, default=10, metavar="N", help="(%(default)s)")
    by_requests = commands.add_parser("memory", help=memory.__doc__)
    by_requests.add_argument("--requests", nargs="+", type=int, default=memory.CHECKPOINTS, metavar="N")
    for command in (by_size, by_processes, by_requests):
        command.add_argument("--publish", action="store_true", help="write perf/results/growth-*.json and .svg")
    arguments = parser.parse_args()
    if arguments.command == "megapixels":
        growth = megapixels.measure(arguments.rounds, arguments.sizes, arguments.formats)
    elif arguments.command == "processes":
        growth = processes.measure(arguments.rounds)
    else:
        growth = memory.measure(arguments.requests)
    print(render(growth))  # noqa: T201 - a command's answer
    if arguments.publish:
        publish(growth)


if __name__ == "__main__":
    main()
