"""The signing programs in `examples/cdn-sign`: in every language the same URL, which the service believes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import app
from app.ports.cdn_accounts import CdnAccount, SigningKey
from app.service.cdn.signing import check, sign, split_target
from app.service.cdn.source import parse_origin, read_source

PROGRAMS = Path(app.__file__).parents[1] / "examples" / "cdn-sign"
COMMANDS = {
    "python": [sys.executable, "sign.py"],
    "node": ["node", "sign.mjs"],
    "go": ["go", "run", "sign.go"],
    "php": ["php", "sign.php"],
    "ruby": ["ruby", "sign.rb"],
}
KEY = SigningKey("cdn_a1B2c3D4", "ada", "cdnsec_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", created=0)
ACCOUNT = CdnAccount("ada", (parse_origin("https://img.example.com"),))
#: Everything that the languages encode each in its way, and what nobody encodes.
SOURCE = "https://img.example.com/-_.~/a!b'c(d)e*f+g%20h/фото.jpg?v=1&w=2;x,y=$@:[]"
OPTIONS = "f:auto,q:smart,w:800,exp:9999999999"


@pytest.mark.parametrize("language", COMMANDS)
def test_each_language_signs_the_same_url(language: str) -> None:
    program = COMMANDS[language][0]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on the PATH")
    variables = {"CDN_URL": "https://pictures.test", "CDN_KEY": KEY.id, "CDN_SECRET": KEY.secret}
    done = subprocess.run(
        [*COMMANDS[language], OPTIONS, SOURCE],
        cwd=PROGRAMS,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    url = urlsplit(done.stdout.strip())
    target = split_target(url.path.encode(), url.query.encode())
    check(target, KEY, now=0)
    assert read_source(target.source, ACCOUNT) == read_source(SOURCE, ACCOUNT)
    assert url.path == sign(KEY.secret, KEY.id, OPTIONS, target.source)
    assert target.source == (
        "https%3A%2F%2Fimg.example.com%2F-_.~%2Fa%21b%27c%28d%29e%2Af%2Bg%2520h%2F%D1%84%D0%BE%D1%82%D0%BE.jpg"
        "%3Fv%3D1%26w%3D2%3Bx%2Cy%3D%24%40%3A%5B%5D"
    )
