"""Who is asking: `Authorization: Bearer KEY`, checked before anything else is looked at."""

from app.errors import ServiceError
from app.ports.keys import ApiKey, Keys, KeysUnavailable

_UNAUTHORIZED_HEADERS = {"WWW-Authenticate": "Bearer"}


async def authenticate(authorization: str | None, keys: Keys) -> ApiKey:
    """Find the key that a request's `Authorization` header carries.

    Raises
    ------
    ServiceError
        401 `unauthorized`: none, malformed, unknown or revoked. 503 `unavailable`: it cannot be looked up now.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("Missing API key. Send it as 'Authorization: Bearer YOUR_API_KEY'.")
    try:
        found = await keys.find(key.strip())
    except KeysUnavailable:
        raise ServiceError(
            "unavailable", "API keys cannot be checked right now. Try again.", headers={"Retry-After": "2"}
        ) from None
    if found is None:
        raise _unauthorized("Invalid API key.")
    return found


def _unauthorized(message: str) -> ServiceError:
    return ServiceError("unauthorized", message, headers=dict(_UNAUTHORIZED_HEADERS))
