"""Mixes can be repeated; scenarios find what a server with known manners does; reports are rendered."""

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perf.load import __file__ as package
from perf.load import result
from perf.load.fleet import Fleet
from perf.load.mixes import MIXES, UploadMix, choose_forever
from perf.load.pictures import Picture, draw_pictures, make_hostile
from perf.load.run import OTHER, Run, Settings, read_rate
from perf.load.samples import Samples
from perf.load.scenarios import fairness, measure_recovery, overload
from perf.load.service import Target, UnknownService, ask_version, check_key
from perf.load.summary import measure
from perf.load.sweep import sweep
from perf.processes import Watch, cpu_s
from tests.perf.stalling import Stalling, serving
from tests.whole.pictures import encoded, photo

GOOD = [Picture(f"{number}.jpg", b"\xff\xd8\xff\xda" + bytes(9), "jpeg", 1.0) for number in range(7)]
HOSTILE = [Picture("odd", b"GIF89a")]
MIX = UploadMix(about="small", variants=({"quality": "75"}, {"quality": "80"}))
QUICK = Settings(duration_s=0.5, warm_up_s=0.1, clients=2, rates=("0.5x",), arrivals="constant", factor=10)


@pytest.fixture(scope="module")
def polite():
    """A server of two slots and 20 ms, so of 100 requests/s, that refuses beyond two waiting."""
    with serving(Stalling(delay_s=0.02, slots=2)) as server:
        yield server


@pytest.fixture(scope="module")
def fleet(polite):
    with Fleet(polite.url, GOOD, size=2, timeout_s=30, poll_s=0.1) as processes:
        yield processes


@pytest.fixture
def run(polite, fleet):
    return Run(Target(url=polite.url, key="a", other_key="b"), fleet, MIX, QUICK)


def tell(scenario, run):
    return {finding.text: finding for finding in scenario(run)}


def test_overload_finds_the_limit_and_the_refusals(run):
    told = tell(overload, run)
    assert 0 < told["accepted at capacity"].value <= 101
    assert told["refusals without Retry-After"].holds
    assert told["requests that failed"].value == 0
    assert "until full speed after the flood" in told
    flood = run.phases[2].streams[0]
    assert flood.offered_per_s > flood.accepted_per_s
    assert flood.refused.count == flood.counts["503"] > 0
    assert sum(flood.counts.values()) == pytest.approx(flood.offered_per_s * QUICK.duration_s)


def test_fairness_has_two_accounts_at_the_same_time(run):
    told = tell(fairness, run)
    assert told["its requests that were refused beside the flood"].value is not None
    flooded = run.phases[2]
    assert [stream.name for stream in flooded.streams] == ["requests", OTHER]
    assert flooded.streams[0].refused.count > 0
    assert flooded.streams[1].load == "closed, 1 client"


def test_a_sweep_offers_what_it_says(run):
    tell(sweep, run)
    capacity, offered = run.phases[1].streams[0], run.phases[2].streams[0]
    assert offered.offered_per_s == pytest.approx(capacity.accepted_per_s / 2, abs=2 / QUICK.duration_s)
    assert offered.load.startswith("open")


def test_the_same_seed_asks_the_same():
    first, second, other = (list(islice(choose_forever(MIX, GOOD, seed), 100)) for seed in ("1", "1", "2"))
    assert first == second
    assert first != other
    assert {choice.variant for choice in first} == {0, 1}
    assert np.bincount([choice.picture for choice in first]).min() >= 14


def test_the_hostile_come_in_their_share_and_only_where_they_are_wanted():
    pictures = GOOD + HOSTILE

    def share(mix):
        chosen = islice(choose_forever(mix, pictures, "1"), 2000)
        return sum(choice.picture == len(GOOD) for choice in chosen) / 2000

    assert share(msgspec.structs.replace(MIX, hostile_share=0.3)) == pytest.approx(0.3, abs=0.05)
    assert share(MIX) == 0


def test_every_mix_finds_drawn_pictures():
    pictures = draw_pictures(max_megapixels=1)
    small = {name for name, mix in MIXES.items() if mix.choose(pictures)}
    assert small == set(MIXES) - {"camera-files"}
    assert draw_pictures(max_megapixels=0.1) == draw_pictures(max_megapixels=0.1) == pictures[:5]
    assert {picture.format for picture in make_hostile(pictures[:1])} == {None}


def test_percentiles_are_of_requests_that_were_made():
    told = measure(np.arange(1, 1001) / 1e3)
    assert (told.p50_ms, told.p99_ms, told.p999_ms, told.max_ms) == (500, 990, 999, 1000)
    assert sum(count for _, count in told.histogram) == told.count == 1000
    assert all(low * 1.04 < high for (low, _), (high, _) in zip(told.histogram, told.histogram[1:], strict=False))


def test_recovery_is_when_results_come_as_fast_as_before():
    def samples(times):
        found = Samples()
        for time_s in times:
            found.add("200", due_s=time_s, lag_s=0, head_s=0, latency_s=0.01, sent=1, received=1)
        return found

    before = samples(np.arange(0, 10, 0.1))
    assert measure_recovery(before, before, 10) == 0
    assert measure_recovery(before, samples(np.arange(3, 10, 0.1)), 10) == pytest.approx(2.8, abs=0.3)
    assert measure_recovery(before, samples(np.arange(0, 10, 0.3)), 10) is None


@pytest.mark.parametrize(("text", "rate"), [("12.5", 12.5), ("0.5x", 50.0)])
def test_rates_are_absolute_or_in_capacities(text, rate):
    assert read_rate(text, 100) == rate


@pytest.mark.parametrize("text", ["fast", "-1", "0x", "x"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        read_rate(text, 100)


def test_the_memory_and_cpu_of_a_tree_are_watched():
    """Also of a child that ends before the watch does."""
    busy = "import time\na = bytearray(60_000_000)\nwhile time.process_time() < 0.6: pass"
    parent = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {busy!r}])\nprint()\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as child:
        with Watch(child.pid) as watch:
            child.stdout.readline()
        spent_s, living_s = watch.cpu_s, cpu_s(child.pid)
        child.kill()
    assert watch.peak_rss_bytes > 60_000_000
    assert spent_s > living_s
    assert spent_s > 0.2
    assert watch.took_s > 0.2
    assert watch.machine_s > 0.9 * spent_s


def test_a_wrong_key_is_told_before_the_run(polite):
    check_key(polite.url, "right")
    with pytest.raises(UnknownService, match="key"):
        check_key(polite.url, "wrong")
    with pytest.raises(UnknownService):
        ask_version("http://127.0.0.1:9")


def test_the_command_asks_a_service_and_its_results_become_a_report(polite, tmp_path):
    kept, folder = tmp_path / "found.json", tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(photo(800, 600), "JPEG"))
    command = [sys.executable, "-m", "perf.load"]
    asked = ["--url", polite.url, "--key", "secret-key", "--images", str(folder), "--duration", "0.4", "--warm-up", "0"]
    rates = ["--rate", "20", "80", "--clients", "2", "--json", str(kept)]
    root = Path(package).parents[2]
    page = subprocess.run(
        [*command, "plain-jpeg", *asked, *rates], cwd=root, check=True, capture_output=True, text=True
    )
    assert "| one client | closed, 1 client |" in page.stdout
    assert result.read(kept).service_version == "1.2.3"
    text = kept.read_text()
    assert "secret-key" not in text
    assert polite.url not in text
    assert str(tmp_path) not in text
    subprocess.run([*command, "report", str(kept), "-o", str(tmp_path / "out")], cwd=root, check=True)
    rendered = (tmp_path / "out" / "load.md").read_text()
    charts = re.findall(r"!\[.+\]\((.+)\)", rendered)
    assert {"load-throughput.svg", "load-latency.svg", "load-bytes.svg"} <= set(charts)
    assert all((tmp_path / "out" / chart).read_text().startswith("<?xml") for chart in charts)
