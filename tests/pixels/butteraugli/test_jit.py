"""The cache of compiled kernels: never stale, never in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pixels.butteraugli import jit

PACKAGE = Path(jit.__file__).parent
PROBE = """
import numpy as np
from pixels.butteraugli import Comparator, jit
image = np.arange(48 * 48 * 3, dtype=np.uint8).reshape(48, 48, 3)
print(jit.CACHE_FOLDER, Comparator(image).compare(image ^ 1).norm3)
"""
#: A kernel that takes no half a minute to compile.
TINY = """
import numpy as np
from pixels.butteraugli import jit

@jit.inlined
def twice(value):
    return value + value

@jit.kernel
def double(row):
    for x in range(row.size):
        row[x] = twice(row[x])

row = np.ones(5, np.float32)
double(row)
print(jit.CACHE_FOLDER, int(row.sum()), sum(double.stats.cache_hits.values()))
"""
compiled_only = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled with the JIT off"
)


def start_tiny(tmp_path, *before):
    """Start a process that runs `TINY` with `tmp_path / "cache"` as its first choice of a folder."""
    script = tmp_path / "tiny.py"
    script.write_text(TINY)
    folder = tmp_path / "cache"
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(PACKAGE.parents[1])}
    command = [*before, sys.executable, str(script)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish_tiny(process):
    """Return the cache folder, the sum and the number of kernels that came from the cache."""
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-2000:]
    folder, total, hits = printed.split()
    return Path(folder), int(total), int(hits)


def copy_package(folder):
    shutil.copytree(PACKAGE, folder / "pixels" / "butteraugli", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pixels" / "__init__.py").touch()
    return folder / "pixels" / "butteraugli"


def test_a_settled_kernel_does_what_the_kernel_does():
    """In the first call, which finds the types, and in those after it; also where the first had other values."""

    @jit.kernel
    def scale(row, pair, factor):
        for x in range(row.size):
            row[x] *= factor * pair[0][x]

    settled = jit.settle(scale)
    for factor, size in ((2, 3), (5, 3), (7, 4)):
        row = np.ones(size, np.float32)
        settled(row, (np.full(size, 3, np.float32),), factor)
        assert row.tolist() == [3 * factor] * size


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


@compiled_only
def test_processes_that_compile_at_once_share_an_empty_folder(tmp_path):
    """Each gets its result; the next one finds it compiled, and nothing half-written is left behind."""
    processes = [start_tiny(tmp_path) for _ in range(4)]
    assert [finish_tiny(process)[1] for process in processes] == [10] * 4
    folder, total, hits = finish_tiny(start_tiny(tmp_path))
    assert (folder.parent, total, hits) == (tmp_path / "cache", 10, 1)
    assert {path.suffix for path in folder.iterdir()} == {".nbi", ".nbc"}


@compiled_only
@pytest.mark.parametrize("warmed", [True, False])
def test_on_a_read_only_file_system(tmp_path, warmed):
    """What was compiled before is used; what was not is compiled all the same."""
    if warmed:
        finish_tiny(start_tiny(tmp_path))
    folder = tmp_path / "cache"
    folder.mkdir(exist_ok=True)
    # A folder that root may not write to either is on a file system of its own, in a namespace of its own.
    freeze = f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}" && exec "$@"'
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c", freeze, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount anything")
    refused = subprocess.run([*inside, "touch", str(folder / "new")], capture_output=True)
    assert refused.returncode != 0
    used, total, hits = finish_tiny(start_tiny(tmp_path, *inside))
    assert total == 10
    if warmed:
        assert (used.parent, hits) == (folder, 1)
    else:
        assert used.parent != folder
    assert len(list(folder.iterdir())) == warmed


@compiled_only
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
