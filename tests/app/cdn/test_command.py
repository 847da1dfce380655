"""`compressorize cdn` and `compressorize sign`: what they set up is what the service believes."""

import json
import time
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from app.__main__ import main
from app.ports.cdn_accounts import CdnAccount, SigningKey
from app.service.cdn.options import parse_options
from app.service.cdn.signing import SignedTarget, check, split_target
from app.service.cdn.source import parse_origin, read_source

SOURCE = "https://img.example.com/a%20b+c.jpg?v=1&w=2"


class Command:
    """Runs the command in the environment of one Redis."""

    def __init__(self, redis_address: str) -> None:
        self.environment = {"REDIS_URL": redis_address, "PUBLIC_URL": "https://img.example.net"}

    def run(self, *arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, arguments, env=self.environment | environment)

    def ask(self, *arguments: str) -> dict[str, object]:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.output)  # type: ignore[no-any-return]  # what the command prints

    def sign(self, *arguments: str, **environment: str) -> SignedTarget:
        result = self.run("sign", *arguments, **environment)
        assert result.exit_code == 0, result.output
        url = urlsplit(result.output.strip())
        assert f"{url.scheme}://{url.netloc}" == "https://img.example.net"
        return split_target(url.path.encode(), url.query.encode())


@pytest.fixture
def command(redis_address: str) -> Command:
    return Command(redis_address)


def test_an_account_is_set_up_step_by_step(command: Command) -> None:
    command.ask("cdn", "allow", "--account", "ada", "https://*.example.com", "http://OLD.example:8080/photos/")
    command.ask("cdn", "allow", "--account", "ada", "https://*.example.com", "https://[2606:4700::1]")
    command.ask("cdn", "forbid", "--account", "ada", "http://old.example:8080/photos")
    found = command.ask("cdn", "set", "--account", "ada", "--client-hints", "--bucket-prefix", "ada/pictures")
    assert found == {
        "account": "ada",
        "origins": ["https://*.example.com", "https://[2606:4700::1]"],
        "client_hints": True,
        "bucket_prefix": "ada/pictures",
    }
    assert command.ask("cdn", "accounts") == [found]
    assert command.ask("cdn", "set", "--account", "ada", "--bucket-prefix", "") == found | {"bucket_prefix": None}
    shown = command.run("cdn", "accounts").output
    assert "*.example.com" in shown


def test_keys_are_made_listed_without_their_secrets_and_revoked(command: Command) -> None:
    made = command.ask("cdn", "create-key", "--account", "ada")
    assert command.run("cdn", "create-key", "--account", "ada").output.startswith("Id      cdn_")
    assert command.run("cdn", "create-key", "--account", "ada").exit_code == 1
    assert {key["id"] for key in command.ask("cdn", "keys", "--account", "ada")} > {made["id"]}
    assert "secret" not in json.dumps(command.ask("cdn", "keys"))
    assert str(made["id"]) in command.run("cdn", "keys").output
    assert command.ask("cdn", "revoke-key", str(made["id"]))["revoked"]
    assert command.run("cdn", "revoke-key", "cdn_00000000").exit_code == 1


@pytest.mark.parametrize("spelling", [(), ("--base64",)])
def test_a_signed_url_is_believed_and_names_the_source(command: Command, spelling: tuple[str, ...]) -> None:
    made = command.ask("cdn", "create-key", "--account", "ada")
    key = SigningKey(str(made["id"]), "ada", str(made["secret"]), created=0)
    target = command.sign("--account", "ada", "--options", "w:800,f:auto", "--expires-in", "60", *spelling, SOURCE)
    now = time.time()
    check(target, key, now=now)
    options = parse_options(target.options)
    assert options.canonical() == "w:800"
    assert now + 50 < (options.expires or 0) <= now + 61
    account = CdnAccount("ada", (parse_origin("https://img.example.com"),))
    assert read_source(target.source, account).url == SOURCE


def test_an_own_key_is_signed_as_such(command: Command) -> None:
    command.ask("cdn", "create-key", "--account", "ada")
    assert command.sign("--account", "ada", "own:photos/a.jpg").source == "own:photos/a.jpg"


def test_with_the_secret_at_hand_nobody_is_asked(command: Command) -> None:
    target = command.sign("--key", "cdn_abc", SOURCE, CDN_SECRET="s", REDIS_URL="unix:///absent/s")  # noqa: S106 (made up)
    check(target, SigningKey("cdn_abc", "ada", "s", created=0), now=0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("sign", SOURCE), 2),
        (("sign", "--account", "nobody", SOURCE), 1),
        (("sign", "--key", "cdn_00000000", SOURCE), 1),
        (("sign", "--account", "nobody", "--options", "w:0", SOURCE), 1),
        (("sign", "--account", "nobody", "https://img.example.com/a b.jpg"), 1),
        (("sign", "--account", "nobody", "--expires-in", "0", SOURCE), 2),
        (("cdn", "allow", "--account", "ada", "localhost"), 1),
        (("cdn", "allow", "--account", "ada"), 2),
        (("cdn", "set", "--account", "ada", "--bucket-prefix", "../x"), 1),
        (("cdn", "create-key", "--account", ""), 1),
    ],
)
def test_what_is_wrong_is_told_in_a_line(command: Command, arguments: tuple[str, ...], code: int) -> None:
    result = command.run(*arguments)
    assert result.exit_code == code
    assert "Error: " in result.output
    assert "Traceback" not in result.output
