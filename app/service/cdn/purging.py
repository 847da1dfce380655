"""What a purge names: a source, the beginning of sources, or a tag, in the spelling of the index."""

from typing import Final, get_args

from app.errors import ServiceError, invalid_param
from app.ports.cdn_accounts import CdnAccount
from app.ports.variants import Purge, PurgeBy
from app.service.netguard import HTTP_SCHEMES, MAX_URL_LENGTH, ForbiddenUrl, parse_public_url

FIELDS: Final[tuple[PurgeBy, ...]] = get_args(PurgeBy)
_OWN: Final = "own:"


def read_purge(fields: list[tuple[str, str]], account: CdnAccount) -> Purge:
    """Read the fields of a request.

    Raises
    ------
    ServiceError
        400 `invalid_param`: not exactly one of `FIELDS`, or none that can be the name of anything.
    """
    if len(fields) != 1:
        raise invalid_param("body", f"Name exactly one of: {', '.join(FIELDS)}")
    ((name, value),) = fields
    by = next((known for known in FIELDS if known == name), None)
    if by is None:
        raise invalid_param(name[:40], f"Name exactly one of: {', '.join(FIELDS)}")
    if not 0 < len(value) <= MAX_URL_LENGTH or not value.isprintable() or " " in value:
        raise invalid_param(name, f"Invalid {name}. Use: 1 to {MAX_URL_LENGTH} printable characters without spaces")
    return Purge(account.account, by, value if by == "tag" else _spelt(by, value, account))


def _spelt(by: PurgeBy, value: str, account: CdnAccount) -> str:
    if value.startswith(_OWN):
        if account.bucket_prefix is None:
            raise ServiceError("source_forbidden", "The account has no objects of its own.", param=by)
        return f"{_OWN}{account.bucket_prefix}/{value.removeprefix(_OWN)}"
    if by == "prefix":
        return value
    try:
        return parse_public_url(value, schemes=HTTP_SCHEMES).url
    except ForbiddenUrl as error:
        raise invalid_param(by, str(error)) from None
