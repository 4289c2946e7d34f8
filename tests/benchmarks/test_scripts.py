"""Every benchmark runs from the command line and writes what it says."""

import io
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import daemon, time_to_picture
from tests.end_to_end.house import uncounted

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tiny_weights, tmp_path):
    """A function of a script's name and arguments: run it on the narrow network, and return the folder it fills."""

    def run_script(name, *arguments):
        common = ("--weights", str(tiny_weights.path), "--threads", "1", "--output", str(tmp_path))
        command = [sys.executable, "-m", f"benchmarks.{name}", *common, *arguments]
        environment = {**uncounted(os.environ), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return tmp_path

    return run_script


def loaded(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_time_to_picture_tells_of_all_four_and_goes_on_where_it_was(run, tiny_weights):
    options = ("--size", "32", "--steps", "6")
    folder = run("time_to_picture", *options, "--pairs", "china")
    first = loaded(folder / "time_to_picture.json")
    (pair,) = first["pairs"]
    plain, tutorial, classic, swift = pair["contenders"]
    assert [each["name"] for each in (plain, tutorial, classic, swift)] == [
        "plain script", "tutorial, lr 1", "classic", "swift",
    ]  # fmt: skip
    assert len(plain["seconds"]) == 6
    assert plain["judged"]["6"] == plain["delivered"] == pair["target"]
    assert plain["seconds"] == sorted(plain["seconds"])
    assert classic["judged"]["1"] == pytest.approx(plain["judged"]["1"], rel=1e-3), "classic is the same method"
    assert len(classic["seconds"]) <= 9
    assert swift["end"]["reason"] in ("all steps taken", "further steps no longer pay")
    assert swift["end"]["seconds"] >= swift["seconds"][-1]
    for name in ("time_to_picture.png", "china+water-garden-plain-script.png", "china+water-garden-swift.png"):
        Image.open(folder / name).verify()

    run("time_to_picture", *options, "--pairs", "china", "--resume")
    assert loaded(folder / "time_to_picture.json") == first

    Image.new("RGB", (40, 40), "teal").save(folder / "teal.png")
    common = ["--weights", str(tiny_weights.path), "--output", str(folder), "--pairs", "china", "--resume"]
    for others in (["--threads", "2"], ["--threads", "1", "--style", str(folder / "teal.png")]):
        with pytest.raises(SystemExit, match="other settings"):
            time_to_picture.main([*options, *common, *others])


def test_step_cost_tells_of_bare_convolutions_and_whole_steps(run):
    folder = run("step_cost", "--size", "32", "--rounds", "2", "--warm-up", "1")
    steps = loaded(folder / "step_cost.json")["steps"]
    names = [each["name"] for each in steps]
    assert names[0].startswith("bare convolutions") and names[-2:] == ["classic, fp32", "plain script, fp32"]
    assert steps[0]["median_to_bare"] == 1.0
    assert all(0 < each["best"] <= each["median"] for each in steps)


def test_checkpoint_cost_tells_of_steps_with_and_without_one(run):
    folder = run("checkpoint_cost", "--size", "32", "--rounds", "3", "--warm-up", "4")
    found = loaded(folder / "checkpoint_cost.json")
    assert [len(found[name]) for name in ("with", "without", "copying")] == [3, 3, 3]
    assert found["delay"] == pytest.approx(found["medians"]["with"] / found["medians"]["without"] - 1)
    assert found["bytes"] >= 3 * 3 * 32 * 32 * 4, "the picture, its gradient and the last move at least"


def test_sizes_tells_of_time_tiles_and_memory(run):
    folder = run("sizes", "--sizes", "32", "64", "--steps", "2", "--memory-limit", "2")
    small, large = loaded(folder / "sizes.json")["sizes"]
    assert (small["size"], large["size"]) == (32, 64)
    assert small["tile"] is None
    assert small["limit_bytes"] == 2 * 2**30
    assert 0 < small["step_peak_bytes"] <= small["peak_bytes"]


def test_delivered_compares_every_pair_and_takes_the_plain_script_from_before(run):
    folder = run("delivered", "--size", "32", "--steps", "3", "--photos", "china", "--recipe", "swift:steps=4")
    path = folder / "delivered.json"
    first = loaded(path)["pairs"][0]
    assert first["ratio"] == pytest.approx(first["recipe"]["delivered"] / first["plain"]["delivered"])
    assert (first["plain"]["steps"], first["recipe"]["steps"]) == (3, 4)

    again = ("--size", "32", "--steps", "3", "--photos", "china", "--recipe", "swift:steps=5")
    run("delivered", *again, "--plain-from", str(path))
    second = loaded(path)["pairs"][0]
    assert second["plain"] == first["plain"]
    assert second["recipe"]["steps"] == 5


def test_montage_paints_and_shows_a_part_of_what_it_painted(run):
    recipes = ("--recipe", "classic:steps=2", "--recipe", "swift:steps=2", "--photo", "china", "--size", "32")
    folder = run("montage", *recipes)
    painting = np.array(Image.open(folder / "china+water-garden-32-swift-steps-2.png"))
    sheet = np.array(Image.open(folder / "montage-china+water-garden-32.png"))
    np.testing.assert_array_equal(sheet[8:40, 88:120], painting)

    run("montage", *recipes, "--reuse", "--crop", "4,2,10,6", "--zoom", "2")
    part = np.array(Image.open(folder / "montage-china+water-garden-32-4-2-10-6.png"))
    np.testing.assert_array_equal(part[8:20:2, 64:84:2], painting[2:8, 4:14])


def test_daemon_tells_of_each_goal_what_was_measured(run):
    few = ("--photos", "30", "--folders", "5", "--drops", "2", "--idle-seconds", "0.5")
    found = loaded(run("daemon", *few) / "daemon.json")
    goals = [each["goal"] for each in found["figures"] if each["goal"] is not None]
    assert sorted(goals) == [0.5, 0.5, 0.5, 2, 3, 10, 10, 100, 100, 250, 250], "settle, 0.2 s, and 0.3 s among them"
    measured = {each["name"]: each["measured"] for each in found["figures"]}
    assert measured["drop until it is begun, p95 of 2"] >= measured["drop until it is begun, median"] > 0
    assert 1 < measured["memory with 30 queued"] <= measured["memory with 30 queued, at its peak"] < 1000
    assert measured["scan of 30 new photos, until all are known"] > 0


def test_cluster_compares_the_pictures_of_two_actors_with_those_of_a_worker_at_home(run):
    found = loaded(run("cluster", "--size", "32", "--steps", "2", "--photos", "3") / "cluster.json")
    assert (found["photos"], found["same_bytes"]) == (3, 3), "a picture is the same wherever it is painted"
    assert min(found["home_seconds"], found["cluster_seconds"]) > 0


def test_the_photos_that_the_daemon_is_measured_with_have_the_same_pixels_and_differ():
    first, second = islice(daemon.photos(), 2)
    assert first != second
    pixels = [np.array(Image.open(io.BytesIO(data))) for data in (first, second)]
    assert pixels[0].shape == (32, 32, 3)
    np.testing.assert_array_equal(*pixels)
