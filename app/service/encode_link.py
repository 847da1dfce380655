"""The parent side of one encode process: starts it, hands it jobs without blocking, notices its death."""

import asyncio
import os
import socket
from collections.abc import Callable
from multiprocessing import get_context

import msgspec

from app.service.buffers import SharedBuffer, anonymous_file
from app.service.encode_protocol import (
    LENGTH_BYTES,
    MAX_FRAME,
    Done,
    Failed,
    Job,
    Lockdown,
    NeedsMemory,
    Ready,
    Reply,
    Setup,
    frame,
)
from pixels.options import Options

CONTEXT = get_context("forkserver")
#: A result file that grew beyond this is cut back once its answer was read.
_KEEP_RESULT_BYTES = 8 * 1024 * 1024
#: The process is gone when its socket closes; its exit code comes by way of the fork server a moment later.
_REAP_S = 0.05


class EncodeProcessDied(Exception):
    """The process ended while it had a job; `late` tells whether we killed it at its deadline."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("killed at its deadline" if late else "crashed")
        self.late = late


class EncodeLink:
    """One encode process, as the event loop sees it.

    Attributes
    ----------
    is_ready
        Whether it has ever said that its codecs are warm.
    lockdown
        What keeps it from everything but its work; None until it is ready.
    exit_code
        As `multiprocessing` tells it, once `on_death` was called; negative: the signal.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        on_ready: Callable[["EncodeLink"], None],
        on_death: Callable[["EncodeLink"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_ready, self._on_death = on_ready, on_death
        self._decoder = msgspec.msgpack.Decoder(Reply)
        self._received = bytearray()
        self._answer: asyncio.Future[Done | Failed | NeedsMemory] | None = None
        self._late = False
        self.is_ready = False
        self.lockdown: Lockdown | None = None
        self.exit_code: int | None = None
        self._result_fd = anonymous_file("compressorize-result", 0)
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = CONTEXT.Process(target=_run_child, args=(theirs,), daemon=True)
            self._process.start()
        self.pid: int = self._process.pid or 0
        self._socket.setblocking(False)
        socket.send_fds(self._socket, [frame(setup)], [self._result_fd])
        self._loop.add_reader(self._socket, self._read)

    async def run(
        self, source: SharedBuffer, options: Options, deadline_s: float, granted_bytes: int
    ) -> Done | Failed | NeedsMemory:
        """Let the process work on `source`, which must stay as it is until this returns or raises.

        It takes no more memory than it is granted; a picture that needs more is not begun.

        Raises
        ------
        EncodeProcessDied
            It crashed, or was killed at its deadline. The link is of no more use.
        """
        self._answer = self._loop.create_future()
        job = Job(source.size, options, deadline_s, granted_bytes)
        try:
            # A frame is far smaller than the socket's buffer, which is empty between two jobs: this never blocks.
            socket.send_fds(self._socket, [frame(job)], [source.descriptor])
        except OSError:  # it died idle, and the loop has not told us yet
            self._answer = None
            raise EncodeProcessDied(late=False) from None
        timer = self._loop.call_later(deadline_s, self._kill_late)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.kill()  # nobody waits for it any more, and the source may be lent again at once
            raise
        finally:
            timer.cancel()
            self._answer = None

    def take_result(self, size: int) -> bytes:
        """Read the result that the process reported.

        Raises
        ------
        ValueError
            The result file does not hold `size` bytes: the process is not to be trusted.
        """
        held = os.fstat(self._result_fd).st_size
        if not 0 < size <= held:
            raise ValueError(f"{size} bytes were reported, {held} are there")
        data = os.pread(self._result_fd, size, 0)
        if held > _KEEP_RESULT_BYTES:
            os.ftruncate(self._result_fd, _KEEP_RESULT_BYTES)
        return data

    def kill(self) -> None:
        """End the process at once; `on_death` follows when it is really gone."""
        self._process.kill()

    def _kill_late(self) -> None:
        self._late = True
        self.kill()

    def _read(self) -> None:
        try:
            chunk = self._socket.recv(MAX_FRAME)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._end()
            return
        self._received += chunk
        try:
            while (body := self._next_frame()) is not None:
                self._take(self._decoder.decode(body))
        except (msgspec.DecodeError, ValueError):
            self.kill()  # nothing that we wrote sends this: the process runs somebody else's code

    def _next_frame(self) -> bytes | None:
        length = int.from_bytes(self._received[:LENGTH_BYTES], "little")
        if length > MAX_FRAME:
            raise ValueError(f"a frame of {length} bytes")
        if len(self._received) < LENGTH_BYTES + length or not length:
            return None
        body = bytes(self._received[LENGTH_BYTES : LENGTH_BYTES + length])
        del self._received[: LENGTH_BYTES + length]
        return body

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Ready):
            self.is_ready, self.lockdown = True, reply.lockdown
            self._on_ready(self)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(reply)

    def _end(self) -> None:
        """Clean up after the process, whose end of the socket is closed."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        os.close(self._result_fd)
        self._process.kill()
        self._process.join(_REAP_S)
        self.exit_code = self._process.exitcode
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(EncodeProcessDied(late=self._late))
        self._on_death(self)


def _run_child(control: socket.socket) -> None:
    """Be an encode process: a new one calls this, and only there is libvips imported."""
    from app.service import encode_process

    encode_process.run(control)
