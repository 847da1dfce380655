"""A Redis of another host, as it were: reached over TCP, and not started by the service."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest
import redis

from tests.conftest import SERVERS, find_program, make_short_folder
from tests.ports import free_port

START_S = 180


class RedisServer:
    """The oldest Redis that we work with, on a port of its own."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address, self.port = address, free_port()
        self._folder = make_short_folder()

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(host=self.address, port=self.port)

    def start(self) -> Self:
        program = find_program(SERVERS[1]) or Path("redis-server")
        options = {
            "port": self.port,
            "bind": self.address,
            "protected-mode": "no",
            "dir": self._folder,
            "save": "",
            "appendonly": "yes",
        }
        command = [program, *(str(word) for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        with self.client() as client:
            while not _answers(client):
                if time.monotonic() > end:
                    self.close()
                    pytest.fail("Redis did not get ready")
                time.sleep(0.05)
        return self

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
