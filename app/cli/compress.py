"""`compressorize compress`: the API's pipeline on local files, one process a core."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import click
import msgspec
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.api.parameters import parse_parameters
from app.errors import ServiceError
from app.service.job_reply import savings_percent
from app.settings import Settings
from pixels.formats import FORMATS
from pixels.options import Limits, Options


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one file; `error` is set where it failed, the rest where it did not."""

    input: str
    output: str | None = None
    original_size: int | None = None
    compressed_size: int | None = None
    savings_percent: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    quality: int | None = None
    distance: float | None = None
    original_returned: bool | None = None
    error: str | None = None


def run(
    inputs: tuple[str, ...],
    output: str | None,
    parameters: dict[str, str],
    *,
    jobs: int | None,
    as_json: bool,
    settings: Settings,
) -> int:
    """Compress `inputs` and report each; the exit code is 1 if any failed.

    `parameters` are the API's, by the API's rules.
    """
    try:
        options = parse_parameters(list(parameters.items()), has_file=True).options
    except ServiceError as error:
        raise click.UsageError(error.message) from None
    work = _plan([Path(name) for name in inputs], output)
    options = msgspec.structs.replace(
        options, smart_distance=settings.smart_distance, jpeg_encoder=settings.jpeg_encoder
    )
    failed = 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=len(work) == 1 or not Console(stderr=True).is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task("Compressing", total=len(work))
        for outcome in _outcomes(work, options, settings.limits, jobs or os.cpu_count() or 1):
            failed += outcome.error is not None
            _report(outcome, as_json=as_json)
            progress.advance(task)
    return 1 if failed else 0


def _plan(sources: list[Path], output: str | None) -> list[tuple[Path, Path, bool]]:
    """Pair each source with where its result goes; True: the format's ending is still to be added."""
    to_folder = output is not None and (len(sources) > 1 or Path(output).is_dir() or output.endswith(os.sep))
    if output is not None and not to_folder:
        return [(sources[0], Path(output), False)]
    if output is None:
        return [(source, source.with_name(f"{source.stem}.compressed"), True) for source in sources]
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{output} is a file; several inputs need a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    # Of two inputs that differ in their ending alone, neither may overwrite the other's result.
    stems = Counter(source.stem for source in sources)
    results = [folder / (source.stem if stems[source.stem] == 1 else source.name) for source in sources]
    twice = [path.name for path, count in Counter(results).items() if count > 1]
    if twice:
        raise click.UsageError(f"Several inputs would be written to {twice[0]}; compress them into different folders.")
    return [(source, result, True) for source, result in zip(sources, results, strict=True)]


def _outcomes(work: list[tuple[Path, Path, bool]], options: Options, limits: Limits, jobs: int) -> Iterator[Outcome]:
    """Yield outcomes as they come; with one file, without a second process."""
    if len(work) == 1:
        _prepare()
        yield _compress_file(*work[0], options, limits)
        return
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=get_context("forkserver"), initializer=_prepare) as pool:
        pending: set[Future[Outcome]] = {pool.submit(_compress_file, *one, options, limits) for one in work}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


def _prepare() -> None:
    from pixels import vips  # in the processes that encode only: libvips must not run before a fork

    vips.prepare()


def _compress_file(source: Path, output: Path, add_ending: bool, options: Options, limits: Limits) -> Outcome:
    from pixels.errors import PixelsError
    from pixels.pipeline import compress

    try:
        data = source.read_bytes()
        result = compress(data, options, limits)
        if add_ending:
            output = output.with_name(f"{output.name}.{FORMATS[result.format].extension}")
        if output.exists() and output.samefile(source):
            return Outcome(str(source), error="the output would overwrite the input")
        _write(output, result.data)
    except (PixelsError, OSError) as error:
        return Outcome(str(source), error=str(error))
    return Outcome(
        input=str(source),
        output=str(output),
        original_size=len(data),
        compressed_size=len(result.data),
        savings_percent=savings_percent(len(data), len(result.data)),
        format=result.format,
        width=result.width,
        height=result.height,
        quality=result.quality,
        distance=result.distance,
        original_returned=result.original_returned,
    )


def _write(path: Path, data: bytes | memoryview) -> None:
    """Write whole or not at all: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _report(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(outcome)))
    elif outcome.error is not None:
        click.echo(f"{outcome.input}: {outcome.error}", err=True)
    else:
        note = "already best" if outcome.original_returned else f"quality {outcome.quality}"
        click.echo(
            f"{outcome.input} -> {outcome.output}: {outcome.original_size} -> {outcome.compressed_size} bytes "
            f"(-{outcome.savings_percent} %, {outcome.format}, {note})"
        )
