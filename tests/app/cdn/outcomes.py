"""What a call comes to, for tests in which chance decides what that is."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from app.errors import ServiceError

Given = ParamSpec("Given")
Found = TypeVar("Found")


def outcome(call: Callable[Given, Found], *args: Given.args, **named: Given.kwargs) -> Found | ServiceError:
    """Return what `call` returns, or the ServiceError that it raises."""
    try:
        return call(*args, **named)
    except ServiceError as refused:
        return refused
