"""Which IP addresses are public: a table of our own, because every borrowed one has holes.

IPv4 is denied by list. IPv6 is denied unless it lies in 2000::/3, the only part that is handed out. The lists hold
every block of the two IANA registries of special-purpose addresses, both as updated on 2025-10-09:

* https://www.iana.org/assignments/iana-ipv4-special-registry/
* https://www.iana.org/assignments/iana-ipv6-special-registry/

Blocks that the registries call globally reachable are in the lists too: they are services of the network itself
(PCP, TURN, AMT, AS112), answered by the nearest router that offers them and never by a customer's web server.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network, RFC 791; Linux connects 0.0.0.0 to loopback
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # shared by carriers, RFC 6598; Alibaba's metadata is 100.100.100.200
        "127.0.0.0/8",  # loopback, RFC 1122
        "168.63.129.16/32",  # Azure's host agent, on an address that looks public
        "169.254.0.0/16",  # link-local, RFC 3927; metadata of most clouds
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890; Oracle's metadata is 192.0.0.192
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # AMT relays, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarking, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast, RFC 5771
        "240.0.0.0/4",  # reserved, RFC 1112, and broadcast, RFC 919
    )
)

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")

_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # IETF protocol assignments, RFC 2928: Teredo, benchmarking, ORCHID and others
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4, RFC 3056
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3ffe::/16",  # 6bone, handed back by RFC 3701
        "3fff::/20",  # documentation, RFC 9637
    )
)

#: RFC 6052. The prefix of RFC 8215, 64:ff9b:1::/48, is for local use only and stays denied.
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32_BITS: Final = 0xFFFF_FFFF
#: RFC 5214, section 6.1: the upper half of an ISATAP interface identifier, and a mask over its "u" bit.
_ISATAP: Final = 0x0000_5EFE
_ISATAP_MASK: Final = 0xFDFF_FFFF


def is_public(address: Address) -> bool:
    """Tell whether a connection to `address` goes to the open internet, and nowhere else.

    An IPv6 address that carries an IPv4 one is judged by what it carries where such addresses are in use: IPv4-mapped
    ones (RFC 4291, what a dual-stack socket reads), NAT64 (RFC 6052, what DNS64 answers for every IPv4-only host in an
    IPv6-only network) and ISATAP (RFC 5214, whose prefix must be public besides). 6to4, Teredo, IPv4-compatible and
    IPv4-translated addresses are refused whatever they carry: nobody serves images over them. An address with a zone
    is refused, since it means something on this machine only.
    """
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_V4)
    if address.scope_id is not None:
        return False
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    carried = IPv4Address(int(address) & _LOW_32_BITS)
    if address in _NAT64:
        return is_public(carried)
    if address not in _GLOBAL_UNICAST or any(address in block for block in _NOT_PUBLIC_V6):
        return False
    is_isatap = (int(address) >> 32) & _ISATAP_MASK == _ISATAP
    return not is_isatap or is_public(carried)
