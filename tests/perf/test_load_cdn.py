"""GETs of signed URLs are asked for as browsers do, and the scenarios find what a real service does with them."""

import sys
import time
from collections import Counter
from itertools import islice, pairwise

import msgspec
import pytest

from app.ports.cdn_accounts import CdnAccount
from app.service.cdn.source import parse_origin, read_source
from perf import processes
from perf.cdn_customer import CdnCustomer, create_customer
from perf.load import __main__ as command
from perf.load import result
from perf.load.browsers import SHARES
from perf.load.cdn_scenarios import hits, misses
from perf.load.filling import Unfilled
from perf.load.fleet import Fleet
from perf.load.pictures import Picture
from perf.load.run import Run, Settings
from perf.load.service import Target, UnknownService, check_customer, name_sources
from perf.load.visits import CDN_MIXES, CdnMix, Visits
from perf.running import RunningService
from tests.whole.pictures import encoded, photo

PHOTO = encoded(photo(630, 400), "JPEG", quality=90)
PICTURES = [Picture("a.jpg", PHOTO, "jpeg", 0.252)]
SIGNER = CdnCustomer("cdn_key", "secret", ("own:a", "own:b", "own:c"))
THREE = [Picture(name, b"\xff\xd8", "jpeg", 1.0) for name in "abc"]
MIX = CdnMix(about="small", options=("f:auto,q:50,w:64", "f:jpeg,q:50,w:96"), changed_share=0.4, begin_share=0.2)
QUICK = Settings(duration_s=1.2, warm_up_s=0, clients=2, rates=(), is_unique=False)


@pytest.fixture(scope="module")
def target():
    """A service that keeps one picture of a customer's own."""
    with RunningService() as service:
        url = f"http://127.0.0.1:{service.port}"
        yield Target(url=url, customer=create_customer(service, [PHOTO]), pid=service.pid)


@pytest.fixture(scope="module")
def fleet(target):
    with Fleet(target.url, PICTURES, size=1, timeout_s=60, poll_s=1) as processes:
        yield processes


def paths(visits, seed, count):
    return [visit.link.path for visit in islice(visits.prepare(THREE, seed), count)]


def test_hits_are_all_answered_from_what_is_kept(target, fleet):
    run = Run(target, fleet, MIX, QUICK)
    told = {finding.text: finding for finding in hits(run)}
    assert told["X-Cache: hit"].value == 1
    assert told["X-Cache: miss"].value == 0
    assert told["requests that failed"].holds
    # Of the few that a busy machine answers in this time, shares are about those of the mix, and no more.
    assert 0 < told["unchanged, 304"].value < 0.7
    assert 0 < told["first bytes only, 206"].value < 0.5
    streams = [stream for phase in run.phases for stream in phase.streams]
    assert {status for stream in streams for status in stream.counts} == {"200", "206", "304"}
    assert {variant for stream in streams for variant in stream.variants} == {"final"}
    assert all(phase.service.cpu_s > 0 for phase in run.phases)


def test_misses_are_all_made_and_told_apart_by_what_was_ready_in_time(target, fleet):
    run = Run(target, fleet, MIX, msgspec.structs.replace(QUICK, is_unique=True))
    told = {finding.text: finding.value for finding in misses(run)}
    [stream] = run.phases[0].streams
    assert set(stream.cache) == {"miss"}
    assert set(stream.variants) <= {"final", "interim", "original"}
    assert sum(stream.variants.values()) == sum(stream.counts.values()) > 0
    shares = [told[f"X-Variant: {name}, one client"] for name in ("final", "interim", "original")]
    assert sum(shares) == pytest.approx(1, abs=0.01)


def test_what_cannot_be_kept_ends_the_run_before_it_is_measured(target, fleet):
    nowhere = msgspec.structs.replace(target.customer, sources=("own:none",))
    run = Run(msgspec.structs.replace(target, customer=nowhere), fleet, MIX, QUICK)
    with pytest.raises(Unfilled, match="404"):
        run.fill()


@pytest.mark.parametrize(("change", "told"), [({"secret": "x"}, "403.*key"), ({"sources": ("own:none",)}, "404.*name")])
def test_a_customer_that_is_not_served_is_told_before_the_run(target, change, told):
    check_customer(target.url, target.customer)
    with pytest.raises(UnknownService, match=told):
        check_customer(target.url, msgspec.structs.replace(target.customer, **change))


def test_the_command_raises_a_storm_on_a_service_elsewhere(target, tmp_path, monkeypatch, capsys):
    """Its own pictures lie at the service under the names that they have here."""
    kept, folder = tmp_path / "found.json", tmp_path / "pictures"
    folder.mkdir()
    (folder / "0").write_bytes(PHOTO)
    key_id, secret = target.customer.key_id, target.customer.secret
    there = ["--url", target.url, "--cdn-key", f"{key_id}:{secret}", "--cdn-source", "own:", "--pid", str(target.pid)]
    quick = ["--images", str(folder), "--duration", "0.5", "--warm-up", "0", "--hits", "40", "--storm", "10"]
    monkeypatch.setattr(sys, "argv", ["perf.load", "cdn-storm", *there, *quick, "--json", str(kept)])
    command.main()
    assert "| hits beside a storm: storm" in capsys.readouterr().out
    assert secret not in kept.read_text()
    found = result.read(kept)
    names = ["hits alone", "hits beside busy strangers", "hits beside a storm", "hits afterwards"]
    assert [phase.name for phase in found.phases] == names
    values = {finding.text: finding.value for finding in found.findings}
    assert values["hits that were refused, rejected or failed"] == 0
    assert values["hits beside the storm that were none"] == 0
    assert values["p99 of the hits beside the storm, over alone"] > 0
    assert values["URLs of the storm"] == 10
    assert sum(value for text, value in values.items() if text.startswith("of these, ")) == 10
    monkeypatch.setattr(sys, "argv", ["perf.load", "report", str(kept), "-o", str(tmp_path / "out")])
    command.main()
    assert (tmp_path / "out" / "load-timelines.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--url", "http://127.0.0.1:9"], "--cdn-key"),
        (["--cdn-key", "a:b", "--cdn-source", "own:"], "--url"),
        (["--cdn-key", "a"], "a colon"),
        (["--cdn-source", "/pictures"], "https://"),
        (["--mix", "web-photos"], "unrecognized"),
    ],
)
def test_what_is_missing_for_a_service_elsewhere_is_told(monkeypatch, capsys, arguments, told):
    monkeypatch.setattr(sys, "argv", ["perf.load", "cdn-hits", *arguments])
    with pytest.raises(SystemExit):
        command.main()
    assert told in capsys.readouterr().err


def test_the_same_seed_asks_for_the_same_urls_of_which_some_are_popular():
    visits = Visits(MIX, SIGNER, is_unique=False)
    first, second, other = (paths(visits, seed, 3000) for seed in ("1", "1", "2"))
    assert first == second
    assert first != other
    counts = Counter(first).most_common()
    assert len(counts) == 6
    assert all(before > after for (_, before), (_, after) in pairwise(counts))
    assert [path for path, _ in counts] == [path for path, _ in Counter(other).most_common()]
    assert counts[0][1] == pytest.approx(3000 / sum(1 / rank for rank in range(1, 7)), rel=0.1)


def test_no_unique_url_comes_twice_nor_does_other_work():
    visits = Visits(MIX, SIGNER, is_unique=True)
    new = paths(visits, "1", 3000)
    assert len(set(new)) == 3000
    plain = Visits(MIX, SIGNER, is_unique=False)
    assert [path.split("/")[3].partition(",h:")[0] for path in new] == [
        path.split("/")[3] for path in paths(plain, "1", 3000)
    ]
    assert min(int(path.partition(",h:")[2].partition("/")[0]) for path in new) >= 6000


def test_browsers_ask_with_their_headers_and_for_changes_only_of_what_they_have():
    asked = list(islice(Visits(MIX, SIGNER, is_unique=False).prepare(THREE, "1"), 2000))
    accepts = Counter(visit.headers()["Accept"] for visit in asked)
    assert {accept: count / 20 for accept, count in accepts.items()} == pytest.approx(SHARES, abs=4)
    manners = Counter(visit.manner for visit in asked)
    assert manners["changed"] / 2000 == pytest.approx(0.4, abs=0.05)
    assert manners["begin"] / 2000 == pytest.approx(0.2, abs=0.05)
    changed = next(visit for visit in asked if visit.manner == "changed")
    assert set(changed.headers()) == {"Accept"}
    changed.link.etag = '"a"'
    assert changed.headers()["If-None-Match"] == '"a"'
    assert all("Range" in visit.headers() for visit in asked if visit.manner == "begin")


@pytest.mark.parametrize(
    ("prefix", "name", "canonical"),
    [
        ("own:", "a.jpg", "own:acme/a.jpg"),
        ("own:shop/new", "a.jpg", "own:acme/shop/new/a.jpg"),
        ("https://img.example.com/new/", "a b.jpg", "https://img.example.com/new/a%20b.jpg"),
    ],
)
def test_a_source_is_named_as_the_service_reads_it(prefix, name, canonical):
    account = CdnAccount("ada", origins=(parse_origin("https://img.example.com"),), bucket_prefix="acme")
    [source] = name_sources(prefix, [name])
    assert read_source(source, account).canonical() == canonical
    assert CdnCustomer("cdn_key", "secret", (source,)).sign("f:auto").endswith(f"/f:auto/{source}")


def test_both_mixes_ask_for_the_same_pictures():
    pictures = [Picture(f"{number}.jpg", b"", "jpeg", 0.2 + number / 10) for number in range(40)]
    kept, new = (mix.choose(pictures) for mix in CDN_MIXES.values())
    assert kept == new
    assert len(kept) == 12


def test_idle_is_when_no_time_is_spent(monkeypatch):
    """A process that ends takes its time with it, and the sum shrinks."""
    spent_s = iter([5.0, 6.0, 2.0, 3.0, 3.0])
    monkeypatch.setattr(processes, "cpu_s", lambda root: next(spent_s))
    monkeypatch.setattr(processes, "_IDLE_WINDOW_S", 0.01)
    begun = time.monotonic()
    assert begun + 0.03 <= processes.wait_until_idle(1, most_s=60) <= time.monotonic()
    busy_s = iter(range(1000))
    monkeypatch.setattr(processes, "cpu_s", lambda root: next(busy_s))
    assert processes.wait_until_idle(1, most_s=0.05) is None
