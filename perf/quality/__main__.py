"""The command line: measures a set of images, prints the page and, asked to, publishes it in `perf/`."""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, get_args

from perf.quality import report, result
from perf.quality.images import find_files
from perf.quality.judge import JudgeName, choose_judge
from perf.quality.measure import FORMATS, METHODS, Settings, prepare_process
from perf.quality.survey import Survey, Task

_ROOT: Final = Path(__file__).parents[2]


def main() -> None:
    """Measure, print and publish."""
    arguments = _parse()
    folders = [folder.resolve() for folder in arguments.images or _find_corpus()]
    if missing := [str(folder) for folder in folders if not folder.is_dir()]:
        sys.exit(f"No such folder: {', '.join(missing)}. Name folders of images with --images.")
    settings = Settings(arguments.target, choose_judge(arguments.judge).name, arguments.rounds, arguments.max_mp)
    tasks = [
        Task(name, path, wanted)
        for name, path in find_files(folders).items()
        if all(part in name for part in arguments.only)
        for wanted in arguments.format
    ]
    # libvips has threads, and a process with threads cannot be forked safely.
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn"), initializer=prepare_process) as pool:
        survey = Survey(pool, settings, tasks)
        for method in arguments.methods:
            survey.measure(method)
    if not survey.rows:
        sys.exit("No image was compared.")
    found = result.Result.now(settings, [folder.name for folder in folders], survey)
    print(report.render(found))  # noqa: T201 - a command's answer
    if arguments.json:
        result.write(found, arguments.json)
    if arguments.publish:
        report.publish(found, _ROOT / "perf")


def _find_corpus() -> list[Path]:
    corpus = Path(os.environ.get("COMPRESSORIZE_SHARED", _ROOT.parent / "shared")) / "corpus"
    return [corpus / "photos", corpus / "graphics"]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf.quality", description=__doc__)
    parser.add_argument("--images", nargs="+", type=Path, metavar="DIR", help="folders of images (default: the corpus)")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="images with all of these in their name")
    parser.add_argument("--format", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--target", type=float, default=1.2, metavar="DISTANCE", help="butteraugli 3-norm (1.2)")
    parser.add_argument("--max-mp", type=float, default=3.0, metavar="MP", help="leave out larger images (3)")
    parser.add_argument("--judge", choices=get_args(JudgeName), help="default: libjxl's program where installed")
    parser.add_argument("--rounds", type=int, default=3, help="times that smart is timed; the least counts (3)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows")
    parser.add_argument("--publish", action="store_true", help="write perf/QUALITY.md and perf/results/quality.*")
    return parser.parse_args()


if __name__ == "__main__":
    main()
