"""What the event loop and an encode process say to each other, over one socket.

A frame is four bytes of length (little endian) and a MessagePack struct. The source of a job, and once at the start the
memory file that results are written into, come as file descriptors beside the frame. This module knows no libvips: the
event loop's side imports it.
"""

from typing import Annotated

import msgspec

from pixels.formats import FormatName
from pixels.options import Limits, Options

LENGTH_BYTES = 4
MAX_FRAME = 64 * 1024


class Setup(msgspec.Struct, frozen=True):
    """The first frame; the result file's descriptor comes with it."""

    limits: Limits
    memory_bytes: int


class Job(msgspec.Struct, frozen=True, omit_defaults=True):
    """One picture: `size` bytes behind the file descriptor that comes with the frame.

    `granted_bytes` is the memory it may take, beside what the process holds when it is idle.
    """

    size: int
    options: Options
    deadline_s: float
    granted_bytes: int


#: A process that runs somebody else's code may tell anything; what is no number would spoil every sum that it is in.
_Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The result's facts; its `size` bytes are in the result file. Times in milliseconds."""

    size: int
    format: FormatName
    width: int
    height: int
    quality: int
    original_returned: bool
    distance: _Amount | None
    decode_ms: _Amount
    search_ms: _Amount
    encode_ms: _Amount


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An error of `pixels`: its class name and text."""

    error: str
    message: str


class NeedsMemory(msgspec.Struct, frozen=True, tag="needs"):
    """The job would take more memory than it was granted: its header was read, and nothing decoded."""

    needed_bytes: int


class Lockdown(msgspec.Struct, frozen=True):
    """What keeps an encode process from everything but its work: see `lockdown`.

    Attributes
    ----------
    landlock
        The kernel's landlock ABI that is in force; 0: the kernel has none.
    seccomp
        Whether system calls are filtered.
    """

    landlock: int
    seccomp: bool


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Sent once, when every codec is warm and the limits are on."""

    lockdown: Lockdown


Reply = Done | Failed | NeedsMemory | Ready


def frame(message: msgspec.Struct) -> bytes:
    """Encode a message with its length in front."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body
