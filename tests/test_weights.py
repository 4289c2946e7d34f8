"""Weights are found, checked and fetched whole, whatever the network does on the way."""

import hashlib
import http.server
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from monet_watch.engine.vgg import VGG19
from monet_watch.errors import WeightsError
from monet_watch.weights import (
    NAMED_SOURCES,
    OXFORD_SHA256,
    TORCHVISION_BYTES,
    TORCHVISION_SHA256_PREFIX,
    TORCHVISION_URL,
    default_folder,
    fetch_torchvision,
    find,
    listing,
    load_network,
)

ROOT = Path(__file__).parents[1]
KEPT = "vgg19-torchvision.safetensors"


class Server(http.server.ThreadingHTTPServer):
    """A web server of one file. ``plan`` holds what to do with the next requests; after that it behaves well.

    Steps of a plan: an int answers that status, ("cut", n) breaks off after n bytes, ("stall", n) waits there until
    ``released``, "plain" knows no ranges, "endless" tells no length, "huge" tells a length that no disk holds.
    """

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.tag = '"first"'
        self.plan = []
        self.ranges = []
        self.released = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/vgg19.pth"

    @property
    def digest(self):
        return hashlib.sha256(self.content).hexdigest()

    def handle_error(self, request, client_address):
        pass  # clients that were killed


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        step = server.plan.pop(0) if server.plan else None
        if isinstance(step, int):
            self.send_error(step)
            return
        start = 0 if step == "plain" else self.start(server)
        if start >= len(server.content) and start > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        self.head(server, start, step)
        self.body(server.content[start:], step)

    def start(self, server):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fits = self.headers.get("If-Range") in (None, server.tag)
        return int(asked[1]) if asked and fits else 0

    def head(self, server, start, step):
        size = len(server.content)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if step != "endless":
            self.send_header("Content-Length", str(10**16 if step == "huge" else size - start))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()

    def body(self, content, step):
        kind, length = step if isinstance(step, tuple) else ("", len(content))
        self.wfile.write(content[:length])
        if kind == "stall":
            self.wfile.flush()
            self.server.released.wait(60)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def download(tiny_weights):
    """A file as torchvision's, but narrow: the features up to conv5_1 and more, and a classifier."""
    state = dict(load_file(tiny_weights.path))
    state |= {"features.30.weight": torch.zeros(8, 8, 3, 3), "features.30.bias": torch.zeros(8)}
    state |= {"classifier.0.weight": torch.rand(200, 500), "classifier.0.bias": torch.zeros(200)}
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def server(download):
    server = Server(download)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """Fetch from the server into ``tmp_path / "weights"`` without pausing between tries; ``fetch.pauses`` has them."""

    def fetch(**options):
        options = {"url": server.url, "sha256_prefix": server.digest[:8], "pause": fetch.pauses.append, **options}
        return fetch_torchvision(tmp_path / "weights", **options)

    fetch.pauses = []
    return fetch


def files_in(folder):
    return {path.name for path in folder.iterdir() if path.name != ".fetch.lock"}


def test_the_oxford_weights_of_the_installed_package_are_found_and_right(tmp_path):
    found = find("oxford", tmp_path)

    assert found.sha256 == OXFORD_SHA256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.source == "oxford"


def test_torchvision_publishes_the_file_under_this_name():
    published = torchvision.models.VGG19_Weights.IMAGENET1K_V1.url

    assert published == TORCHVISION_URL
    assert f"-{TORCHVISION_SHA256_PREFIX}.pth" in published


def test_what_is_fetched_is_kept_as_its_convolutions_only_and_found_again(fetch, tiny_weights, tmp_path):
    path = fetch()

    assert path == tmp_path / "weights" / KEPT
    kept, original = load_file(path), load_file(tiny_weights.path)
    assert set(kept) == set(original)
    assert all(torch.equal(kept[name], original[name]) for name in kept)
    assert files_in(path.parent) == {KEPT, "vgg19-torchvision.json"}
    found = find("torchvision", path.parent)
    assert (found.path, found.sha256) == (path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_record_tells_where_the_weights_came_from(fetch, server):
    path = fetch()
    record = json.loads(path.with_name("vgg19-torchvision.json").read_text())

    assert record["url"] == server.url
    assert record["download_sha256"] == server.digest
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_network_of_the_real_shape_is_kept(fetch, server):
    """The names and shapes are those of torchvision's own model; of its classifier only the name is here."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in torchvision.models.vgg19(weights=None).state_dict().items()}
    state = {name: torch.full(shape, 0.01) for name, shape in shapes.items() if name.startswith("features")}
    file = io.BytesIO()
    torch.save({**state, "classifier.6.bias": torch.zeros(1000)}, file)
    server.content = file.getvalue()
    path = fetch()

    assert {name: value.shape for name, value in load_file(path).items()} == {
        f"features.{place}.{part}": shapes[f"features.{place}.{part}"]
        for place in (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
        for part in ("weight", "bias")
    }
    assert isinstance(load_network("torchvision", "cpu", path.parent), VGG19)


def test_progress_is_told_up_to_the_whole(fetch, server):
    told = []
    fetch(progress=lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert told[-1] == (len(server.content), len(server.content))


def test_a_second_fetch_asks_nobody(fetch, server):
    first = fetch()
    before = first.stat().st_mtime_ns
    server.plan = [500]

    assert fetch() == first
    assert first.stat().st_mtime_ns == before
    assert len(server.ranges) == 1


def test_weights_that_were_damaged_since_are_fetched_again(fetch, server):
    path = fetch()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="not the ones expected"):
        find("torchvision", path.parent)

    assert find("torchvision", fetch().parent).path == path
    assert len(server.ranges) == 2


def test_a_dropped_connection_goes_on_where_it_stopped(fetch, server):
    server.plan = [("cut", 1000), ("cut", 50_000)]
    fetch()

    assert server.ranges == [None, "bytes=1000-", "bytes=51000-"]
    assert fetch.pauses == [1, 1]


def test_a_server_that_is_busy_is_asked_again_after_growing_pauses(fetch, server):
    server.plan = [503, 429, 500]
    fetch()

    assert fetch.pauses == [2, 4, 8]


def test_a_file_that_changed_in_between_is_fetched_from_the_start(fetch, server, download):
    server.plan = [("cut", 1000), 404]
    with pytest.raises(WeightsError, match="404"):
        fetch()
    server.content, server.tag = download[:-1] + b"?", '"second"'
    fetch(sha256_prefix=hashlib.sha256(server.content).hexdigest())

    assert server.ranges[-1] == "bytes=1000-"


@pytest.mark.parametrize("plan", [[("cut", 1000), "plain"], ["endless"], [("cut", 1000), "endless"]])
def test_servers_without_ranges_or_lengths_will_do(fetch, server, plan):
    server.plan = plan

    assert fetch().exists()


def test_a_download_that_was_whole_but_not_converted_is_not_fetched_twice(fetch, server, tmp_path):
    (tmp_path / "weights").mkdir()
    part = tmp_path / "weights" / "vgg19-torchvision.pth.part"
    part.write_bytes(server.content)
    fetch()

    assert server.ranges == [f"bytes={len(server.content)}-"]  # answered with 416: there is no more


def test_a_part_longer_than_the_file_is_thrown_away(fetch, server, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg19-torchvision.pth.part").write_bytes(server.content + b"more")
    fetch()

    assert server.ranges[1:] == [None]


def test_a_file_that_is_not_there_is_told_with_its_address(fetch, server):
    server.plan = [404]

    with pytest.raises(WeightsError, match=re.escape(f"{server.url} cannot be fetched: the server answers 404")):
        fetch()
    assert fetch.pauses == []


def test_a_server_that_never_answers_well_is_given_up(fetch, server):
    server.plan = [503] * 20

    with pytest.raises(WeightsError, match="503") as caught:
        fetch()
    assert len(server.ranges) == 6
    assert "goes on where it stopped" in caught.value.remedy


def test_no_server_at_all_is_told(fetch):
    with pytest.raises(WeightsError, match="cannot be fetched"):
        fetch(url="http://127.0.0.1:9/vgg19.pth")


def test_another_file_than_the_one_expected_is_removed(fetch, tmp_path):
    with pytest.raises(WeightsError, match="should begin with 00000000"):
        fetch(sha256_prefix="00000000")
    assert files_in(tmp_path / "weights") == set()


def test_a_disk_without_room_is_told_before_anything_is_written(fetch, server, tmp_path):
    server.plan = ["huge"]

    with pytest.raises(WeightsError, match="not enough room"):
        fetch()
    assert (tmp_path / "weights" / "vgg19-torchvision.pth.part").stat().st_size == 0


def test_a_disk_that_fills_up_in_between_is_told_and_what_is_here_stays(fetch, server, tmp_path):
    """A limit on the size of files stands in for the full disk; both are errors of the same call."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(WeightsError, match="cannot be written"):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fetch()
    assert server.ranges[1] is not None


def test_a_folder_that_cannot_be_made_is_told(fetch, tmp_path):
    (tmp_path / "weights").write_text("a file")

    with pytest.raises(WeightsError, match="cannot be written"):
        fetch()


FETCHING = """
import sys
from pathlib import Path
from monet_watch.weights import fetch_torchvision
fetch_torchvision(Path(sys.argv[1]), url=sys.argv[2], sha256_prefix=sys.argv[3], pause=lambda seconds: None)
"""


def fetching_process(server, folder):
    command = [sys.executable, "-c", FETCHING, str(folder), server.url, server.digest]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_two_processes_at_once_fetch_the_file_once(server, tmp_path):
    processes = [fetching_process(server, tmp_path / "weights") for _ in range(2)]

    assert [process.wait(120) for process in processes] == [0, 0]
    assert len(server.ranges) == 1
    assert find("torchvision", tmp_path / "weights")


def test_a_fetch_killed_in_the_middle_goes_on_where_it_stopped(server, fetch, tmp_path):
    server.plan = [("stall", 200_000)]
    with fetching_process(server, tmp_path / "weights") as process:
        part = tmp_path / "weights" / "vgg19-torchvision.pth.part"
        while not (part.exists() and part.stat().st_size):
            assert process.poll() is None, "it ended too early"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    have = part.stat().st_size
    fetch()

    assert 0 < have <= 200_000
    assert server.ranges == [None, f"bytes={have}-"]


def test_weights_that_were_not_fetched_are_told_with_the_command(tmp_path):
    with pytest.raises(WeightsError, match="have not been fetched") as caught:
        find("torchvision", tmp_path)
    assert "monet-watch weights fetch torchvision" in caught.value.remedy


def test_weights_without_their_record_are_not_trusted(fetch):
    path = fetch()
    path.with_name("vgg19-torchvision.json").write_text("{}")

    with pytest.raises(WeightsError, match="cannot be checked"):
        find("torchvision", path.parent)


def test_a_path_is_a_source(tiny_weights, tmp_path):
    assert find(str(tiny_weights.path), tmp_path) == tiny_weights


@pytest.mark.parametrize(
    ("source", "words"),
    [("oxfrod", "Did you mean oxford"), ("alexnet", "No weights are named 'alexnet'"), ("/no/such.pth", "no weights")],
)
def test_a_source_that_does_not_exist_is_told_with_the_nearest_name(tmp_path, source, words):
    with pytest.raises(WeightsError) as caught:
        find(source, tmp_path)
    assert words in str(caught.value)


def test_the_listing_tells_of_each_source_where_it_lies_and_whether_it_is_right(fetch, tmp_path):
    oxford, torchvision_before = listing(tmp_path / "weights")
    fetch()
    _, torchvision_after = listing(tmp_path / "weights")

    assert (oxford.name, torchvision_before.name) == NAMED_SOURCES
    assert oxford.present and oxford.verified and oxford.reason == ""
    assert oxford.size_bytes == oxford.path.stat().st_size
    assert "Simonyan" in oxford.credit
    assert not torchvision_before.present and "fetch" in torchvision_before.reason
    assert torchvision_before.size_bytes == TORCHVISION_BYTES
    assert torchvision_after.present and torchvision_after.verified


def test_a_network_is_loaded_by_the_name_of_its_weights(tiny_weights):
    network = load_network(str(tiny_weights.path), "cpu")

    assert isinstance(network, VGG19)
    assert network.device == torch.device("cpu")


def test_the_default_folder_is_the_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_folder() == tmp_path / "monet-watch" / "weights"


@pytest.mark.parametrize(
    "url", ["mirror", "ftp://example.org/vgg19.pth", "file:///tmp/vgg19.pth", "http://[::1", "https:///x"]
)
def test_what_is_no_address_of_the_web_is_refused_at_once(tmp_path, url):
    with pytest.raises(WeightsError, match="is no address") as caught:
        fetch_torchvision(tmp_path / "weights", url=url, pause=lambda seconds: pytest.fail("it was tried again"))
    assert "https://" in caught.value.remedy
