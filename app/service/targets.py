"""The two addresses that a request may name, judged by their text; `netguard` has the rules."""

from app.errors import ServiceError, invalid_param
from app.service.netguard import HTTP_SCHEMES, HTTPS_ONLY, ForbiddenUrl, parse_public_url


def check_webhook_url(url: str) -> None:
    """Refuse a webhook address that is not https and public.

    Raises
    ------
    ServiceError
        400 `invalid_param`.
    """
    try:
        parse_public_url(url, schemes=HTTPS_ONLY)
    except ForbiddenUrl as error:
        raise invalid_param("webhook_url", str(error)) from None


def check_source_url(url: str) -> None:
    """Refuse an image address that is not http or https and public.

    Raises
    ------
    ServiceError
        400 `invalid_url`.
    """
    try:
        parse_public_url(url, schemes=HTTP_SCHEMES)
    except ForbiddenUrl as error:
        raise ServiceError("invalid_url", str(error), param="url") from None
