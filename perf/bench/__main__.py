"""The command line: runs the suites, and sets them beside the baseline or another revision."""

import argparse
import sys

import msgspec

from perf.bench.compare import render
from perf.bench.record import BASELINE, Record, merge, read, write
from perf.bench.suites import NoFigures, Tree, UnknownRevision, check_out


def main() -> None:
    """Print a table in Markdown."""
    arguments, for_pytest = _parse()
    old: Record | None
    try:
        if arguments.against:
            new, old = _run_in_turn(arguments.against, arguments.turns or 2, for_pytest)
        else:
            new, old = merge([Tree().run(for_pytest) for _ in range(arguments.turns or 1)]), _read_baseline()
    except (NoFigures, UnknownRevision) as error:
        sys.exit(str(error))
    print(render(new, old))  # noqa: T201 - a command's answer
    if arguments.save:
        write(new, BASELINE)


def _run_in_turn(revision: str, turns: int, for_pytest: list[str]) -> tuple[Record, Record]:
    """Run this checkout and the revision in turn, so that what changes on the machine meanwhile meets both."""
    ours, theirs = [], []
    with check_out(revision) as tree:
        for _ in range(turns):
            ours.append(Tree().run(for_pytest))
            theirs.append(tree.run(for_pytest))
    return merge(ours), merge(theirs)


def _read_baseline() -> Record | None:
    try:
        return read(BASELINE)
    except OSError:
        return None
    except msgspec.ValidationError as error:
        sys.exit(f"{BASELINE.name} is no baseline of these suites ({error}): --save writes a new one")


def _parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m perf.bench", description=__doc__, epilog="Everything else goes to pytest, such as -k jpeg."
    )
    parser.add_argument("--against", metavar="REV", help="run this revision in turn with the checkout")
    parser.add_argument("--turns", type=int, metavar="N", help="runs of each (1; with --against 2)")
    parser.add_argument("--save", action="store_true", help="make this run the baseline")
    arguments, for_pytest = parser.parse_known_args()
    if arguments.against and arguments.save:
        parser.error("the baseline is of this checkout alone: --save goes without --against")
    if arguments.turns is not None and arguments.turns < 1:
        parser.error("--turns is at least 1")
    return arguments, for_pytest


if __name__ == "__main__":
    main()
