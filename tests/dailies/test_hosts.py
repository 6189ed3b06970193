from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx2
import pytest
from datasette.app import Datasette
from in_process import serving

from dailies.http import hosts

KNOWN = (
    *("localhost", "LOCALHOST:8001", "localhost.", "127.0.0.1", "127.0.0.1:8001", "10.1.2.3:80"),
    *("[::1]", "[::1]:8001", "[2001:db8::1]", "0.0.0.0:8001", socket.gethostname()),
    *("dailies.example", "Dailies.Example:443", "other.example"),
)
UNKNOWN = (
    *("evil.example", "evil.example:8001", "localhost.evil.example", "evil.example.localhost"),
    *("127.0.0.1.evil.example", "dailies.example.evil", "xdailies.example", "example"),
    *("", ":", "[", "[::1", "::1", "localhost:x", "localhost:123456", "a@localhost", "localhost/"),
    *("localhost\\", "local host", "localhost,evil.example", "127.1", "0x7f000001", "é"),
)


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(tmp_path_factory.mktemp("hosts")))
        patch.setenv("DAILIES_ALLOWED_HOSTS", " dailies.example,Other.Example ,")
        with serving() as served:
            yield served


async def status_of(datasette: Datasette, *sent: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=datasette.app())
    headers = [(b"host", host.encode("latin-1")) for host in sent]
    async with httpx2.AsyncClient(transport=transport, base_url="http://192.0.2.1") as client:
        request = httpx2.Request("GET", "http://192.0.2.1/-/versions.json", headers=headers)
        return await client.send(request)


@pytest.mark.parametrize("host", KNOWN)
async def test_names_and_addresses_of_this_server_are_known(
    datasette: Datasette, host: str
) -> None:
    assert (await status_of(datasette, host)).status_code == 200


@pytest.mark.parametrize("host", UNKNOWN)
async def test_other_names_are_refused(datasette: Datasette, host: str) -> None:
    for sent in ((host,), ("localhost", host), (host, "localhost")):
        answer = await status_of(datasette, *sent)
        assert (answer.status_code, answer.json()["error"]) == (400, hosts.REFUSED)


@pytest.mark.parametrize("listed", ["http://x", "x:80", "a b", "*", "*.example.org", "x/"])
def test_a_setting_that_makes_no_sense_is_refused(listed: str) -> None:
    with pytest.raises(ValueError, match=r"DAILIES_ALLOWED_HOSTS: .* is not the name of a host"):
        hosts.names_in(f"ok.example,{listed}")
