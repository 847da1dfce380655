"""Installs peers into `.peers/`, from the pins beside this file and through the machine's own registries."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from perf.peers.peer import NotInstalled

FOLDER: Final = Path(__file__).parents[2] / ".peers"
PINS: Final = Path(__file__).parent
NODE_MODULES: Final = FOLDER / "node" / "node_modules"
_TIMEOUT_S: Final = 600.0
_ASK_TIMEOUT_S: Final = 60.0
_VERSIONS: Final = (
    "import sys; from importlib.metadata import version\nfor name in sys.argv[1:]: print(name, version(name))"
)


def install_node() -> Path:
    """Install what package-lock.json names, and return the folder of modules.

    Raises
    ------
    NotInstalled
        There is no node or npm here, or npm failed.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotInstalled(f"{program} is not installed")
    pins = [PINS / "package.json", PINS / "package-lock.json"]

    def install(folder: Path) -> None:
        for pin in pins:
            shutil.copy(pin, folder)
        _run(["npm", "ci", "--no-audit", "--no-fund"], folder)

    _install_once(NODE_MODULES.parent, pins, install)
    return NODE_MODULES


def install_python(name: str) -> Path:
    """Make an environment of what requirements-NAME.txt names, and return its folder of programs.

    Raises
    ------
    NotInstalled
        pip failed, or this Python makes no environments.
    """
    pins = PINS / f"requirements-{name}.txt"

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", "."], folder)
        _run([str(folder / "bin" / "pip"), "install", "-q", "--no-deps", "-r", str(pins)], folder)

    _install_once(FOLDER / name, [pins], install)
    return FOLDER / name / "bin"


def read_versions(programs: Path, names: Sequence[str]) -> str:
    """Return names and versions of packages of another Python; `programs` is its folder of programs.

    Raises
    ------
    NotInstalled
        It does not run, or one of them is missing.
    """
    return ", ".join(ask([str(programs / "python"), "-c", _VERSIONS, *names], programs).splitlines())


def ask(command: Sequence[str], folder: Path) -> str:
    """Run a program of a peer in `folder` and return what it prints.

    Raises
    ------
    NotInstalled
        It failed: what was installed does not run on this machine.
    """
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S)
    if run.returncode:
        raise NotInstalled(f"what was installed does not run here: {Path(command[0]).name} ended with {run.returncode}")
    return run.stdout


def _install_once(folder: Path, pins: Sequence[Path], install: Callable[[Path], None]) -> None:
    stamp = folder / ".installed"
    wanted = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder)
    stamp.write_text(wanted)


def _run(command: Sequence[str], folder: Path) -> None:
    # What installers print names the machine's registries, which no page should.
    log = folder / "install.log"
    with log.open("ab") as file:
        try:
            status = subprocess.run(command, cwd=folder, stdout=file, stderr=file, timeout=_TIMEOUT_S).returncode
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"{Path(command[0]).name} took longer than {_TIMEOUT_S:.0f} s") from None
    if status:
        shown = log.relative_to(FOLDER.parent)
        raise NotInstalled(f"{Path(command[0]).name} failed with status {status}: see {shown}")
