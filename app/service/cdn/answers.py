"""What an answer is once its bytes are there: its headers, its entity tag, and until when it may be used."""

import hashlib
import math
import time
from typing import Final

import msgspec

from app.errors import ServiceError
from app.ports.variants import Kind, Variant
from app.service.cdn.freshness import grow_older, read_freshness
from app.service.cdn.lifetimes import CacheTimes, cache_control, graces_s
from app.service.cdn.origin import SourceFacts, SourceFile, Unchanged
from app.service.cdn.recipe import Recipe
from app.service.encode_protocol import Done
from app.service.job_reply import savings_percent
from pixels.formats import FORMATS, FormatName

_TAG_CHARACTERS: Final = 16
_ETAG_CHARACTERS: Final = 32
_KIND: Final = "x-variant"


class Lives(msgspec.Struct, frozen=True):
    """How long answers live by the settings; `failure_s` for those that tell of a source that cannot be had."""

    times: CacheTimes
    failure_s: int


def source_tag(source: str) -> str:
    """Name a source in `Surrogate-Key` and `Cache-Tag`: ``source-`` and 16 hex digits of its SHA-256."""
    return f"source-{hashlib.sha256(source.encode()).hexdigest()[:_TAG_CHARACTERS]}"


def make_variant(
    recipe: Recipe,
    key: str,
    source: SourceFile,
    data: bytes,
    facts: Done | None,
    *,
    kind: Kind,
    lives: Lives,
    job: str = "",
) -> Variant:
    """Draw up the variant of `data`; without `facts`, it is the source, cut as the recipe keeps of its metadata.

    `job` is to make a better one.
    """
    canonical = recipe.source.canonical()
    is_short = kind != "final"
    name = source.facts.format if facts is None else facts.format
    headers = {
        "content-type": FORMATS[name].media_type,
        "etag": _etag(key, _name_source(recipe, source) if facts is None else data),
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        _KIND: kind,
        **_negotiated(recipe),
        **_sizes(source.buffer.size, len(data), name),
        **({"x-original-returned": "true"} if facts is None else _facts(facts)),
    }
    made = Variant(
        key=key,
        account=recipe.account.account,
        source=canonical,
        kind=kind,
        made=0,
        fresh_until=0,
        stale_until=0,
        usable_until=0,
        size=len(data),
        etag=headers["etag"],
        headers=tuple(headers.items()),
        source_digest=source.facts.digest,
        job=job,
    )
    return renew(made, source.facts, lives, is_short=is_short)


def renew(variant: Variant, source: SourceFacts | Unchanged, lives: Lives, *, is_short: bool = False) -> Variant:
    """Let a variant live anew from now on, under the tags that its source has now."""
    now, times = time.time(), lives.times
    source_headers = grow_older(source.headers, by_s=now - source.asked_at)
    freshness = read_freshness(source_headers, now)
    lifetime_s = times.interim_s if is_short else times.s_maxage_s
    fresh_until = now + lifetime_s if freshness.fresh_until is None else min(freshness.fresh_until, now + lifetime_s)
    fresh_until = max(now, fresh_until)
    stale_s, error_s = graces_s(freshness, times)
    tags = variant.tags if source.tags is None else (source_tag(variant.source), *source.tags)
    headers = dict(variant.headers) | {
        "cache-control": cache_control(freshness, times, now=now, interim=is_short),
        "surrogate-key": " ".join(tags),
        "cache-tag": ",".join(tags),
    }
    return msgspec.structs.replace(
        variant,
        made=now,
        fresh_until=fresh_until,
        stale_until=fresh_until + stale_s,
        # With a second to spare: what is always stale is kept all the same, to be asked about by its entity tag.
        usable_until=fresh_until + max(stale_s, error_s, lives.failure_s),
        headers=tuple(headers.items()),
        tags=tags,
        source_headers=tuple(source_headers.items()),
    )


def renew_unasked(variant: Variant, lives: Lives) -> Variant:
    """Let an interim answer live for another moment, as far as its source lets it without being asked again."""
    # Rounded up to whole seconds, in which ages are counted: one such renewal may follow the other.
    asked_at = time.time() - math.ceil(time.time() - variant.made)
    return renew(variant, Unchanged(dict(variant.source_headers), asked_at), lives, is_short=True)


def may_be_used_unasked(variant: Variant) -> bool:
    """Whether the source, as it was asked last, lets it be used when it was made; the settings may say shorter."""
    told = read_freshness(dict(variant.source_headers), variant.made)
    return told.is_fresh(variant.made, variant.made, math.inf)


def stands_in_until(variant: Variant, lives: Lives) -> float:
    """Return the Unix second until which it may be the answer though its source cannot be had: `renew` keeps longer."""
    grace_s = max(graces_s(read_freshness(dict(variant.source_headers), variant.made), lives.times))
    return variant.usable_until - max(0, lives.failure_s - grace_s)


def promote(variant: Variant) -> Variant:
    """Let an interim answer stand as the final one: nothing better has come of it."""
    headers = dict(variant.headers) | {_KIND: "final"}
    return msgspec.structs.replace(variant, kind="final", job="", headers=tuple(headers.items()))


def is_storable(variant: Variant) -> bool:
    """Whether a shared cache may keep it."""
    return read_freshness(dict(variant.source_headers), variant.made).storable


def make_failure(recipe: Recipe, key: str, error: ServiceError, lives: Lives) -> Variant:
    """Draw up what stands for a source that cannot be had, for a short while."""
    now = time.time()
    until = now + lives.failure_s
    canonical = recipe.source.canonical()
    return Variant(
        key=key,
        account=recipe.account.account,
        source=canonical,
        kind="failure",
        made=now,
        fresh_until=until,
        stale_until=until,
        usable_until=until,
        # Another client may show the format that this one had to be refused.
        headers=tuple(_negotiated(recipe).items()),
        tags=(source_tag(canonical),),
        failure=(error.code, error.message),
    )


def failure_of(variant: Variant, now: float) -> ServiceError:
    """Tell a failure that was kept."""
    left_s = max(0, int(variant.fresh_until - now))
    code, message = variant.failure
    return ServiceError(code, message, headers={"Cache-Control": f"public, max-age={left_s}", **dict(variant.headers)})


def _negotiated(recipe: Recipe) -> dict[str, str]:
    told = {"vary": ", ".join(recipe.negotiated.vary), "accept-ch": recipe.negotiated.accept_ch}
    return {name: value for name, value in told.items() if value}


def _sizes(original: int, compressed: int, name: FormatName) -> dict[str, str]:
    return {
        "x-original-size": str(original),
        "x-compressed-size": str(compressed),
        "x-savings-percent": str(savings_percent(original, compressed)),
        "x-format": name,
    }


def _facts(facts: Done) -> dict[str, str]:
    told = {"x-width": str(facts.width), "x-height": str(facts.height), "x-quality": str(facts.quality)}
    if facts.distance is not None:
        told["x-distance"] = f"{facts.distance:.3f}"
    if facts.original_returned:
        told["x-original-returned"] = "true"
    return told


def _name_source(recipe: Recipe, source: SourceFile) -> bytes:
    """Name what is answered of a source: its digest is known, and no second one of half a megabyte is made."""
    keep = recipe.options.keep
    return (source.facts.digest if keep == "all" else f"{source.facts.digest} keep:{keep}").encode()


def _etag(key: str, data: bytes) -> str:
    """Name these very bytes, or those of which they are the digest; `key` has the options and the encoders' version."""
    digest = hashlib.sha256(key.encode())
    digest.update(data)
    return f'"{digest.hexdigest()[:_ETAG_CHARACTERS]}"'
