"""The installed `dailies` command and its server, each in a process of its own.

Shared by the tests, the smoke recipe and the benchmarks.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import httpx2
from cli_runner import is_setting, run_in_process

# Plain HTTP: to read the certificates of this machine takes a client longer than most requests.
CLIENT: dict[str, Any] = {"timeout": 60, "trust_env": False, "verify": False}
COMMAND = Path(sys.executable).with_name("dailies")
READY_WITHIN_SECONDS = 60
READY_LINE = "Uvicorn running on"


class RunDailies(Protocol):
    def __call__(
        self, *args: str | Path, stdin: str = "", **settings: str
    ) -> subprocess.CompletedProcess[str]: ...


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with no setting of Dailies but the given ones."""
    inherited = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return inherited | {"DAILIES_DATA_DIR": str(data_dir)} | settings


def run_dailies(
    data_dir: Path, *args: str | Path, stdin: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in the folder above `data_dir`, whatever its exit code."""
    return subprocess.run(
        [COMMAND, *map(str, args)],
        cwd=data_dir.parent,
        env=environment(data_dir, **settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class ServerProcess:
    """`dailies serve` over one data folder: started by `with`, ended by its process id.

    `command` is another one that serves.
    """

    def __init__(
        self,
        data_dir: Path,
        *options: str,
        command: tuple[str | Path, ...] = (COMMAND, "serve"),
        **settings: str,
    ) -> None:
        self.data_dir = data_dir
        self.log = data_dir.parent / f"{data_dir.name}-server.log"
        self.port = free_port()
        self._command = command
        self._options = options
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    def start(self) -> None:
        """Return once the server answers; RuntimeError with its log if it ends or never does."""
        self._spawn()
        while not self._ready():
            if "address already in use" not in self._log_of_this_run():
                raise RuntimeError(f"no server on {self.url}:\n{self._log_of_this_run()}")
            self.port = free_port()
            self._spawn()

    def stop(self) -> None:
        """End the server as an administrator does (SIGTERM)."""
        self._running().terminate()
        self._wait()

    def kill9(self) -> None:
        """End the server as a power cut does (SIGKILL)."""
        self._running().kill()
        self._wait()

    def restart(self) -> None:
        """Start again on the same port, after ending what still runs."""
        if self._process is not None:
            self.stop()
        self.start()

    def token(self, actor: str, *can: str) -> str:
        """A new token for `actor`, limited to the actions in `can` if there are any."""
        limits = [word for action in can for word in ("--can", action)]
        done = run_in_process(self.data_dir, "token", actor, *limits, **self._settings)
        if done.returncode:
            raise RuntimeError(f"dailies token: {done.stderr}")
        return done.stdout.strip()

    def request(
        self, method: str, path: str, *, token: str | None = None, **options: Any
    ) -> httpx2.Response:
        """One request on a connection of its own; `options` are httpx's (json, headers, ...)."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        with httpx2.Client(base_url=self.url, **CLIENT) as client:
            return client.request(method, path, headers=headers, **options)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process

    def _spawn(self) -> None:
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self.port), *self._options],
                cwd=self.data_dir.parent,
                env=environment(self.data_dir, **self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _ready(self) -> bool:
        """True once it answers; False when the process has ended or the time is up."""
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            # Another server may have taken the port: only our own log tells that ours has it.
            if READY_LINE in self._log_of_this_run():
                return self.request("GET", "/-/versions.json").status_code < 500
            if self._ends_within(0.05):
                self._process = None
                return False
        self.kill9()
        return False

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._running().wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _log_of_this_run(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _wait(self) -> None:
        process = self._running()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError("the server did not end by itself within 30 seconds") from None
        finally:
            self._process = None
