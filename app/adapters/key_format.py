"""The text of an API key: how it is made, checked and hashed. Nothing here asks anybody.

A key is ``cz_live_``, 30 random base62 characters (178 bits), and the CRC-32 of all that in 6 base62 characters.
"""

import base64
import hmac
import re
import secrets
import zlib
from typing import Final

#: Length of what is kept to recognise a key by: ``cz_live_`` and 4 of its 36 characters.
SHOWN: Final = 12

_PREFIX: Final = "cz_live_"
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PATTERN: Final = re.compile(_PREFIX + r"[0-9A-Za-z]{36}")
_RANDOM: Final = 30
_CHECKSUM: Final = 6
_SECRET_BYTES: Final = 32


def make_key() -> str:
    """Make a key."""
    body = _PREFIX + _random_text(_RANDOM)
    return body + _checksum(body)


def make_key_id() -> str:
    """Make a key's public id: ``key_`` and 12 base62 characters, unrelated to the key."""
    return "key_" + _random_text(12)


def make_webhook_secret() -> str:
    """Make a webhook secret as Standard Webhooks writes it: ``whsec_`` and the base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def make_signing_key_id() -> str:
    """Make the public id of a key that URLs are signed with: ``cdn_`` and 8 base62 characters."""
    return "cdn_" + _random_text(8)


def make_signing_secret() -> str:
    """Make what URLs are signed with: ``cdnsec_`` and 43 base62 characters, 256 bits; its ASCII is the HMAC's key."""
    return "cdnsec_" + _random_text(43)


def is_well_formed(key: str) -> bool:
    """Whether `key` has the form of a key and its checksum is right."""
    return _PATTERN.fullmatch(key) is not None and _checksum(key[:-_CHECKSUM]) == key[-_CHECKSUM:]


def digest(pepper: bytes, key: str) -> str:
    """Return HMAC-SHA256(pepper, key) in hex: what is kept in place of `key`."""
    return hmac.digest(pepper, key.encode(), "sha256").hex()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    text = ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text
