"""THE error table: every error a client can see, in one shape, mapped once."""

from typing import Any, Final

from pixels import errors as pixels_errors

#: Code -> HTTP status. The published table first, then what the contract adds.
STATUS: Final[dict[str, int]] = {
    "missing_source": 400,
    "invalid_param": 400,
    "invalid_url": 400,
    "unauthorized": 401,
    "file_too_large": 413,
    "unsupported_format": 415,
    "fetch_failed": 422,
    "not_ready": 422,
    "rate_limit_exceeded": 429,
    "compression_failed": 500,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "idempotency_conflict": 409,
    "image_too_large": 413,
    "decode_failed": 422,
    "overloaded": 503,
    "unavailable": 503,
    "link_invalid": 403,
    "bad_signature": 403,
    "source_forbidden": 403,
    "source_failed": 502,
    "range_not_satisfiable": 416,
}

_OF_PIXELS: Final[dict[type[Exception], str]] = {
    pixels_errors.UnsupportedFormat: "unsupported_format",
    pixels_errors.ImageTooLarge: "image_too_large",
    pixels_errors.DecodeFailed: "decode_failed",
    pixels_errors.EncodeFailed: "compression_failed",
}


class ServiceError(Exception):
    """An error that a client is told: a code of `STATUS`, a sentence, and maybe the parameter it is about.

    Attributes
    ----------
    headers
        Extra response headers, such as ``Retry-After`` in seconds.
    """

    def __init__(
        self, code: str, message: str, *, param: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status of this error's code."""
        return STATUS[self.code]

    def body(self) -> dict[str, Any]:
        """The one error shape, ready for JSON."""
        error = {"code": self.code, "message": self.message}
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}


def of_pixels(name: str, message: str) -> ServiceError:
    """Map an error of `pixels` by its class name, as an encode process reports it."""
    for kind, code in _OF_PIXELS.items():
        if kind.__name__ == name:
            return ServiceError(code, message)
    return ServiceError("compression_failed", "Compression failed. Try again.")


def invalid_param(param: str, message: str) -> ServiceError:
    """400 that names the parameter."""
    return ServiceError("invalid_param", message, param=param)


def unavailable() -> ServiceError:
    """503 for a job that cannot be taken, looked up or fetched now."""
    return ServiceError("unavailable", "Jobs cannot be handled right now. Try again.", headers={"Retry-After": "2"})
