"""What is said of a Ray cluster that cannot be used, and of an actor there that is lost."""

import contextlib
import json
import os
import platform
import re

import ray
import ray.exceptions

from monet_watch import __version__
from monet_watch.errors import WorkerError
from monet_watch.workers.base import WorkerDied
from monet_watch.workers.cluster import Cluster

__all__ = ["cannot_connect", "how_it_was_lost", "require_same_version"]

_VERSIONS = f"Ray {ray.__version__} and Python {platform.python_version()}"
_VERSIONS_REMEDY = "Install the same versions on this machine and on all of the cluster's."
_TOKEN_REMEDY = "Copy ~/.ray/auth_token from the head to this machine, or name a copy by cluster.token_file."
_USUAL_REMEDY = (
    "Check cluster.address in the config, and the token (see README); `ray status` on the head says how it is."
)
_TOKEN_WORDS = re.compile("InvalidAuthToken|Unauthenticated|AuthenticationError")


def cannot_connect(cluster: Cluster, error: Exception, said: str) -> WorkerError:
    """What to tell of ``error``; that a token was refused, Ray says to the standard error alone."""
    text = " ".join((str(error) or str(error.__context__ or "")).split())
    is_token = isinstance(error, ray.exceptions.AuthenticationError) or _TOKEN_WORDS.search(text + said)
    fault, remedy = (
        _token_fault()
        if is_token
        else _other_versions(cluster, text)
        or _by_client(str(error))
        or (f"cannot be used: {text or type(error).__name__}", _USUAL_REMEDY)
    )
    return WorkerError(f"{cluster.words} {fault}", remedy)


def _token_fault() -> tuple[str, str]:
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return "does not accept the token.", _TOKEN_REMEDY
    return "wants an authentication token, and there is none.", _TOKEN_REMEDY


def _other_versions(cluster: Cluster, text: str) -> tuple[str, str] | None:
    there = _versions_in(text) or ("" if cluster.is_by_client else _versions_at(cluster.address))
    if there in ("", _VERSIONS):
        return None
    return f"runs {there}, and this machine {_VERSIONS}.", _VERSIONS_REMEDY


def _by_client(text: str) -> tuple[str, str] | None:
    """What is most likely where Ray's client ends before it has asked for the versions, or waits for ever."""
    if "client connection timeout" in text:
        fault = "does not let this machine in, though its port is open."
        return fault, f"Most often the authentication token is missing or wrong. {_TOKEN_REMEDY}"
    if "Initialization failure from server" in text:
        fault = f"cannot serve this machine, which has {_VERSIONS}: {text.strip().splitlines()[-1]}."
        return fault, f"It may run other versions. {_VERSIONS_REMEDY}"
    return None


def _versions_in(text: str) -> str:
    """What the cluster runs, where Ray itself says that it differs: first what is there, and then what is here."""
    found = re.findall(r"Ray: (\S+) Python: (\S+)", text)
    return f"Ray {found[0][0]} and Python {found[0][1]}" if found else ""


def _versions_at(address: str) -> str:
    """What the cluster runs, as its head has noted it down; empty where that cannot be read.

    Of a much older or newer cluster Ray says no more than that it cannot connect. The note is no part of Ray's
    documented interface, and so nothing depends on it but these words.
    """
    with contextlib.suppress(Exception):
        head = ray._raylet.GcsClient(address=address)  # type: ignore[attr-defined]
        noted = head.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster")
        versions = json.loads(noted)
        return f"Ray {versions['ray_version']} and Python {versions['python_version']}"
    return ""


def require_same_version(version: str) -> None:
    if version != __version__:
        words = f"A node of the cluster has monet-watch {version}, and this machine has {__version__}."
        raise WorkerError(words, "Install the same version on all: others may paint other pictures.")


def how_it_was_lost(error: Exception) -> WorkerDied:
    """What is said of an actor that is lost. The painting itself runs beside it: it is not to blame."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split()))
    if "ModuleNotFoundError" in text and "monet_watch" in text:
        return WorkerDied("monet-watch is not installed on a node of the cluster; install the same version there", True)
    match error:
        case ray.exceptions.OutOfMemoryError():
            return WorkerDied("the cluster ended it because the memory of its node ran out")
        case ray.exceptions.ActorDiedError() if "creation task" in text:
            what = f"{text[-300:]}; has every node of the cluster monet-watch {__version__}?"
            return WorkerDied(f"its actor cannot be made: {what}", blameless=True)
        case ray.exceptions.RayActorError():
            return WorkerDied("its actor or its node was lost", blameless=True)
        case _:
            return WorkerDied(f"the cluster has lost it: {type(error).__name__}: {text[-300:]}", blameless=True)
