"""Compiles the kernels and keeps the machine code on disk.

Numba's own cache looks only at the file that a function is in; a kernel that calls another one in another file would
go on running the old callee after an edit. Here the folder's name is a digest of every source file of the package,
so any edit starts an empty cache, and the processes of two versions never read each other's code.
"""

import contextlib
import hashlib
import os
import pickle
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from numba import extending
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.compiler import Compiler

#: What the compiler may assume of floating-point arithmetic: it may reorder, contract and use reciprocals, but not
#: that there are no NaN or infinities ("nnan", "ninf"): the erosion of the mask pads with infinity.
FASTMATH: Final = frozenset({"nsz", "arcp", "contract", "afn", "reassoc"})

_PACKAGE: Final = Path(__file__).parent
#: float32[h, w], or a row or a stack of them.
Plane = npt.NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])


def digest_sources(folder: Path = _PACKAGE) -> str:
    """Return 16 hexadecimal digits that change with any edit of a source file in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        digest.update(f"{path.name}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()[:16]


def find_cache_folder(candidates: list[Path] | None = None) -> Path | None:
    """Return the first folder that holds this version's kernels or could, or None where nothing can be written.

    A folder that is there already is taken even if it is read-only: an image is warmed when it is built.
    """
    name = f"kernels-{digest_sources()}"
    for parent in _candidates() if candidates is None else candidates:
        folder = parent / name
        if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
            return folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def _candidates() -> list[Path]:
    folders = []
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        folders.append(Path(chosen))
    folders.append(_PACKAGE / "__pycache__")
    with contextlib.suppress(RuntimeError):
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folders.append(Path(home) / "compressorize")
    if private := _private_temporary_folder():
        folders.append(private)
    return folders


def _private_temporary_folder() -> Path | None:
    """A cache holds code that is run: in a folder that all may write to it is used only where it is ours alone."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"compressorize-kernels-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if ours else None


class _DigestLocator(_CacheLocator):
    def __init__(self, folder: Path, line: int) -> None:
        self._folder = folder
        self._line = line

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_DigestLocator | None":
        del py_file
        return None if CACHE_FOLDER is None else cls(CACHE_FOLDER, py_func.__code__.co_firstlineno)


class _KernelCacheImpl(CompileResultCacheImpl):
    _locator_classes = [_DigestLocator]  # noqa: RUF012  # the base class declares it so


class _KernelCache(FunctionCache):
    """Runs without the cache wherever the cache fails: a folder that has become read-only, a full disk, a torn file."""

    _impl_class = _KernelCacheImpl

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            yield


class _Unaliased(Compiler):
    """Compiles a function whose array arguments do not overlap wherever one of them is written.

    Without it, each inner loop is preceded by a comparison of every pair of its rows, or is not vectorised at all.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)  # type: ignore[no-untyped-call]  # Numba is typed in part
        self.state.flags.noalias = True


CACHE_FOLDER: Final = find_cache_folder()


def kernel(function: Function) -> Function:
    """Compile `function` at its first call, without Python objects, and without the interpreter's lock.

    Without Numba's memory manager as well: a kernel that allocated would not compile, and a row of a plane costs no
    reference count. Array arguments must not overlap where one of them is written.
    """
    return _compile(function, forceinline=False)


def inlined(function: Function) -> Function:
    """Compile `function` as part of the kernels that call it: a call would cost as much as a few dozen pixels."""
    return _compile(function, forceinline=True)


def spliced(function: Function) -> Function:
    """Compile `function` as if it were written out where it is called: a part of one caller, with a name of its own."""
    return _compile(function, forceinline=True, inline="always")


def shared(function: Function) -> Function:
    """Return `function` as it is, for Python; kernels that call it compile it as a part of theirs."""
    register: Any = extending.register_jitable
    return register(function)  # type: ignore[no-any-return]


def settle(compiled: Function) -> Function:
    """Return the kernel `compiled` for calls whose arguments always have the types of those of the first call.

    A kernel looks up the types of its arguments in every call; those of a comparison, 40 arrays in named tuples, cost
    as much as 400 pixels. Here they are looked up once and never checked again: other types would be read as if they
    were these. It is for arguments that are all made in one place.
    """
    dispatcher: Any = compiled
    entry: Any = None

    def call(*arguments: Any) -> Any:
        nonlocal entry
        if entry is None:
            result = dispatcher(*arguments)
            # Where Numba is told not to compile, a kernel is the plain function.
            if hasattr(dispatcher, "get_overload"):
                entry = dispatcher.get_overload(tuple(dispatcher.typeof_pyval(each) for each in arguments))
            return result
        return entry(*arguments)

    return call  # type: ignore[return-value]  # it takes what `compiled` takes


def _compile(function: Function, *, forceinline: bool, inline: str = "never") -> Function:
    # Numba's own types leave out `_nrt` and `pipeline_class`.
    compile_with: Any = numba.njit
    compiled: Any = compile_with(
        fastmath=set(FASTMATH),
        error_model="numpy",
        nogil=True,
        forceinline=forceinline,
        inline=inline,
        _nrt=False,
        pipeline_class=_Unaliased,
    )(function)
    # What is part of every caller's machine code needs none of its own.
    if CACHE_FOLDER is not None and not forceinline and hasattr(compiled, "py_func"):
        new_cache: Any = _KernelCache
        # There is no public way to choose a folder for one package.
        compiled._cache = new_cache(compiled.py_func)
    return compiled  # type: ignore[no-any-return]
