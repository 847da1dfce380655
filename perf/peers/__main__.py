"""The command line: installs and starts the peers, does the works, prints the page and, asked to, publishes it."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, get_args

from perf.peers import install
from perf.peers.bare_libvips import BareLibvips
from perf.peers.fastapi_pillow import FastApiPillow
from perf.peers.ipx import Ipx
from perf.peers.ours import Ours, OursByDefault, OursSmall
from perf.peers.peer import NotInstalled, Peer
from perf.peers.pictures import SIZES, make_pictures, write_pictures
from perf.peers.report import render
from perf.peers.result import WorkResult, keep_result, read_results
from perf.peers.rounds import do_work
from perf.peers.sharp import Sharp
from perf.peers.thumbor import Thumbor
from perf.peers.works import GROUPS, WORKS, Work, enter
from perf.quality.encoders import find_corpus
from perf.quality.judge import Judge, JudgeName, choose_judge
from pixels import butteraugli, vips

PEERS: Final = (Ours, OursByDefault, OursSmall, BareLibvips, Sharp, Ipx, Thumbor, FastApiPillow)
_KEPT: Final = install.FOLDER / "results.json"
_PAGE: Final = Path(__file__).parents[1] / "PEERS.md"


def main() -> None:
    """Do the works that are asked for, print what is known of all, and publish it."""
    arguments = _parse()
    unknown = {name for name in arguments.only.split(",") if name} - set(GROUPS)
    if unknown:
        sys.exit(f"No such work: {', '.join(sorted(unknown))}. There are {', '.join(GROUPS)}.")
    works = [work for work in WORKS if not arguments.only or work.group in arguments.only.split(",")]
    # Servers have sessions of their own: without this, they would outlive a run that is told to end.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    install.FOLDER.mkdir(exist_ok=True)
    vips.prepare()
    butteraugli.warm()
    _run(works, arguments, choose_judge(arguments.judge))
    page = render(read_results(_KEPT), [peer() for peer in PEERS])
    print(page)  # noqa: T201 - a command's answer
    if arguments.publish:
        _PAGE.write_text(page)


def _run(works: Sequence[Work], arguments: argparse.Namespace, judge: Judge) -> None:
    pictures = {size: make_pictures(size, arguments.images, arguments.photos) for size in SIZES}
    peers, missing = install_all([peer() for peer in PEERS])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-")))
        for made in pictures.values():
            write_pictures(made, folder)
        running, versions = [], {}
        for peer, version in peers:
            try:
                stack.enter_context(peer.run(folder))
            except RuntimeError as error:
                missing[peer.title] = str(error)
            else:
                running.append(peer)
                versions[peer.title] = version
        for work in works:
            begun, load = time.monotonic(), os.getloadavg()[0]
            found = do_work(
                work,
                enter(work, running),
                pictures[work.size],
                judge,
                rounds=arguments.rounds,
                turn_s=arguments.turn_s,
            )
            result = WorkResult.now(found, judge=judge.name, load=load, peers=versions, missing=missing)
            keep_result(_KEPT, work, result)
            _tell(f"{work.name}: {time.monotonic() - begun:.0f} s")


def install_all(peers: Sequence[Peer]) -> tuple[list[tuple[Peer, str]], dict[str, str]]:
    """Install `peers`; return those that are there with their versions, and why the others are not."""
    there, missing = [], {}
    for peer in peers:
        try:
            there.append((peer, peer.install()))
        except NotInstalled as reason:
            missing[peer.title] = str(reason)
            _tell(f"{peer.title}: {reason}")
    return there, missing


def _tell(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - progress


def _parse() -> argparse.Namespace:
    photos = [folder for folder in find_corpus()[:1] if folder.is_dir()]
    parser = argparse.ArgumentParser(prog="python -m perf.peers", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORKS", help=f"some of {','.join(GROUPS)}, with commas")
    parser.add_argument("--images", nargs="*", type=Path, default=photos, metavar="DIR", help="folders of photographs")
    parser.add_argument("--photos", type=int, default=3, metavar="N", help="how many to take of them (3)")
    parser.add_argument(
        "--rounds", type=int, default=9, metavar="N", help="turns of each peer in each work, at most (9)"
    )
    parser.add_argument("--turn-s", type=float, default=0.6, metavar="S", help="about how long a turn takes (0.6)")
    parser.add_argument("--judge", choices=get_args(JudgeName), help="default: libjxl's program where installed")
    parser.add_argument("--publish", action="store_true", help="write perf/PEERS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
