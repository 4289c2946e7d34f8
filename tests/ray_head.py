"""A Ray cluster of this machine's own, for tests: a head, further nodes, and an end for all of their processes.

It has its own folder and its own token, and touches nothing of a cluster that runs here already.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

LOCAL = "127.0.0.1"
PATIENCE_SECONDS = 180
ROOT = Path(__file__).parents[1]


_PRETEND = """
import json, sys
from ray._raylet import GcsClient
head, key, space = GcsClient(address=sys.argv[1]), b"CLUSTER_METADATA", b"cluster"
said = json.loads(head.internal_kv_get(key, namespace=space)) | json.loads(sys.argv[2])
head.internal_kv_put(key, json.dumps(said).encode(), True, namespace=space)
"""  # the note in which Ray looks for the cluster's versions


def free_port(beyond: int = 0) -> int:
    """A port below those that the system gives away by itself, and outside those of Ray's own workers."""
    for port in range(beyond + 1 if beyond else 20_000 + os.getpid() % 9_000, 32_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


class RayHead:
    """A head with ``cpus`` processors. Use it as a context manager. ``environ`` is what a driver needs to be let in."""

    def __init__(self, cpus: float = 2) -> None:
        self.cpus = cpus
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: names of sockets have 107 characters
        self.token_file = self.folder / "token"
        self.token_file.write_text(uuid.uuid4().hex + uuid.uuid4().hex)
        self.port = free_port()
        self.address = f"{LOCAL}:{self.port}"
        self._client_port = free_port(self.port)
        self.client_address = f"ray://{LOCAL}:{self._client_port}"
        self.environ = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}
        self._nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "RayHead":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill_all()
        for node in self._nodes:
            node.wait()
        subprocess.run(["rm", "-rf", str(self.folder)], check=True)

    def start(self) -> subprocess.Popen[bytes]:
        """Start the head, and wait until it takes drivers."""
        options = ["--head", f"--port={self.port}", f"--temp-dir={self.folder}/r", f"--num-cpus={self.cpus}"]
        return self._start_node(
            [*options, "--include-dashboard=false", f"--ray-client-server-port={self._client_port}"]
        )

    def add_node(self, cpus: float = 1, python_path: str = str(ROOT)) -> subprocess.Popen[bytes]:
        """Start another node on this machine, which imports from ``python_path`` first; wait until it is there."""
        return self._start_node([f"--address={self.address}", f"--num-cpus={cpus}"], python_path)

    def pretend(self, **versions: str) -> None:
        """Have the head say to whoever comes that it was started with other versions (``ray_version=``...)."""
        environ = os.environ | self.environ
        subprocess.run([sys.executable, "-c", _PRETEND, self.address, json.dumps(versions)], env=environ, check=True)

    def _start_node(self, options: list[str], python_path: str = str(ROOT)) -> subprocess.Popen[bytes]:
        log = self.folder / f"node-{len(self._nodes)}.log"
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", "--block", "--disable-usage-stats", f"--node-ip-address={LOCAL}", *options]
        # Ray starts workers as the least of all processes; on a busy machine they would hardly ever have their turn.
        environ = os.environ | self.environ | {"RAY_worker_niceness": "0", "PYTHONPATH": python_path}
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True)
        self._nodes.append(process)
        wait_until(lambda: b"runtime started" in log.read_bytes() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        return process

    def kill_all(self) -> None:
        """End every process of the cluster at once, as a power cut would."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not list(self.pids()))

    def pids(self, of: str = "") -> Iterator[int]:
        """The processes of the cluster (of this name), known by the token that each of them was given."""
        mark = f"RAY_AUTH_TOKEN_PATH={self.token_file}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0") and _lives(folder) and of in _words(folder):
                    pid = int(folder.name)
                    if pid != os.getpid():
                        yield pid


def _lives(folder: Path) -> bool:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _words(folder: Path) -> str:
    return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def wait_until(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
