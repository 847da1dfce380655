"""The cache of compiled kernels: never stale, never in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixels.butteraugli import jit

PACKAGE = Path(jit.__file__).parent
PROBE = """
import numpy as np
from pixels.butteraugli import Comparator, jit
image = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
print(jit.CACHE_FOLDER, Comparator(image).compare(image ^ 1).norm3)
"""


def copy_package(folder):
    shutil.copytree(PACKAGE, folder / "pixels" / "butteraugli", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pixels" / "__init__.py").touch()
    return folder / "pixels" / "butteraugli"


def test_an_edit_of_any_file_changes_the_digest(tmp_path):
    package = copy_package(tmp_path)
    before = jit.digest_sources(package)
    assert before == jit.digest_sources(PACKAGE)
    for path in package.glob("*.py"):
        source = path.read_text()
        path.write_text(source + "\n")
        assert jit.digest_sources(package) != before, path.name
        path.write_text(source)
    assert jit.digest_sources(package) == before


def test_the_first_folder_that_can_be_written_is_taken(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be made under a file")
    found = jit.find_cache_folder([blocked / "cache", tmp_path / "second"])
    assert found is not None
    assert found.parent == tmp_path / "second"


def test_a_warmed_folder_is_taken_although_it_is_read_only(tmp_path):
    warmed = jit.find_cache_folder([tmp_path])
    assert warmed is not None
    warmed.chmod(0o500)
    assert jit.find_cache_folder([tmp_path, tmp_path / "second"]) == warmed


def test_without_any_folder_there_is_no_cache(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    assert jit.find_cache_folder([blocked / "cache"]) is None


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled with the JIT off")
def test_a_torn_cache_is_compiled_anew(tmp_path):
    """One kernel's files are cut short; every process still gets its number."""
    folder = jit.CACHE_FOLDER
    if folder is None or not list(folder.glob("*.nbc")):
        pytest.skip("the kernels are not cached on this machine")
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    for path in copy.glob("norms.add_powers*"):
        path.write_bytes(path.read_bytes()[:20])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(PACKAGE.parents[1])}
    run = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True)
    used, norm = run.stdout.split()
    assert used == str(copy)
    assert float(norm) > 0


def test_kernels_are_right_with_the_jit_off():
    """The same sources as plain Python, on the same small images."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(PACKAGE.parents[1])}
    tests = str(Path(__file__).parent / "test_kernels.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
