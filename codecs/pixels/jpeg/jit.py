"""The kernels of this package: compiled as those of the metric are, in a cache folder of their own.

Its name is a digest of this package's sources, and it lies in the metric's folder, whose name is a digest of the
sources that hold the compiler's settings: an edit of either starts an empty cache.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from numba.core.caching import NullCache

from pixels.butteraugli import jit

_PACKAGE: Final = Path(__file__).parent


def _find_cache_folder() -> Path | None:
    if jit.CACHE_FOLDER is None:
        return None
    folder = jit.CACHE_FOLDER / f"jpeg-{jit.digest_sources(_PACKAGE)}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    return folder


CACHE_FOLDER: Final = _find_cache_folder()


class _Locator(jit._DigestLocator):
    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator | None":
        del py_file
        return None if CACHE_FOLDER is None else cls(CACHE_FOLDER, py_func.__code__.co_firstlineno)


class _CacheImpl(jit._KernelCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  # the base class declares it so


class _Cache(jit._KernelCache):
    _impl_class = _CacheImpl


def kernel(function: jit.Function) -> jit.Function:
    """Compile `function` at its first call, as `pixels.butteraugli.jit.kernel` does."""
    return _keep_here(jit.kernel(function))


def inlined(function: jit.Function) -> jit.Function:
    """Compile `function` as part of the kernels that call it."""
    return _keep_here(jit.inlined(function))


def _keep_here(function: jit.Function) -> jit.Function:
    compiled: Any = function
    if hasattr(compiled, "py_func"):
        new_cache: Any = NullCache if CACHE_FOLDER is None else _Cache
        compiled._cache = new_cache() if CACHE_FOLDER is None else new_cache(compiled.py_func)
    return function
