"""Runs the suites on a tree of sources: this checkout, or another revision with this one's benchmarks."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from perf.bench.record import Record, make_record, name_benchmark
from pixels.butteraugli.jit import CACHE_FOLDER

ROOT: Final = Path(__file__).parents[2]
#: pytest's code for tests that failed: what they were to measure is missing, and the others are there.
_SOME_FAILED: Final = 1


class NoFigures(Exception):
    """The suites did not run at all; the text tells why."""


class UnknownRevision(Exception):
    """The revision cannot be checked out; the text tells why."""


class Tree:
    """Sources to measure.

    Parameters
    ----------
    root
        The checkout's folder.
    commit
        Its name; None where it is this checkout.
    cache
        Where its kernels are kept when compiled; None: where they always are.
    """

    def __init__(self, root: Path = ROOT, *, commit: str | None = None, cache: Path | None = None) -> None:
        self.root, self._commit, self._cache = root, commit, cache

    def environment(self) -> dict[str, str]:
        """Return what lets Python import this tree's packages before those that are installed."""
        kept = {} if self._cache is None else {"NUMBA_CACHE_DIR": str(self._cache)}
        return {**os.environ, **kept, "PYTHONPATH": os.pathsep.join(map(str, (self.root, self.root / "codecs")))}

    def run(self, arguments: Sequence[str] = ()) -> Record:
        """Run the suites; `arguments` go to pytest.

        Raises
        ------
        NoFigures
            Not one benchmark was measured.
        """
        with tempfile.TemporaryDirectory(prefix="cz-") as folder:
            figures, story = Path(folder, "figures.json"), Path(folder, "story.xml")
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "pytest", "perf/bench", "-q", "--tb=line", "-p", "no:cacheprovider"),
                    *("--benchmark-only", "--benchmark-quiet", "--benchmark-disable-gc"),
                    *(f"--benchmark-json={figures}", f"--junit-xml={story}", *arguments),
                ],
                cwd=self.root,
                env=self.environment(),
                stdout=sys.stderr,
            )
            if done.returncode not in {0, _SOME_FAILED} or not figures.exists() or not figures.stat().st_size:
                raise NoFigures(f"pytest ended with {done.returncode}: see above")
            return make_record(json.loads(figures.read_bytes()), _find_missing(story), commit=self._commit)


@contextmanager
def check_out(revision: str) -> Iterator[Tree]:
    """Make a tree of another revision, with this checkout's `perf` over its own, and remove it in the end.

    Raises
    ------
    UnknownRevision
        git does not know it.
    """
    with tempfile.TemporaryDirectory(prefix="cz-") as folder:
        tree = Path(folder, "tree")
        commit = _git("rev-parse", "--short", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        _git("worktree", "add", "--detach", str(tree), commit)
        try:
            shutil.rmtree(tree / "perf", ignore_errors=True)
            shutil.copytree(ROOT / "perf", tree / "perf", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", tree / "pyproject.toml")
            cache = Path(folder, "kernels")
            cache.mkdir()
            if CACHE_FOLDER is not None:
                # Named by a digest of the sources: taken where the revision has the same, left alone otherwise.
                shutil.copytree(CACHE_FOLDER, cache / CACHE_FOLDER.name)
            yield Tree(tree, commit=commit, cache=cache)
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UnknownRevision(done.stderr.strip() or f"git ended with {done.returncode}")
    return done.stdout.strip()


def _find_missing(story: Path) -> dict[str, str]:
    """Return why benchmarks failed or were skipped, from pytest's own report."""
    missing = {}
    for case in ET.parse(story).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        for kind in ("failure", "error", "skipped"):
            if (why := case.find(kind)) is not None:
                path = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
                missing[name_benchmark(path)] = (why.get("message") or kind).partition("\n")[0][:160]
    return missing
