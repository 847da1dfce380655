"""The child side of an encode process: decodes, compresses and answers, one job at a time.

It is forked from a fork server that has imported this module, so a new one is ready in about 0.1 s. It talks
over one socket, in the frames of `encode_protocol`.
"""

import gc
import mmap
import os
import resource
import signal
import socket

import msgspec

from app.service.encode_protocol import LENGTH_BYTES, MAX_FRAME, Done, Failed, Job, NeedsMemory, Ready, Setup, frame
from app.service.lockdown import lock
from pixels import pack_png, pipeline, vips
from pixels.errors import PixelsError
from pixels.memory import MoreNeeded
from pixels.options import Limits, Options

#: A job's own alarm rings this long after the parent's deadline: for the case that the parent is gone.
ALARM_SLACK_S = 5.0
#: Behind the event loop, which has to turn away in time what is too much, and to read what comes.
_NICE = 5


def run(control: socket.socket) -> None:
    """Serve jobs from `control` until the parent closes its end."""
    first = receive(control)
    if first is None:
        return
    setup, result_fd = msgspec.msgpack.decode(first[0], type=Setup), first[1]
    os.nice(_NICE)
    # A crash must not write a core file, with other customers' pictures in it, to disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    vips.prepare()
    vips.warm()
    pack_png.warm()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    gc.freeze()  # what was imported stays for good: collections need not walk it
    decoder = msgspec.msgpack.Decoder(Job)
    locked = lock(control_fd=control.fileno(), result_fd=result_fd, memory_bytes=setup.memory_bytes)
    control.sendall(frame(Ready(locked)))
    while (received := receive(control)) is not None:
        job, source_fd = decoder.decode(received[0]), received[1]
        signal.setitimer(signal.ITIMER_REAL, job.deadline_s + ALARM_SLACK_S)
        reply = _serve(job, source_fd, result_fd, setup.limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        control.sendall(frame(reply))


def _serve(job: Job, source_fd: int, result_fd: int, limits: Limits) -> Done | Failed | NeedsMemory:
    """Compress one job. An exception that is no fault of the picture is left to end the process, and be logged."""
    source = mmap.mmap(source_fd, job.size, prot=mmap.PROT_READ)
    os.close(source_fd)
    limits = msgspec.structs.replace(limits, memory_bytes=job.granted_bytes)
    reply: Done | Failed | NeedsMemory
    try:
        reply = _compress(memoryview(source), job.options, limits, result_fd)
    except MoreNeeded as more:
        reply = NeedsMemory(more.needed_bytes)
    except PixelsError as error:
        reply = Failed(type(error).__name__, str(error))
    except MemoryError:
        reply = Failed("ImageTooLarge", "The image needs more memory than one image is allowed")
    _unmap(source)
    return reply


def _compress(view: memoryview, options: Options, limits: Limits, result_fd: int) -> Done:
    result = pipeline.compress(view, options, limits)
    _write_result(result_fd, result.data)
    return Done(
        size=len(result.data),
        format=result.format,
        width=result.width,
        height=result.height,
        quality=result.quality,
        original_returned=result.original_returned,
        distance=result.distance,
        decode_ms=result.decode_ms,
        search_ms=result.search_ms,
        encode_ms=result.encode_ms,
    )


def _unmap(source: mmap.mmap) -> None:
    try:
        source.close()
    except BufferError:  # an exception's traceback still holds the image that reads from it
        gc.collect()
        source.close()


def _write_result(result_fd: int, data: bytes | memoryview) -> None:
    view, at = memoryview(data), 0
    while at < len(view):
        at += os.pwrite(result_fd, view[at:], at)


def receive(control: socket.socket) -> tuple[bytes, int] | None:
    """Read one frame and the descriptor that came with it; None when the parent is gone."""
    data, descriptors, _, _ = socket.recv_fds(control, MAX_FRAME, 1)
    if not data:
        return None
    while len(data) < LENGTH_BYTES or len(data) < LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little"):
        more = control.recv(MAX_FRAME)
        if not more:
            return None
        data += more
    return data[LENGTH_BYTES:], descriptors[0]
