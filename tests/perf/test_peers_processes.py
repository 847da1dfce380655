"""A peer's processes: what they spent is counted, and none is left behind."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from perf.peers.clients import Request
from perf.peers.peer import Server
from perf.processes import cpu_s

#: Works in a thread, then in a child's thread, says what both took, and waits to be measured.
_PROGRAM = """
import subprocess, sys, threading, time

def work():
    while time.process_time() < 0.1:
        pass

thread = threading.Thread(target=work)
thread.start()
thread.join()
child = None
if len(sys.argv) > 1:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
print(time.process_time(), flush=True)
sys.stdin.readline()
if child:
    child.communicate()
"""


def test_threads_that_have_ended_and_children_count():
    """Encoders of AV1 start threads for each image: what lives tells little of what was spent."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        own_s = float(process.stdout.readline())
        assert cpu_s(process.pid) >= own_s + 0.1
    finally:
        process.communicate("\n")
    assert cpu_s(process.pid) == 0


#: Starts a process that does not end with it, and serves.
_SERVER = """
import http.server, subprocess, sys
print(subprocess.Popen(["sleep", "60"]).pid, file=open("child", "w"), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


class Small(Server):
    title = encoder = "small"
    setup = ""

    def install(self):
        return ""

    def run(self, folder, program=_SERVER):
        return self.serve([sys.executable, "-c", program, "PORT"], {}, folder, "/")

    def ask(self, picture, task):
        return Request("/child")


def test_nothing_is_left_of_a_peer_whose_workers_outlive_it(tmp_path):
    peer = Small()
    with peer.run(tmp_path):
        child = Path("/proc", (tmp_path / "child").read_text().strip())
        assert child.exists()
        assert peer.fetch(None, None).decode().strip() == child.name
    end = time.monotonic() + 10
    while child.exists() and "Z" not in (child / "stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_peer_that_ends_at_once_did_not_start(tmp_path):
    with pytest.raises(RuntimeError, match="small did not start"), Small().run(tmp_path, "pass"):
        pass
