"""The daemon and a Ray cluster, both real: painted there as at home, and whoever is killed, nothing lost or doubled."""

import hashlib
import json
import os
import platform
import signal
from importlib.metadata import version
from pathlib import Path

import pytest

from monet_watch import __version__
from tests.end_to_end.house import Home, program, wait_until
from tests.ray_head import ROOT, RayHead

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds Ray's processes by Linux's /proc"),
]

LONG = 400  # steps of a tiny network: some seconds


@pytest.fixture(scope="module")
def head():
    with RayHead() as head:
        yield head


@pytest.fixture
def own_head():
    """A cluster that the test may end."""
    with RayHead() as head:
        yield head


@pytest.fixture
def make_home(tmp_path, tiny_weights, make_photo):
    def make(name, cluster=None, **settings):
        home = Home(
            tmp_path / name,
            with_style=False,
            weights=str(tiny_weights.path),
            settle_seconds=0.05,
            nice=0,
            gallery=False,
            **({} if cluster is None else {"cluster": cluster}),
            **settings,
        )
        home.configure(defaults={"image_size": 32, "steps": 6, "save_every": 2, "least_gain": 0.0})
        home.write("style.png", make_photo(32, 32, 99))
        return home

    return make


def on(head, workers=2, **more):
    """The config of a cluster: so many workers of a processor each."""
    return {
        "address": head.address,
        "token_file": str(head.token_file),
        "gpus_per_worker": 0,
        "cpus_per_worker": 1,
        "max_workers": workers,
        "fallback": "none",
        **more,
    }


def paintings(home):
    """The SHA-256 of each painting, by its folder."""
    return {
        name: hashlib.sha256((home.outbox / name / f"{name}.png").read_bytes()).hexdigest() for name in home.records()
    }


def actor(head):
    """The process of the one actor that there is."""
    found = [pid for pid in head.pids() if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::RayStudio")]
    return found[0] if found else None


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("way", ["address", "client_address"])
def test_two_actors_paint_what_one_process_at_home_paints_to_the_byte(make_home, make_photo, head, way):
    """Whether the daemon is a part of the cluster or comes in by Ray's client."""
    away, home = make_home("away", on(head, address=getattr(head, way))), make_home("home")
    for place in (away, home):
        for number in range(4):
            place.write(f"photo{number}.png", make_photo(32, 40, number))
        with place.daemon("--once") as daemon:
            assert daemon.ended() == 0, daemon.log

    assert len(paintings(home)) == 4
    assert paintings(away) == paintings(home)


def test_an_actor_that_is_killed_costs_no_attempt_and_its_painting_goes_on_elsewhere(make_home, make_photo, head):
    home = make_home("home", on(head, workers=1))
    home.configure(defaults={"steps": LONG, "save_every": 50})
    home.write("photo.png", make_photo(32, 40, 1))
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "photo.png", step=100)  # so the checkpoint at 50 is kept
        os.kill(actor(head), signal.SIGKILL)
        daemon.wait_for("worker-died", "photo.png")
        daemon.wait_for("done", "photo.png")

    record = home.record("photo")
    assert record.resumed_at_step >= 50 and len(record.curve.total) == LONG
    assert record.times.attempts == 1


@pytest.mark.parametrize("way", ["address", pytest.param("client_address", marks=pytest.mark.full)])
def test_a_killed_daemon_s_painting_is_finished_meanwhile_and_the_next_one_takes_it(make_home, make_photo, head, way):
    home = make_home("home", on(head, workers=1, address=getattr(head, way)))
    home.configure(defaults={"steps": LONG, "save_every": 50})
    home.write("photo.png", make_photo(32, 40, 1))
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "photo.png", step=100)  # so the checkpoint at 50 is kept
        painter = actor(head)
        daemon.kill()
    with home.daemon("--once") as daemon:
        assert daemon.ended() == 0, daemon.log
        assert len(list(daemon.told("done"))) == 1

    record = home.record("photo")
    assert record.resumed_at_step is None and len(record.curve.total) == LONG
    assert painter is not None and home.records() == ["photo"]


def test_while_no_cluster_can_be_reached_home_paints_and_says_why(make_home, make_photo, tmp_path):
    token = tmp_path / "token"
    token.write_text("0" * 64)
    nowhere = {"address": "127.0.0.1:9", "token_file": str(token), "fallback": "local", "gpus_per_worker": 0}
    home = make_home("home", nowhere)
    home.write("photo.png", make_photo(32, 40, 1))
    with home.daemon() as daemon:
        died = daemon.wait_for("worker-died")
        daemon.wait_for("done", "photo.png")

    assert "127.0.0.1:9 does not answer: Connection refused" in died["text"]


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("address", "does not accept the token. Copy ~/.ray/auth_token from the head"),
        pytest.param("client_address", "the authentication token is missing or wrong. Copy", marks=pytest.mark.full),
    ],
)
def test_a_wrong_token_is_told_in_words(make_home, head, tmp_path, way, words):
    token = tmp_path / "token"
    token.write_text("0" * 64)
    home = make_home("home", on(head, address=getattr(head, way), token_file=str(token)))
    with home.daemon() as daemon:
        died = daemon.wait_for("worker-died")

    assert words in died["text"]


def found_by_the_doctor(home):
    """Its exit code, and what it tells of the cluster and of its nodes."""
    answer = program("doctor", "--json", "--config", home.config)
    findings = json.loads(answer.stdout)["findings"]
    told = [(each["subject"], each["verdict"], each["text"]) for each in findings]
    return answer.returncode, [each for each in told if each[0] in ("cluster", "node")]


@pytest.mark.parametrize("way", ["address", pytest.param("client_address", marks=pytest.mark.full)])
def test_the_doctor_takes_steps_on_the_cluster_of_the_config(make_home, head, way):
    code, (connected, node) = found_by_the_doctor(make_home("home", on(head, address=getattr(head, way))))

    assert (code, connected[1], node[1]) == (0, "fine", "fine")
    assert "connected to a cluster of 1 node" in connected[2]
    assert "s for a step at 64 × 64 pixels; room for 2 workers" in node[2]


@pytest.mark.full
def test_the_doctor_tells_a_wrong_token_in_words(make_home, head, tmp_path):
    token = tmp_path / "token"
    token.write_text("0" * 64)
    code, (found,) = found_by_the_doctor(make_home("home", on(head, token_file=str(token))))

    assert (code, found[:2]) == (1, ("cluster", "wrong"))
    assert "does not accept the token" in found[2]


@pytest.mark.full
def test_the_doctor_tells_what_is_wrong_with_each_node(make_home, tmp_path):
    """Another monet-watch, none, and no torch: the interpreter of each node begins with such a line."""
    faults = {
        "has monet-watch 99.1.0": "import monet_watch; monet_watch.__version__ = '99.1.0'",
        "monet-watch is not installed": "import sys; sys.modules['monet_watch'] = None",
        "torch cannot be used": "import sys; sys.modules['torch'] = None",
    }
    with RayHead(cpus=0) as head:
        for number, line in enumerate(faults.values()):
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / "sitecustomize.py").write_text(line)
            head.add_node(python_path=f"{tmp_path / str(number)}{os.pathsep}{ROOT}")
        code, (_, *nodes) = found_by_the_doctor(make_home("home", on(head)))

    assert code == 1 and len(nodes) == 4
    assert [text for _, verdict, text in nodes if verdict == "note" and "holds no worker" in text]
    wrong = [text for _, verdict, text in nodes if verdict == "wrong"]
    assert all(any(fault in text for text in wrong) for fault in faults)


@pytest.mark.full
def test_where_a_cluster_wants_a_token_and_there_is_none_that_is_told(make_home, head, tmp_path):
    home = make_home("home", {name: value for name, value in on(head).items() if name != "token_file"})
    with home.daemon(HOME=str(tmp_path)) as daemon:
        died = daemon.wait_for("worker-died")

    assert "wants an authentication token, and there is none. Copy ~/.ray/auth_token from the head" in died["text"]


@pytest.mark.parametrize("other", [{"ray_version": "99.1.0"}, {"python_version": "3.99.1"}])
def test_a_cluster_of_another_version_is_told_and_used_once_it_is_the_same(make_home, make_photo, head, other):
    same = {"ray_version": version("ray"), "python_version": platform.python_version()}
    home = make_home("home", on(head, workers=1, fallback="local"))
    home.write("photo.png", make_photo(32, 40, 1))
    head.pretend(**other)
    try:
        with home.daemon() as daemon:
            died = daemon.wait_for("worker-died")
            daemon.wait_for("done", "photo.png")
            head.pretend(**same)
            daemon.wait_for("worker-said")
            home.write("second.png", make_photo(32, 40, 2))
            daemon.wait_for("done", "second.png")
    finally:
        head.pretend(**same)

    there = same | other
    assert f"runs Ray {there['ray_version']} and Python {there['python_version']}" in died["text"]
    assert f"this machine Ray {same['ray_version']} and Python {same['python_version']}" in died["text"]
    assert "Install the same versions" in died["text"]


@pytest.mark.full
def test_a_node_with_another_monet_watch_is_told_and_home_paints_meanwhile(make_home, make_photo, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import monet_watch\nmonet_watch.__version__ = '99.1.0'\n")
    with RayHead(cpus=0) as head:
        head.add_node(python_path=f"{tmp_path}{os.pathsep}{ROOT}")
        home = make_home("home", on(head, workers=1, fallback="local"))
        home.write("photo.png", make_photo(32, 40, 1))
        with home.daemon() as daemon:
            died = daemon.wait_for("worker-died")
            daemon.wait_for("done", "photo.png")

    assert f"has monet-watch 99.1.0, and this machine has {__version__}. Install the same version" in died["text"]


@pytest.mark.full
def test_a_cluster_that_ends_and_comes_back_is_used_again_and_home_paints_meanwhile(make_home, make_photo, own_head):
    home = make_home("home", on(own_head, workers=1, fallback="local"))
    home.configure(defaults={"steps": LONG, "save_every": 50})
    home.write("photo.png", make_photo(32, 40, 1))
    with home.daemon() as daemon:
        daemon.wait_for("snapshot", "photo.png", step=100)  # so the checkpoint at 50 is kept
        own_head.kill_all()
        daemon.wait_for("worker-died", "photo.png")
        daemon.wait_for("done", "photo.png")
        assert home.record("photo").resumed_at_step >= 50 and home.record("photo").times.attempts == 1
        own_head.start()
        seen = len(daemon.events)
        home.write("second.png", make_photo(32, 40, 2))
        wait_until(lambda: actor(own_head) is not None, f"an actor\n{daemon.log}")
        home.write("third.png", make_photo(32, 40, 3))
        daemon.wait_for("done", "third.png", since=seen)

    assert home.records() == ["photo", "second", "third"]


@pytest.mark.full
def test_a_node_that_leaves_in_the_middle_costs_no_attempt_and_another_one_takes_over(make_home, make_photo):
    with RayHead(cpus=0) as head:
        head.add_node(cpus=1)
        head.add_node(cpus=1)
        home = make_home("home", on(head, workers=1))
        home.configure(defaults={"steps": LONG, "save_every": 50})
        home.write("photo.png", make_photo(32, 40, 1))
        with home.daemon() as daemon:
            daemon.wait_for("snapshot", "photo.png", step=100)  # so the checkpoint at 50 is kept
            os.kill(parent(actor(head)), signal.SIGKILL)  # the raylet, and with it all of the node
            daemon.wait_for("worker-died", "photo.png")
            daemon.wait_for("done", "photo.png")

    assert home.record("photo").resumed_at_step >= 50 and home.record("photo").times.attempts == 1
    assert home.records() == ["photo"]
