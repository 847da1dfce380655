"""docs/cdn.md says what the code does, and what it shows for CloudFront can be run."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import app
from app.ports.cdn_accounts import CdnAccount
from app.service.cdn import options
from app.service.cdn.negotiation import negotiate
from app.service.cdn.options import CdnOptions
from app.settings import Settings
from perf.load.browsers import ACCEPTS

ROOT = Path(app.__file__).parents[1]
PAGE = (ROOT / "docs" / "cdn.md").read_text()


def test_every_option_is_told() -> None:
    rows = re.findall(r"^\| ((?:`[a-z]+`(?:, )?)+) \| (.+) \|", PAGE, re.MULTILINE)
    told = {name for names, _ in rows for name in re.findall("`([a-z]+)`", names)}
    assert told == set(options._READERS)
    values = dict(rows)
    assert all(f"`{name}`" in values["`f`"] for name in options._FORMATS if name != "jpg")
    assert all(f"`{name}`" in values["`keep`"] for name in options._KEEPS)
    assert f"1-{options.MAX_SIDE_PX}" in values["`w`, `h`"]
    assert f"1-{options.MAX_DPR:g}" in values["`dpr`"]


def test_every_setting_and_every_link_is_there() -> None:
    settings = {name.upper() for name in Settings.__struct_fields__}
    assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", PAGE)) <= settings
    for place in re.findall(r"\]\((?!https:)([^)#]+)", PAGE):
        assert (ROOT / "docs" / place).exists(), place


def test_the_function_for_cloudfront_changes_no_format() -> None:
    if shutil.which("node") is None:
        pytest.skip("no node on the PATH")
    [function] = re.findall(r"```js\n(.*?)```", PAGE, re.DOTALL)
    wanted = [*ACCEPTS.values(), "IMAGE/AVIF"]
    events = [{"request": {"headers": {"accept": {"value": accept}}}} for accept in wanted] + [
        {"request": {"headers": {}}}
    ]
    program = f"{function}\nconsole.log(JSON.stringify({json.dumps(events)}.map(handler)))"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    reduced = [request["headers"]["accept"]["value"] for request in json.loads(done.stdout)]
    assert len(set(reduced)) == 3
    account = CdnAccount("ada")
    for accept, told in zip([*wanted, ""], reduced, strict=True):
        formats = [negotiate(CdnOptions(), {"accept": text}, account).formats for text in (accept, told)]
        assert formats[0] == formats[1], accept
