"""Who sent a request, as far as limits for each client need to know."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from typing import Any

SETTING = "DAILIES_TRUSTED_PROXIES"


def client_of(scope: Mapping[str, Any]) -> str:
    """The address of the client; of an IPv6 address its network, of which one client has all."""
    host = str((scope.get("client") or ("",))[0])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def trusted_proxies() -> list[str]:
    """The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed; none by default.

    ValueError if one is neither an address nor a network, for then nothing would match it.
    """
    named = [part.strip() for part in os.environ.get(SETTING, "").split(",") if part.strip()]
    for name in named:
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise ValueError(f"{SETTING}: {name!r} is not an IP address or network") from error
    return named
