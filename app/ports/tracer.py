"""Traces: what one request went through, from process to process."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, Protocol

from app.ports.meter import Stage

#: Whose side a span is: of a request that came, of one that was sent, of something put in a queue or taken from one, or
#: neither.
Kind = Literal["server", "client", "consumer", "internal"]


class Span(Protocol):
    """Something under way."""

    def rename(self, name: str) -> None:
        """Call it otherwise, once more is known."""
        ...

    def note(self, name: str, value: str | int | float) -> None:
        """Tell something of it; nothing that is secret, and no address of a customer."""
        ...

    def fail(self, reason: str) -> None:
        """Mark it as failed, by a short and fixed reason."""
        ...


class Tracer(Protocol):
    """Records spans. Nothing here waits or raises."""

    def span(self, name: str, *, kind: Kind = "internal", parent: str = "") -> AbstractContextManager[Span]:
        """Record what happens within; what raises has failed.

        Parameters
        ----------
        parent
            A W3C `traceparent` that it belongs under; else, and where that is none, what is under way here.
        """
        ...

    def add_stages(self, stages_ms: Mapping[Stage, float], format_name: str) -> None:
        """Record what has just ended, under what is under way: stages that came one after the other."""
        ...

    def context(self) -> str:
        """What is under way here as a `traceparent`, for another process; empty where nothing is recorded."""
        ...


class _NoSpan:
    def rename(self, name: str) -> None:
        return

    def note(self, name: str, value: str | int | float) -> None:
        return

    def fail(self, reason: str) -> None:
        return


_NO_SPAN: Final[AbstractContextManager[Span]] = nullcontext(_NoSpan())


class _Untraced:
    """The tracer of a process that sends its traces nowhere."""

    def span(self, name: str, **_: object) -> AbstractContextManager[Span]:
        return _NO_SPAN

    def add_stages(self, stages_ms: Mapping[Stage, float], format_name: str) -> None:
        return

    def context(self) -> str:
        return ""


UNTRACED: Final[Tracer] = _Untraced()
