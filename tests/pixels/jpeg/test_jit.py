"""The cache of this package's kernels, and the kernels without it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixels.jpeg import jit

PACKAGE = Path(jit.__file__).parent
ROOT = Path(__file__).parents[3]
PROBE = """
import numpy as np
from pixels.jpeg import baseline, jit
print(jit.CACHE_FOLDER, len(baseline.encode_grey(np.frombuffer(bytes(range(64)), np.uint8).reshape(8, 8), 80)))
"""


def run_probe(folder, cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(folder)}
    run = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    used, size = run.stdout.split()
    return used, int(size)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled with the JIT off")
def test_an_edit_starts_an_empty_cache_and_is_seen(tmp_path):
    """A constant that kernels of another file have compiled in."""
    shutil.copytree(PACKAGE.parent, tmp_path / "pixels", ignore=shutil.ignore_patterns("__pycache__"))
    first, size = run_probe(tmp_path, tmp_path / "cache")
    assert list(Path(first).glob("*.nbc"))
    assert run_probe(tmp_path, tmp_path / "cache") == (first, size)
    path = tmp_path / "pixels" / "jpeg" / "huffman.py"
    path.write_text(path.read_text().replace("range(1, 64)", "range(1, 1)"))
    second, smaller = run_probe(tmp_path, tmp_path / "cache")
    assert second != first
    assert smaller < size


def test_kernels_are_right_with_the_jit_off():
    """The same sources as plain Python."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    tests = str(Path(__file__).parent / "test_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
