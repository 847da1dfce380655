"""Works are settled, done in rounds and written up; what a peer cannot do is told, and the others go on."""

import random
import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from perf.peers import install
from perf.peers.__main__ import PEERS, install_all
from perf.peers.clients import Request, send_all
from perf.peers.matching import Matched, bracket, match
from perf.peers.peer import NotInstalled, Peer, Picture, Turn
from perf.peers.ratios import find_ratio, find_spread
from perf.peers.report import render
from perf.peers.result import WorkResult, keep_result, read_results
from perf.peers.rounds import Found, Row, do_work
from perf.peers.works import WORKS, Contestant, Work, enter
from perf.quality.images import decode
from perf.quality.judge import choose_judge
from pixels.options import Limits
from pixels.vips import pyvips
from tests.pixels.pictures import encoded, photo

OURS = choose_judge("ours")


class Local(Peer):
    """A peer in this process, with libjpeg's own tables."""

    setup = "in this process"
    wall_s = 0.1

    def __init__(self, title="local", *, fails_at=None, log=None):
        self.title = self.encoder = title
        self.log = [] if log is None else log
        self.fails_at = fails_at

    def install(self):
        return "1.0"

    def run(self, folder):
        return nullcontext()

    def fetch(self, picture, task):
        if self.fails_at == "fetch":
            raise RuntimeError("answered 500")
        quality = 60 if task.quality is None else task.quality
        options = {"optimize_coding": True} if self.title == "local" else {"quant_table": 3}
        return bytes(pyvips.Image.new_from_buffer(picture.data, "").jpegsave_buffer(Q=quality, keep=0, **options))

    def work(self, jobs):
        self.log.append(self.title)
        if self.fails_at == len(self.log):
            raise RuntimeError("answered 503")
        return Turn(len(jobs), self.wall_s * len(jobs), 0.05 * len(jobs))


class Missing(Local):
    def install(self):
        raise NotInstalled("npm is not installed")


def picture(name="a.jpg"):
    data = encoded(photo(96, 64), "jpeg", quality=95)
    return Picture(name, data, decode(data, Limits()))


def row(title, images_per_s, **changes):
    found = {"cpu_ms": [10.0, 10.0], "bytes": [1000], "distances": [1.2], "qualities": [75]}
    return Row(title=title, images_per_s=images_per_s, **(found | changes))


def result(rows, *, missing=None, notes=()):
    return WorkResult.now(
        Found(["a.jpg"], rows, list(notes)),
        judge="ours",
        load=0.5,
        peers={"ours": "1.0"},
        missing=missing or {},
    )


def test_the_quartiles_are_those_of_the_numbers_themselves():
    assert find_spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)
    assert find_spread([2.0]) == (2.0, 2.0, 2.0)


def test_ratios_are_of_pairs_before_they_are_summed_up():
    """The machine was half as fast in the second round, for both: the ratio is the same."""
    assert find_ratio([100.0, 50.0], [50.0, 25.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="shorter"):
        find_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize("seed", range(5))
def test_halving_ends_at_the_two_qualities_around_the_distance(seed):
    numbers = random.Random(seed)  # noqa: S311 - not for secrets
    falling = sorted((numbers.uniform(0.1, 5) for _ in range(100)), reverse=True)
    wanted = numbers.uniform(falling[98], falling[2])
    tried = []

    def measure(quality):
        tried.append(quality)
        return falling[quality]

    low, high = bracket(measure, wanted, 1, 99)
    assert high == low + 1
    assert falling[low] > wanted >= falling[high]
    assert len(tried) <= 7


@pytest.mark.parametrize(("wanted", "ends"), [(0.01, (98, 99)), (9.0, (1, 2))])
def test_a_distance_out_of_reach_ends_at_the_nearest_qualities(wanted, ends):
    assert bracket(lambda quality: 5 - quality / 20, wanted, 1, 99) == ends


def test_an_encoder_is_matched_to_itself_at_the_same_quality():
    source, peer = picture(), Local()
    task = Contestant("local", peer).task
    data = peer.fetch(source, task(WORKS[0], 71))
    wanted = Matched(None, data, OURS.compare(*(one.numpy() for one in (source.image, decode(data, Limits())))))
    found = match(source, "jpeg", lambda quality: peer.fetch(source, task(WORKS[0], quality)), wanted, OURS)
    assert found == Matched(71, data, wanted.distance)


def test_the_source_itself_matches_nothing():
    source = picture()
    assert match(source, "jpeg", pytest.fail, Matched(100, source.data, 0.0), OURS) is None


def test_turns_rotate_and_every_contestant_has_one_a_round():
    log = []
    contestants = [Contestant(name, Local(name, log=log)) for name in ("a", "b", "c")]
    found = do_work(WORKS[0], contestants, [picture()], OURS, rounds=3, turn_s=0.1)
    # Before the rounds, each warms up and is timed.
    assert "".join(log[6:]) == "abcbcacab"
    assert [len(one.images_per_s) for one in found.rows] == [3, 3, 3]
    assert found.rows[0].cpu_ms == [50.0] * 3
    assert not found.notes


@pytest.mark.parametrize(("wall_s", "rounds"), [(9.0, 9), (18.0, 5), (80.0, 3)])
def test_where_a_turn_is_long_there_are_fewer_rounds(wall_s, rounds):
    peer = Local()
    peer.wall_s = wall_s
    found = do_work(WORKS[0], [Contestant("slow", peer)], [picture()], OURS, rounds=9, turn_s=0.1)
    assert len(found.rows[0].cpu_ms) == rounds


def test_others_are_matched_to_the_distance_of_smart():
    contestants = [Contestant("ours, smart", Local(), "smart"), Contestant("other", Local("other"))]
    smart, other = do_work(Work("jpeg", "", "jpeg"), contestants, [picture()], OURS, rounds=1, turn_s=0.1).rows
    assert smart.qualities == [None]
    assert other.qualities[0] in range(40, 90)
    assert other.distances[0] == pytest.approx(smart.distances[0], rel=0.04)


def test_where_smart_returns_the_source_there_is_nothing_to_compare():
    keeping = Local()
    keeping.fetch = lambda picture, task: picture.data
    contestants = [Contestant("ours, smart", keeping, "smart"), Contestant("other", Local("other"))]
    found = do_work(Work("jpeg", "", "jpeg"), contestants, [picture()], OURS, rounds=1, turn_s=0.1)
    assert not found.rows
    assert found.notes == ["a.jpg: ours returned the source, which cannot be matched."]


@pytest.mark.parametrize(("fails_at", "reason"), [("fetch", "answered 500"), (1, "answered 503"), (3, "answered 503")])
def test_who_fails_is_left_out_with_the_reason_and_the_others_go_on(fails_at, reason):
    contestants = [Contestant("good", Local("good")), Contestant("bad", Local("bad", fails_at=fails_at))]
    found = do_work(WORKS[0], contestants, [picture()], OURS, rounds=3, turn_s=0.1)
    assert [one.title for one in found.rows] == ["good"]
    assert found.notes == [f"bad: {reason}."]


def test_a_peer_that_cannot_be_installed_is_told_and_the_others_go_on():
    there, missing = install_all([Missing("ipx"), Local("sharp")])
    assert [(peer.title, versions) for peer, versions in there] == [("sharp", "1.0")]
    assert missing == {"ipx": "npm is not installed"}
    page = render({"plain": result([row("ours", [100.0])], missing=missing)}, [Local("ours"), Missing("ipx")])
    assert "| ipx | **missing**: npm is not installed |" in page
    assert "- ipx is missing: npm is not installed." in page


def test_no_npm_means_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="is not installed"):
        install.install_node()


def test_a_failed_install_points_to_its_log_and_is_tried_again(monkeypatch, tmp_path):
    """What pip and npm say may name hosts of registries, which the page must not."""
    monkeypatch.setattr(install, "FOLDER", tmp_path / ".peers")
    monkeypatch.setattr(install, "PINS", tmp_path)
    monkeypatch.setattr(install.sys, "executable", "/bin/false")
    (tmp_path / "requirements-x.txt").write_text("")
    for _ in range(2):
        with pytest.raises(NotInstalled, match=r"^false failed with status 1: see \.peers/x/install\.log$"):
            install.install_python("x")


def test_what_is_installed_but_does_not_run_is_missing(tmp_path):
    with pytest.raises(NotInstalled, match="does not run here: false ended with 1"):
        install.ask(["false"], tmp_path)


def test_the_table_holds_ours_against_each_row():
    slow = row("sharp", [50.0, 20.0], cpu_ms=[20.0, 40.0], bytes=[2000], distances=[])
    page = render({"plain": result([row("ours", [100.0, 60.0]), slow], notes=["a note."])}, [Local("ours")])
    assert "| ours | 80.0 | 1 | 10.0 | 1 | 1.0 | 1 | 1.200 | 1 | 75 |" in page
    assert "| sharp | 35.0 | 2.50 (2.25-2.75) | 30.0 | 0.38 (0.31-0.44) | 2.0 | 0.50 (0.50-0.50) |  |  | 75 |" in page
    assert "- a note." in page


def test_a_part_of_the_works_leaves_what_others_found(tmp_path):
    kept = tmp_path / "results.json"
    assert read_results(kept) == {}
    keep_result(kept, WORKS[0], result([row("ours", [1.0])]))
    keep_result(kept, WORKS[1], result([row("ours", [2.0])]))
    keep_result(kept, WORKS[0], result([row("ours", [3.0])]))
    assert {name: one.found.rows[0].images_per_s for name, one in read_results(kept).items()} == {
        WORKS[0].name: [3.0],
        WORKS[1].name: [2.0],
    }


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_mozjpeg_enters_for_jpegs_and_smart_only_where_others_are_matched_to_it(work):
    titles = [one.title for one in enter(work, [peer() for peer in PEERS])]
    assert titles[0] == ("ours" if work.quality else "ours, smart")
    assert ("sharp, mozjpeg: true" in titles) == (work.format == "jpeg" and not work.only_ours)
    assert "raw libvips (bound)" in titles
    assert len(titles) == len(set(titles))


@pytest.fixture
def counting_server():
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append((self.path, self.client_address))
            self.send_response(200 if self.path.startswith("/ok") else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1], seen
        server.shutdown()


def test_clients_send_each_request_once_and_keep_their_connections(counting_server):
    port, seen = counting_server
    send_all(port, [Request(f"/ok{number}") for number in range(40)], clients=4)
    assert sorted(path for path, _ in seen) == sorted(f"/ok{number}" for number in range(40))
    assert len({address for _, address in seen}) <= 4


def test_an_answer_other_than_200_is_no_result(counting_server):
    with pytest.raises(RuntimeError, match="answered 500"):
        send_all(counting_server[0], [Request("/bad")] * 3, clients=2)
