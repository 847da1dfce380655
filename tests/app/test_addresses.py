"""The address table, held against the registries it is made from."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.service.addresses import is_public

#: A slow machine is no failure.
untimed = settings(deadline=None)

# Every row of the two IANA registries as updated on 2025-10-09, save 64:ff9b::/96 and ::ffff:0:0/96, whose addresses
# are judged by what they carry; then multicast, which has registries of its own.
REGISTERED_V4 = [
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32"),
    *("192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32"),
    *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
    *("255.255.255.255/32", "224.0.0.0/4"),
]
REGISTERED_V6 = [
    *("::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128"),
    *("2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28"),
    *("2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16"),
    *("fc00::/7", "fe80::/10", "ff00::/8"),
]
CLOUD_METADATA = [
    *("169.254.169.254", "169.254.170.2", "169.254.0.23", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("fd00:ec2::254", "fd20:ce::254"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "104.16.132.229", "151.101.1.69", "192.30.255.112", "223.255.255.255"),
    *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:80b::200e", "2400:cb00:2048:1::c629:d7a2"),
    *("2003::1", "2620:fe::fe", "2800:3f0:4001:81b::200e", "2c0f:fb50:4002::1", "2001:200::1", "2001:67c:4e8::1"),
]
# The nearest addresses outside the blocks that do not touch another one.
JUST_OUTSIDE = [
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255"),
    *("192.52.194.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "192.175.47.255"),
    *("192.175.49.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0"),
    *("223.255.255.255", "2000::", "2001:200::", "2001:db7:ffff:ffff::", "2001:db9::", "2003::"),
    *("2620:4f:7fff:ffff::", "2620:4f:8001::", "3ffd:ffff::", "3fff:1000::", "3fff:ffff:ffff::ffff"),
]


def members(block: IPv4Network | IPv6Network) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    return st.integers(0, block.num_addresses - 1).map(lambda offset: block[offset])


private_v4 = st.sampled_from([IPv4Network(block) for block in REGISTERED_V4]).flatmap(members)
private_v6 = st.sampled_from([IPv6Network(block) for block in REGISTERED_V6]).flatmap(members)
public_v4 = st.ip_addresses(v=4).filter(is_public)


def mapped(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(0xFFFF << 32 | int(carried))


def nat64(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("64:ff9b::")) | int(carried))


def isatap(carried: IPv4Address, *, universal: bool) -> IPv6Address:
    identifier = 0x0200_5EFE if universal else 0x0000_5EFE
    return IPv6Address(int(IPv6Address("2606:4700::")) | identifier << 32 | int(carried))


def compatible(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(int(carried))


def translated(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(0xFFFF << 48 | int(carried))


def local_nat64(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("64:ff9b:1::")) | int(carried))


def six_to_four(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2002 << 112 | int(carried) << 80 | 1)


def teredo(carried: IPv4Address) -> IPv6Address:
    return IPv6Address(0x2001_0000 << 96 | int(IPv4Address("65.54.227.120")) << 64 | int(carried) ^ 0xFFFF_FFFF)


@pytest.mark.parametrize("block", REGISTERED_V4 + REGISTERED_V6)
def test_first_and_last_address_of_a_registered_block_are_not_public(block: str) -> None:
    network = IPv6Network(block) if ":" in block else IPv4Network(block)
    assert not is_public(network[0])
    assert not is_public(network[-1])


@untimed
@given(private_v4 | private_v6)
def test_no_member_of_a_registered_block_is_public(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", CLOUD_METADATA)
def test_metadata_services_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["3ffe::", "3ffe:831f::1", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"])
def test_the_returned_6bone_block_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_servers_of_the_open_internet_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", JUST_OUTSIDE)
def test_blocks_end_where_the_registries_say(address: str) -> None:
    assert is_public(ip_address(address))


@untimed
@given(st.ip_addresses(v=4))
def test_nothing_is_public_that_the_standard_library_calls_private_or_multicast(address: IPv4Address) -> None:
    assert not is_public(address) or (address.is_global and not address.is_multicast)


@untimed
@given(st.ip_addresses(v=6))
def test_ipv6_is_public_only_inside_2000_3_or_when_it_carries_ipv4(address: IPv6Address) -> None:
    carries = address.ipv4_mapped is not None or address in IPv6Network("64:ff9b::/96")
    assert not is_public(address) or address in IPv6Network("2000::/3") or carries


@pytest.mark.parametrize("address", ["4000::1", "1fff:ffff::1", "5f00::1", "8000::1", "e000::1", "fec0::1", "200::1"])
def test_ipv6_that_was_never_handed_out_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@untimed
@given(private_v4, st.booleans())
def test_a_private_address_is_not_public_in_any_ipv6_form(carried: IPv4Address, universal: bool) -> None:
    assert not is_public(mapped(carried))
    assert not is_public(nat64(carried))
    assert not is_public(isatap(carried, universal=universal))
    assert not is_public(six_to_four(carried))
    assert not is_public(teredo(carried))
    assert not is_public(compatible(carried))
    assert not is_public(translated(carried))
    assert not is_public(local_nat64(carried))


@untimed
@given(public_v4, st.booleans())
def test_a_public_address_is_public_in_the_forms_that_are_in_use(carried: IPv4Address, universal: bool) -> None:
    assert is_public(mapped(carried))
    assert is_public(nat64(carried))
    assert is_public(isatap(carried, universal=universal))


@untimed
@given(public_v4)
def test_dead_and_local_tunnels_are_not_public_whatever_they_carry(carried: IPv4Address) -> None:
    assert not is_public(six_to_four(carried))
    assert not is_public(teredo(carried))
    assert not is_public(compatible(carried))
    assert not is_public(translated(carried))
    assert not is_public(local_nat64(carried))


def test_isatap_under_a_private_prefix_is_not_public_although_it_carries_a_public_address() -> None:
    assert not is_public(IPv6Address("fd00::5efe:808:808"))


@pytest.mark.parametrize("address", ["2606:4700:4700::1111%eth0", "2606:4700:4700::1111%1", "::ffff:8.8.8.8%1"])
def test_an_address_with_a_zone_is_not_public(address: str) -> None:
    assert not is_public(IPv6Address(address))
