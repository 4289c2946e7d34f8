"""How a process of this program's own becomes a driver of a Ray cluster; ray is imported there, and by nobody else."""

import importlib.util
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from monet_watch.errors import WorkerError
from monet_watch.service import leave_no_core
from monet_watch.workers.base import WeightsFile
from monet_watch.workers.cluster import Cluster, Unreachable
from monet_watch.workers.process import set_up_process

if TYPE_CHECKING:
    from monet_watch.workers.ray_driver import Joined

__all__ = ["CONNECT_SECONDS", "join_cluster"]

CONNECT_SECONDS = 90.0
"""How long to wait for the first report of such a process: Ray tries for 45 before it gives up another version."""

_TOKEN_FILE = Path(".ray/auth_token")  # in the home folder, where Ray looks for it


def join_cluster(connection: Connection, cluster: Cluster, weights: WeightsFile) -> "Joined | None":
    """Make this process, which was spawned for it, a driver of ``cluster``, with ``weights`` in the object store there.

    Where that cannot be, `Unreachable` is sent through ``connection``, and None returned.
    """
    set_up_process()
    leave_no_core()
    with tempfile.TemporaryFile() as said:
        _speak_into(said.fileno())
        try:
            _require_ray()
            _use_token(cluster)
            from monet_watch.workers.ray_driver import connect

            joined = connect(cluster, weights, said)
        except WorkerError as error:
            connection.send(Unreachable(error.message, error.remedy))
            return None
        except OSError as error:
            connection.send(Unreachable(str(error)))
            return None
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (a device)
        _speak_into(nothing.fileno())
    return joined


def _speak_into(descriptor: int) -> None:
    """Ray says a lot to the standard error by itself; what matters of it is told in our own words."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _require_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        raise WorkerError("Ray is not installed on this machine.", "Install it: pip install 'monet-watch[cluster]'.")


def _use_token(cluster: Cluster) -> None:
    """Send a token where there is one: a cluster that wants none does not mind. Ray reads it when it is imported."""
    file = cluster.token_file
    if file is not None:
        if not file.is_file():
            raise WorkerError(f"The token of the cluster, {file}, is not there.", "Copy it from the cluster's head.")
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(file)
    named = not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}.isdisjoint(os.environ)
    if named or (Path.home() / _TOKEN_FILE).is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
