"""Content codings are undone whatever the pieces, and a body that lies about its coding is refused."""

import gzip
import itertools
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.content_coding import PIECE_BYTES, BadCoding, decoder_for


def bare_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate ": bare_deflate,
}


def decoded(coding: str, *chunks: bytes) -> bytes:
    decoder = decoder_for([coding])
    pieces = [piece for chunk in chunks if chunk for piece in decoder.decode(chunk)]
    decoder.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("coding", ENCODERS)
@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=200), times=st.integers(1, 2000), cuts=st.sets(st.integers(1, 300)))
def test_what_was_encoded_comes_back_however_it_is_cut(coding: str, data: bytes, times: int, cuts: set[int]) -> None:
    encoded = ENCODERS[coding](data * times)
    places = [0, *sorted(cuts), len(encoded)]
    assert decoded(coding, *(encoded[a:b] for a, b in itertools.pairwise(places))) == data * times


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate "])
@pytest.mark.parametrize("size", [*range(PIECE_BYTES - 2, PIECE_BYTES + 3), PIECE_BYTES + 100, 50 * PIECE_BYTES])
def test_no_piece_is_larger_than_told_and_none_is_left_inside(coding: str, size: int) -> None:
    decoder = decoder_for([coding])
    pieces = list(decoder.decode(ENCODERS[coding](bytes(size))))
    decoder.finish()
    assert b"".join(pieces) == bytes(size)
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize(
    "codings", [["br"], ["zstd"], ["compress"], ["gzip, gzip"], ["gzip", "deflate"], ["gzip, identity"], ["\x00"]]
)
def test_other_codings_and_several_are_refused(codings: list[str]) -> None:
    with pytest.raises(BadCoding, match="other than gzip or deflate"):
        decoder_for(codings)


@pytest.mark.parametrize("codings", [[], [""], ["identity"], [" , "]])
def test_no_coding_leaves_a_body_as_it_is(codings: list[str]) -> None:
    assert list(decoder_for(codings).decode(b"\x1f\x8b")) == [b"\x1f\x8b"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "Deflate "])
def test_a_body_that_is_cut_short_or_goes_on_or_is_no_such_thing_is_refused(coding: str) -> None:
    encoded = ENCODERS[coding](bytes(range(256)))
    for wrong in ([encoded[:-1]], [encoded + b"more"], [encoded, b"more"], [b"<html>" * 100]):
        with pytest.raises(BadCoding):
            decoded(coding, *wrong)
