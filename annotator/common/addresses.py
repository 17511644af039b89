"""Which addresses of the network a request made for somebody may reach: public ones, judged by what they stand for."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], list[str]]

# IANA's special-purpose registries, multicast and reserved space, and what clouds answer machines of their own at.
REFUSED: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
            "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
            "2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20",
        ),
    )
)  # fmt: skip
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)")


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def may_reach(address: str, allowed: Iterable[Network] = ()) -> bool:
    """Whether the address is public, or one of the networks that the administrator allows."""
    if "%" in address:
        return False
    given = ip_address(address)
    meant = embedded(given)
    if any(each.version == one.version and one in each for each in allowed for one in {given, meant}):
        return True
    if meant.version == 6 and meant not in GLOBAL_UNICAST:
        return False
    return not any(each.version == meant.version and meant in each for each in REFUSED)


def is_odd_number(host: str) -> bool:
    """Whether a host is an IPv4 address in a form people do not write: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    labels = host.rstrip(".").split(".")
    if not NUMBER.fullmatch(labels[-1]):
        return False
    try:
        return str(IPv4Address(host)) != host
    except ValueError:
        return True


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, in the order in which the system would try them; OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def resolve_within(resolver: Resolver, host: str, port: int, seconds: float) -> Sequence[str]:
    """The same, but TimeoutError after `seconds`: the system's resolver knows no limit of ours."""
    answer: list[list[str] | Exception] = []

    def ask() -> None:
        try:
            answer.append(resolver(host, port))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    thread = threading.Thread(target=ask, name="resolver", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if not answer:
        raise TimeoutError
    found = answer[0]
    if isinstance(found, Exception):
        raise found
    return found
