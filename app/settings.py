"""Every setting: its environment variable (the field's name in capitals), default and bounds."""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

import msgspec

from pixels.options import JpegEncoder, Limits

MB = 1024 * 1024
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
#: A unix socket's path must stay under 108 bytes, `valkey.sock` and the folder's separator included.
_MAX_SOCKET_FOLDER = 90
#: With less, ordinary photographs would be told to be too large.
_LEAST_BUDGET_BYTES = 256 * MB


class InvalidSettings(Exception):
    """A setting has a value that cannot work; the text names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one process. The README's table is checked against these fields by a test."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8000
    data_dir: Path = Path(".data")
    #: Empty: a private Valkey is started in `data_dir`. `redis://`, `rediss://` or `unix://`.
    redis_url: str = ""
    #: How many API hosts share one Redis: each takes its share of a limit while Redis is away.
    api_replicas: Positive = 1
    #: Secret that API keys are hashed with; empty: kept in `data_dir/pepper`, made at first start.
    key_pepper: str = ""
    #: Redis must answer within this many seconds, or the request goes on without it.
    redis_timeout_s: Seconds = 0.1
    #: Event-loop processes; 0: one for every eight cores.
    api_workers: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    #: Encode processes in all; 0: one for each core.
    encode_processes: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    #: Requests that may wait for each encode process before others are told 503 `overloaded`.
    waiting_per_slot: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 4
    #: A request that waited this long for an encode process is told 503 `overloaded`.
    wait_timeout_s: Seconds = 10.0
    #: An encode that takes longer is killed.
    encode_deadline_s: Seconds = 20.0
    #: The butteraugli 3-norm that `quality=smart` aims at: below 1, a difference is hard to see side by side.
    smart_distance: Annotated[float, msgspec.Meta(ge=0.1, le=10)] = 1.2
    #: What makes a JPEG at a quality that is a number: libjpeg-turbo, or smart's encoder, in fewer bytes and more time.
    jpeg_encoder: JpegEncoder = "fast"
    #: For so long `smart` may look for the quality; then the best so far is the answer.
    smart_search_s: Seconds = 6.0
    #: Address space of one encode process, bytes.
    encode_memory_bytes: Annotated[int, msgspec.Meta(ge=1024 * MB)] = 3072 * MB
    #: What the pictures in all encode processes of an API, or of a worker, may take together, bytes; 0: three eighths
    #: of the memory of the machine or container, because both may run there.
    encode_budget_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: The encode processes of a worker, which is as many jobs as it runs at once; 0: one for each core.
    worker_processes: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    #: The same as `encode_deadline_s` and `smart_search_s`, for jobs.
    job_deadline_s: Seconds = 120.0
    job_search_s: Seconds = 30.0
    #: An account's jobs that wait in the queue or run; its others are held back, so that nobody else waits for them.
    account_jobs: Positive = 32
    #: Where sources of jobs and results are kept: a folder, or `s3://bucket/prefix`; empty: `data_dir/store`.
    store_url: str = ""
    #: Address of the S3 server; empty: AWS. Credentials come as for any program for AWS.
    s3_endpoint: str = ""
    s3_region: str = ""
    #: A result is kept this long, counted from completion.
    result_ttl_s: Seconds = 24 * 3600.0
    #: A worker removes this often what has expired.
    sweep_s: Seconds = 30.0
    #: Whether a result that was answered at once can be downloaded afterwards.
    keep_sync_results: bool = True
    #: Results of this size may wait to be kept; beyond it, answers wait.
    keeping_max_bytes: Positive = 64 * MB
    #: Whether an account that sends the same again within `result_ttl_s` gets the kept result.
    reuse_results: bool = True
    #: What variants of the CDN origin may take in the store, over all processes, and in the memory of each.
    cdn_cache_max_bytes: Positive = 4096 * MB
    cdn_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 64 * MB
    #: What is ready by then is the answer of the CDN origin, though something better is still being made.
    cdn_deadline_ms: Positive = 800
    #: How long browsers, and shared caches, may keep answers of the CDN origin; its source may allow less.
    cdn_max_age_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    cdn_s_maxage_s: Annotated[int, msgspec.Meta(ge=0)] = 24 * 3600
    #: How long behind that they may answer while they ask again, and while asking fails.
    cdn_stale_while_revalidate_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    cdn_stale_if_error_s: Annotated[int, msgspec.Meta(ge=0)] = 24 * 3600
    #: How long anybody may keep an answer that is not the best yet, and the news that a source cannot be had.
    cdn_interim_s: Annotated[int, msgspec.Meta(ge=0)] = 10
    cdn_failure_s: Positive = 5
    #: What links in webhooks begin with; empty: `http://HOST:PORT`.
    public_url: str = ""
    #: Fetching a `url` may take this long.
    fetch_timeout_s: Seconds = 15.0
    #: Uploads under this size are answered at once, others become jobs.
    sync_max_bytes: Positive = 2 * MB
    #: The largest upload.
    max_bytes: Positive = 25 * MB
    max_pixels: Positive = 50_000_000
    max_frames: Positive = 256
    #: Uploads that may be under way at once in one event-loop process.
    max_uploads: Positive = 512
    #: A body may take this long however slow it is, and longer while it keeps `body_min_bytes_s`.
    body_timeout_s: Seconds = 60.0
    body_min_bytes_s: Positive = 10_000
    #: A body that stands still this long is given up.
    body_idle_s: Seconds = 30.0
    #: Requests under way at SIGTERM may take this long to end.
    drain_s: Seconds = 13.0
    #: Where `/metrics` is served, for all processes on this machine that share `data_dir`; port 0: nowhere, and nothing
    #: is counted. Never the public address: nobody is asked for a key there.
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    #: Base URL of an OTLP/HTTP collector that traces are sent to, as OpenTelemetry names it; empty: none are made.
    otel_exporter_otlp_endpoint: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    def __post_init__(self) -> None:
        """Refuse values that only fail together or later.

        Raises
        ------
        InvalidSettings
            Naming the setting.
        """
        self._check_urls()
        if self.sync_max_bytes > self.max_bytes:
            raise InvalidSettings("SYNC_MAX_BYTES must not exceed MAX_BYTES")
        if self.smart_search_s >= self.encode_deadline_s:
            raise InvalidSettings("SMART_SEARCH_S must be less than ENCODE_DEADLINE_S")
        if 0 < self.encode_budget_bytes < _LEAST_BUDGET_BYTES:
            raise InvalidSettings(f"ENCODE_BUDGET_BYTES must be 0 or at least {_LEAST_BUDGET_BYTES}")
        if self.job_search_s >= self.job_deadline_s:
            raise InvalidSettings("JOB_SEARCH_S must be less than JOB_DEADLINE_S")
        if self.metrics_port == self.port:
            raise InvalidSettings("METRICS_PORT must be another than PORT, which is public")
        if (self.metrics_port or not self.redis_url) and len(
            os.fsencode(self.data_dir.absolute())
        ) > _MAX_SOCKET_FOLDER:
            raise InvalidSettings(f"DATA_DIR must be shorter than {_MAX_SOCKET_FOLDER} bytes: it holds a unix socket")

    def _check_urls(self) -> None:
        if self.redis_url and urlsplit(self.redis_url).scheme not in {"redis", "rediss", "unix"}:
            raise InvalidSettings("REDIS_URL must begin with redis://, rediss:// or unix://")
        if "://" in self.store_url and urlsplit(self.store_url).scheme != "s3":
            raise InvalidSettings("STORE_URL must be a folder or begin with s3://")
        for name in ("public_url", "otel_exporter_otlp_endpoint"):
            if not re.match(r"https?://|$", getattr(self, name)):
                raise InvalidSettings(f"{name.upper()} must begin with http:// or https://")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; an unset or empty variable means the default.

        Raises
        ------
        InvalidSettings
            A value is of the wrong kind or out of its bounds; the text names the variable.
        """
        found = {name: environment[name.upper()] for name in cls.__struct_fields__ if environment.get(name.upper())}
        for name, text in found.items():
            kind = cls.__annotations__[name]
            try:
                msgspec.convert(text, kind, strict=False, dec_hook=_decode)
            except msgspec.ValidationError as error:
                raise InvalidSettings(f"{name.upper()}: {error}") from None
        return msgspec.convert(found, cls, strict=False, dec_hook=_decode)

    @property
    def limits(self) -> Limits:
        """The bounds on one image that is answered at once."""
        return Limits(self.max_pixels, self.max_frames, self.smart_search_s)

    @property
    def job_limits(self) -> Limits:
        """The bounds on the image of a job."""
        return Limits(self.max_pixels, self.max_frames, self.job_search_s)

    @property
    def link_base(self) -> str:
        """What absolute links begin with, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def store_folder(self) -> Path:
        """Where blobs are kept, unless `store_url` names a bucket."""
        return Path(self.store_url) if self.store_url else self.data_dir / "store"

    @property
    def valkey_socket(self) -> Path:
        """Where the private Valkey listens when there is no `redis_url`."""
        return self.data_dir.absolute() / "valkey.sock"

    @property
    def metrics_folder(self) -> Path:
        """Where processes that share a `metrics_port` find each other, each by a unix socket named by its id."""
        return self.data_dir.absolute() / f"m{self.metrics_port}"

    @property
    def redis_address(self) -> str:
        """The URL to reach Redis by, whether it is ours or given."""
        return self.redis_url or f"unix://{quote(str(self.valkey_socket))}"

    def pepper(self) -> bytes:
        """The secret that API keys are hashed with; made and kept in `data_dir` where none is set."""
        if self.key_pepper:
            return self.key_pepper.encode()
        path = self.data_dir / "pepper"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = path.with_name(f"pepper.{os.getpid()}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            # Of two processes that start at once one wins, and nobody reads half a secret.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
            draft.unlink()
        return path.read_bytes()


def _decode(kind: type, value: str) -> Path:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
