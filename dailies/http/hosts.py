"""Which names a request may use for this server, so that no other site's name leads to it.

A page of another site can have its own name resolved to this address (DNS rebinding), for which the
browser then takes this server. That needs a name: every IP address is accepted.
"""

from __future__ import annotations

import os
import re
import socket
from functools import lru_cache
from ipaddress import ip_address

from dailies.errors import RequestError
from dailies.http.limits import Scope

SETTING = "DAILIES_ALLOWED_HOSTS"
REFUSED = f"The Host of this request is not an address of this server: {SETTING} lists more"
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z_.-]+?)\.?(?::[0-9]{1,5})?", re.ASCII)

served = {"localhost", socket.gethostname().lower()}  # and what `dailies serve --host` names


def check_host(scope: Scope) -> None:
    """RequestError if a Host header names another server."""
    address = str((scope.get("server") or ("",))[0])
    for name, value in scope["headers"]:
        if name == b"host" and not is_known(value.decode("latin-1"), address, setting()):
            raise RequestError(400, REFUSED)


def setting() -> str:
    return os.environ.get(SETTING, "")


@lru_cache(1000)
def is_known(host: str, address: str, listed: str) -> bool:
    """True if a Host header names the address that was connected to, or a name of this server."""
    found = HOST.fullmatch(host.lower())
    if not found:
        return False
    name = found[1].strip("[]")
    return name in served or name == address.lower() or name in names_in(listed) or is_ip(name)


def names_in(listed: str) -> frozenset[str]:
    """The names of a list separated by commas; ValueError for what is no name of a host."""
    names = frozenset(part.strip().lower() for part in listed.split(",")) - {""}
    for name in sorted(names):
        found = HOST.fullmatch(name)
        if not found or found[0] != found[1]:
            raise ValueError(f"{SETTING}: {name!r} is not the name of a host, such as example.org")
    return names


def is_ip(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
