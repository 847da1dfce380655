"""URLs judged by their text: each gate by a URL that it alone stops, told by its message."""

import re
import socket
from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.addresses import is_public
from app.service.netguard import (
    MAX_HOST_LENGTH,
    MAX_URL_LENGTH,
    PORTS,
    ForbiddenUrl,
    Target,
    parse_public_url,
)

WEB = frozenset({"http", "https"})


def parse(text: str) -> Target:
    return parse_public_url(text, schemes=WEB)


def refused(text: str, why: str) -> None:
    with pytest.raises(ForbiddenUrl, match=re.escape(why)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "url", "host", "port"),
    [
        ("http://pub.test/img", "http://pub.test/img", "pub.test", 80),
        ("https://pub.test/img", "https://pub.test/img", "pub.test", 443),
        ("HTTPS://Pub.Test/Img", "https://pub.test/Img", "pub.test", 443),
        ("http://pub.test:80/", "http://pub.test/", "pub.test", 80),
        ("https://pub.test:443/", "https://pub.test/", "pub.test", 443),
        ("http://pub.test:443/", "http://pub.test:443/", "pub.test", 443),
        ("http://pub.test:8080/", "http://pub.test:8080/", "pub.test", 8080),
        ("https://pub.test:8443/a", "https://pub.test:8443/a", "pub.test", 8443),
        ("http://pub.test", "http://pub.test/", "pub.test", 80),
        ("http://pub.test?x=1", "http://pub.test/?x=1", "pub.test", 80),
        ("http://pub.test./img", "http://pub.test/img", "pub.test", 80),
        ("http://pub.test/img#@10.0.0.1/", "http://pub.test/img", "pub.test", 80),
        ("http://pub.test#/@10.0.0.1", "http://pub.test/", "pub.test", 80),
        ("http://pub.test/a?u=http://127.0.0.1/", "http://pub.test/a?u=http://127.0.0.1/", "pub.test", 80),
        ("http://pub.test/@127.0.0.1/", "http://pub.test/@127.0.0.1/", "pub.test", 80),
        ("http://pub.test/a%2Fb%20c?s=%2B+&t[]=1", "http://pub.test/a%2Fb%20c?s=%2B+&t[]=1", "pub.test", 80),
        ("http://pub.test/é?q=ü|{}", "http://pub.test/%C3%A9?q=%C3%BC%7C%7B%7D", "pub.test", 80),
        ("http://Bücher.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80),
        ("http://faß.example/", "http://xn--fa-hia.example/", "xn--fa-hia.example", 80),
        ("http://xn--ls8h.la/", "http://xn--ls8h.la/", "xn--ls8h.la", 80),
        ("http://pub\u3002test/", "http://pub.test/", "pub.test", 80),
        ("http://r3---sn-a.pub.test/", "http://r3---sn-a.pub.test/", "r3---sn-a.pub.test", 80),
        ("http://my_bucket.pub.test/", "http://my_bucket.pub.test/", "my_bucket.pub.test", 80),
        ("http://1.2.3.4.pub.test/", "http://1.2.3.4.pub.test/", "1.2.3.4.pub.test", 80),
        ("http://local.pub.test/", "http://local.pub.test/", "local.pub.test", 80),
        ("http://notlocal.notlocal/", "http://notlocal.notlocal/", "notlocal.notlocal", 80),
        ("http://93.184.216.34/", "http://93.184.216.34/", "93.184.216.34", 80),
        ("http://93.184.216.34.:8080/", "http://93.184.216.34:8080/", "93.184.216.34", 8080),
        ("http://[2606:4700:0::6810:84E5]/", "http://[2606:4700::6810:84e5]/", "2606:4700::6810:84e5", 80),
        ("https://[2606:4700::1]:8443/", "https://[2606:4700::1]:8443/", "2606:4700::1", 8443),
    ],
)
def test_a_public_url_has_one_spelling(text: str, url: str, host: str, port: int) -> None:
    target = parse(text)
    assert (target.url, target.host, target.port) == (url, host, port)
    assert target.scheme == url.split(":")[0]


def test_a_target_holds_its_address_only_where_the_host_is_one() -> None:
    assert parse("http://pub.test/").address is None
    assert parse("http://93.184.216.34/").address == ip_address("93.184.216.34")
    assert parse("http://[2606:4700::6810:84e5]/").address == ip_address("2606:4700::6810:84e5")


def test_the_longest_url_is_taken_and_one_more_character_is_refused() -> None:
    longest = "http://pub.test/".ljust(MAX_URL_LENGTH, "a")
    assert parse(longest).url == longest
    refused(longest + "a", "longer than")


@pytest.mark.parametrize("character", [*map(chr, range(0x21)), *map(chr, range(0x7F, 0xA1)), "\\", "\u2028", "\u3000"])
def test_spaces_controls_and_backslashes_are_refused_anywhere(character: str) -> None:
    refused(f"http://pub.test/a{character}b", "space")
    refused(f"http://pub.test{character}.pub.test/", "space")
    refused(f"{character}http://pub.test/", "space")
    refused(f"http://pub.test/{character}", "space")


def test_half_a_surrogate_pair_is_refused_and_crashes_nothing() -> None:
    refused("http://pub.test/\ud800", "control")


@pytest.mark.parametrize(
    "text",
    [
        *("", "img", "/img", "//pub.test/img", "pub.test/img", "http:pub.test/img", "http:/pub.test/img", "http://"),
        *("http:///img", "http://?x", "http://#x", "://pub.test/", "1http://pub.test/", "jar:http://pub.test!/"),
    ],
)
def test_a_url_without_scheme_or_host_is_refused(text: str) -> None:
    refused(text, "not absolute")


@pytest.mark.parametrize("scheme", ["ftp", "file", "dict", "gopher", "ws", "http+unix", "httpx", "htt"])
def test_other_schemes_are_refused(scheme: str) -> None:
    refused(f"{scheme}://pub.test/", "must be http or https")


def test_only_the_schemes_asked_for_are_taken() -> None:
    https = frozenset({"https"})
    assert parse_public_url("https://pub.test/", schemes=https).scheme == "https"
    with pytest.raises(ForbiddenUrl, match=r"must be https\."):
        parse_public_url("http://pub.test/", schemes=https)


@pytest.mark.parametrize("userinfo", ["u:p", "u", "", ":", "127.0.0.1:8080", "pub.test"])
def test_credentials_are_refused(userinfo: str) -> None:
    refused(f"http://{userinfo}@pub.test/", "credentials")


@pytest.mark.parametrize(
    "port", ["", "x", "-80", "+80", "080", "0", "8_0", "80:80", "\uff18\uff10", "\u0668\u0660", "100000"]
)
def test_a_port_is_a_plain_number(port: str) -> None:
    refused(f"http://pub.test:{port}/", "malformed")


@pytest.mark.parametrize(
    "port", [1, 22, 25, 81, 442, 444, 3306, 5432, 6379, 8000, 8081, 8442, 9200, 65535, 65536, 99999]
)
def test_ports_where_no_web_server_listens_are_refused(port: int) -> None:
    refused(f"http://pub.test:{port}/", "port must be one of 80, 443, 8080, 8443")


@pytest.mark.parametrize(
    "host",
    [
        *("[]", "[2606:4700::1", "2606:4700::1]", "2606:4700::1", "[[2606:4700::1]]", "[2606:4700::1]a"),
        *("a[2606:4700::1]", "[2606:4700::1%25eth0]", "[2606:4700::1%eth0]", "[v1.pub.test]", "[pub.test]", ":"),
    ],
)
def test_malformed_brackets_and_zones_are_refused(host: str) -> None:
    refused(f"http://{host}/", "malformed")


@pytest.mark.parametrize(
    "host", ["[::g]", "[2606:4700::1::]", "[1:2]", "[93.184.216.34]", "[2606:4700::1.2.3.04]", "[:]"]
)
def test_what_only_looks_like_ipv6_is_refused(host: str) -> None:
    refused(f"http://{host}/", "URL's host")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0", "127.0.0.1.", "127\u30020\u30020\u30021"),
        *("\uff11\uff10.0.0.1", "[::1]", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]"),
        *("[fd00:ec2::254]", "[2002:7f00:1::]", "[2606:4700::5efe:7f00:1]"),
    ],
)
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    refused(f"http://{host}/", "not a public address")


@pytest.mark.parametrize(
    "host",
    [
        *("93.184.216.034", "093.184.216.34", "0x5d.184.216.34", "0135.0270.0330.0042", "93.184.55330", "93.12113954"),
        *("1572395042", "0x5db8d822", "93.184.216.0x22", "93.184.216.256", "93.184.216.34.1", "0x", "pub.0", "pub.0xf"),
        *("pub.test.1", "1", "93..34", "\uff19\uff13.184.55330", "93.184.216.\u0663\u0664", "pub.test;10.0.0.1"),
    ],
)
def test_a_host_that_ends_in_a_number_is_a_canonical_address_or_nothing(host: str) -> None:
    refused(f"http://{host}/", "URL's host")


@settings(deadline=None)
@given(st.from_regex(r"(0x[0-9a-f]{1,8}|[0-9]{1,10})(\.(0x[0-9a-f]{1,8}|[0-9]{1,10})){0,3}", fullmatch=True))
def test_whatever_the_c_library_reads_as_a_number_is_never_taken_for_a_name(host: str) -> None:
    try:
        target = parse(f"http://{host}/")
    except ForbiddenUrl:
        return
    assert target.address == IPv4Address(socket.inet_aton(host))
    assert str(target.address) == host


@pytest.mark.parametrize(
    "host", ["-é.test", "a\u2100b.test", "xn--zz\u00e9.test", "\u200d.test", "é..test", "\u2603.test"]
)
def test_names_that_uts_46_or_idna_forbid_are_refused(host: str) -> None:
    refused(f"http://{host}/", "internationalised")


@pytest.mark.parametrize(
    "host",
    [
        *("-pub.test", "pub-.test", "pub..test", ".pub.test", "pub.test..", "pub!.test", "pub%2etest"),
        *("127.0.0.1%2f.pub.test", "pub,test.test", "a&b.test", "10.0.0.1;pub.test", "a*.test", "pub.te~st"),
        *("a'b.test", f"{'a' * 64}.test"),
    ],
)
def test_malformed_names_are_refused(host: str) -> None:
    refused(f"http://{host}/", "no valid name")


def test_the_longest_name_is_taken_and_one_more_character_is_refused() -> None:
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * (MAX_HOST_LENGTH - 3 * 64)])
    assert len(longest) == MAX_HOST_LENGTH
    assert parse(f"http://{longest}./").host == longest
    refused(f"http://{longest}d/", "no valid name")


@pytest.mark.parametrize("host", ["metadata", "localhost", "LOCALHOST.", "redis", "\u24dbocalhost", "com"])
def test_single_labels_are_refused(host: str) -> None:
    refused(f"http://{host}/", "internal")


@pytest.mark.parametrize(
    "host",
    [
        *("printer.local", "redis.default.svc.cluster.local", "metadata.google.internal", "a.localhost", "nas.lan"),
        *("router.home.arpa", "1.0.0.127.in-addr.arpa", "wiki.corp", "nas.home", "wiki.intranet", "db.private"),
        *("localhost.localdomain", "localhost6.localdomain6", "redis.default.svc", "redis.service.consul"),
        *("PRINTER.LOCAL", "printer.local.", "printer.\u24dbocal", "printer\uff0elocal", "printer.lo\u00adcal"),
    ],
)
def test_names_of_internal_zones_are_refused(host: str) -> None:
    refused(f"http://{host}/", "internal")


PIECES = [
    *(
        "http://",
        "https://",
        "//",
        "/",
        ":",
        "@",
        "#",
        "?",
        "[",
        "]",
        "%",
        "%25",
        "%2f",
        ".",
        "..",
        "\\",
        "&",
        ";",
        "-",
    ),
    *(
        "pub.test",
        "localhost",
        "127.0.0.1",
        "93.184.216.34",
        "0x7f",
        "[::1]",
        "[2606:4700::1]",
        ":80",
        ":8080",
        ".local",
    ),
    *("\t", "\n", " ", "é", "xn--", "a", "_", "u:p@", "file:", "\u3002", "\u24db", "\u00ad", "\uff0f", "\u2100"),
]
hostile_urls = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=8).map(
    lambda some: "http://" + "".join(some)
)


@settings(max_examples=500, deadline=None)
@given(st.text() | hostile_urls)
def test_any_text_is_a_target_that_other_parsers_read_alike_or_is_refused(text: str) -> None:
    try:
        target = parse(text)
    except ForbiddenUrl:
        return
    assert parse(target.url) == target
    assert re.fullmatch(r"[!-~]+", target.url)
    assert "#" not in target.url
    assert target.port in PORTS
    assert target.address is None or is_public(target.address)
    standard, of_aiohttp = urlsplit(target.url), yarl.URL(target.url, encoded=True)
    for scheme, host, port in (
        (standard.scheme, standard.hostname, standard.port or {"http": 80, "https": 443}[standard.scheme]),
        (of_aiohttp.scheme, of_aiohttp.raw_host, of_aiohttp.port),
    ):
        assert (scheme, host, port) == (target.scheme, target.host, target.port)
