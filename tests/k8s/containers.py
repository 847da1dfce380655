"""Runs the image confined as a cluster runs it: by docker or podman where one is up, otherwise by crun and root.

User 10001, no capability and none to gain, a read-only root, 16 MB of /tmp, the default seccomp profile.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

IMAGE: Final = os.environ.get("IMAGE", "compressorize:dev")
USER: Final = 10001
#: crun refuses a machine that has both kinds of cgroups. It is to use none, so it is shown one kind.
_CRUN: Final = (
    *("unshare", "--mount", "sh", "-c"),
    'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --cgroup-manager=disabled "$@"',
    "crun",
)
#: Warming up without compiling takes seconds, but machines can be busy.
_DEADLINE_S: Final = 240
_SECCOMP_PROFILE: Final = Path("/usr/share/containers/seccomp.json")


class Container:
    """The image, run by docker or podman.

    Attributes
    ----------
    facts
        Its configuration: `User`, `Env`, `Entrypoint`, `Healthcheck` and so on.
    size_bytes
        Of its files, unpacked.
    """

    def __init__(self, facts: dict[str, Any], size_bytes: int, tool: Sequence[str]) -> None:
        self.facts, self.size_bytes = facts, size_bytes
        self._tool = tool
        self._name = f"compressorize-test-{secrets.token_hex(4)}"

    def start(self, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Run the image's own command; a SIGTERM to the process is passed on."""
        arguments = [*self.facts["Entrypoint"], *self.facts["Cmd"]]
        command = self._command(environment, arguments, name=self._name)
        with log.open("wb") as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def remove(self) -> None:
        """End what was started, however it is."""
        _capture(*self._tool, "rm", "--force", self._name)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run something else, in a container of its own."""
        return _capture(*self._command({}, arguments, name=f"{self._name}-{secrets.token_hex(2)}"))

    def execute(self, *arguments: str) -> str:
        """Run something beside what was started; what it prints."""
        return printed(_capture(*self._tool, "exec", self._name, *arguments))

    def _command(self, environment: Mapping[str, str], arguments: Sequence[str], *, name: str) -> list[str]:
        return [
            *(*self._tool, "run", "--rm", f"--name={name}", "--network=host", "--read-only", "--cap-drop=ALL"),
            *("--security-opt=no-new-privileges", "--tmpfs=/tmp:size=16m"),
            f"--tmpfs=/data:uid={USER},gid={USER},mode=700",
            *(f"--env={each}={value}" for each, value in environment.items()),
            *(f"--entrypoint={arguments[0]}", IMAGE, *arguments[1:]),
        ]


class BareContainer(Container):
    """The same by crun, without cgroups, from the files of an image that buildah made."""

    def __init__(self, facts: dict[str, Any], size_bytes: int, root: str, folder: Path) -> None:
        super().__init__(facts, size_bytes, _CRUN)
        self._root, self._folder = root, folder

    def execute(self, *arguments: str) -> str:
        # It would be root otherwise, if one without capabilities.
        return printed(_capture(*_CRUN, "exec", f"--user={USER}:{USER}", self._name, *arguments))

    def remove(self) -> None:
        _capture(*_CRUN, "delete", "--force", self._name)

    def _command(self, environment: Mapping[str, str], arguments: Sequence[str], *, name: str) -> list[str]:
        bundle = self._folder / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self._specify(environment, arguments)))
        return [*_CRUN, "run", f"--bundle={bundle}", name]

    def _specify(self, environment: Mapping[str, str], arguments: Sequence[str]) -> dict[str, Any]:
        return {
            "ociVersion": "1.0.2",
            "root": {"path": self._root, "readonly": True},
            "process": {
                "user": {"uid": USER, "gid": USER},
                "cwd": self.facts["WorkingDir"],
                "args": list(arguments),
                "env": [*self.facts["Env"], *(f"{name}={value}" for name, value in environment.items())],
                "capabilities": {each: [] for each in ("bounding", "effective", "permitted", "ambient", "inheritable")},
                "noNewPrivileges": True,
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                _mount_memory("/dev", "mode=755"),
                _mount_memory("/tmp", "mode=1777", "size=16m"),  # noqa: S108  # the container's
                _mount_memory("/data", "mode=700", f"uid={USER}", f"gid={USER}"),
            ],
            "linux": {
                "namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts")],
                "seccomp": _read_seccomp_profile(),
            },
        }


def _mount_memory(path: str, *options: str) -> dict[str, Any]:
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", *options]}


def _read_seccomp_profile() -> dict[str, Any]:
    """Return podman's and CRI-O's default, for a container without capabilities, as OCI runtimes read it."""
    profile = json.loads(_SECCOMP_PROFILE.read_text())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

    def holds(rule: dict[str, Any]) -> bool:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        is_for_machine = machine in includes.get("arches", [machine]) and machine not in excludes.get("arches", [])
        return is_for_machine and not includes.get("caps")

    fields = ("names", "action", "args", "errnoRet")
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": [f"SCMP_ARCH_{os.uname().machine.upper()}"],
        "syscalls": [
            {each: rule[each] for each in fields if rule.get(each)} for rule in profile["syscalls"] if holds(rule)
        ],
    }


@contextlib.contextmanager
def open_image() -> Iterator[Container]:
    """Choose what runs containers here, and clean up after it."""
    for tool in ("docker", "podman"):
        if shutil.which(tool) and _capture(tool, "info").returncode == 0:
            (found,) = json.loads(printed(_capture(tool, "image", "inspect", IMAGE)))
            yield Container(found["Config"], found["Size"], [tool])
            return
    if not (shutil.which("crun") and shutil.which("buildah") and os.geteuid() == 0):
        pytest.fail("needs docker or podman that runs, or root with buildah and crun (apt-get install buildah crun)")
    facts = json.loads(printed(_capture("buildah", "inspect", "--type=image", IMAGE)))["Docker"]["config"]
    working = printed(_capture("buildah", "from", "--pull=false", IMAGE)).strip()
    try:
        root = printed(_capture("buildah", "mount", working)).strip()
        size_bytes = int(printed(_capture("du", "-sxB1", root)).split()[0])
        with tempfile.TemporaryDirectory() as folder:
            yield BareContainer(facts, size_bytes, root, Path(folder))
    finally:
        _capture("buildah", "rm", working)


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed, if it ended well."""
    assert done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done.stdout


def _capture(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_DEADLINE_S)
