"""Each fuzz target, from the same seeds: some thousand inputs in a usual run; with FUZZ_S set, so many seconds each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.mutations import FORMATS, sources

pytest.importorskip("atheris", reason="atheris has no wheel for this Python")
ROOT = Path(__file__).resolve().parents[2]
LONG_S = int(os.environ.get("FUZZ_S", "0"))
#: Inputs of a usual run: one of the first target is several parses of a form, byte by byte.
INPUTS = {"multipart_form": 2500, "image_head": 20_000}
MOST_BYTES = 1024
#: One input that takes this long has met a loop without an end.
HANGS_S = 60
PART = b'Content-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n--b'
#: The first byte is for the target: the size of its chunks.
FORMS = [
    b"\x05" + PART % (b"file", b'; filename="a"\r\nContent-Type: image/png', b"x\r\n--") + b"--\r\n",
    b"\x10" + PART % (b"url", b"", b"http://x/") + b"\r\n" + PART % (b'q\\"', b"\r\nX: y\r\n z", b"") + b"--",
    # Beyond the target's limits.
    b"\x04" + PART % (b"a", b"", b"z" * 20) + b"\r\n" + PART % (b"b", b"\r\nX: " + b"y" * 150, b"") + b"--",
    b'\x00; boundary="a b"; charset=utf-8',
]
SEEDS = {
    "multipart_form": FORMS,
    "image_head": [data for name in FORMATS for data in sources(name)] + [sources("png")[0][8:]],
}


@pytest.mark.parametrize("target", SEEDS)
def test_nothing_that_was_found_breaks_a_promise(tmp_path: Path, target: str) -> None:
    for number, seed in enumerate(SEEDS[target]):
        (tmp_path / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", f"tests.fuzz.{target}", str(tmp_path), f"-artifact_prefix={tmp_path}/"]
    # A usual run is the same every time; a long one looks where none has been.
    command += [f"-max_total_time={LONG_S}"] if LONG_S else ["-seed=1", f"-runs={INPUTS[target]}"]
    done = subprocess.run(
        [*command, f"-max_len={MOST_BYTES}", f"-timeout={HANGS_S}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONG_S + 400,
    )
    print("\n" + target, *re.findall("(?:DONE|Done) .*", done.stderr), sep="\n")  # noqa: T201 - with -s, how far it got
    assert done.returncode == 0, done.stderr[-3000:]
    # Without coverage it would be random bytes that go nowhere.
    assert "INFO: Instrumenting" in done.stderr
    assert "NEW" in done.stderr, done.stderr[-3000:]
