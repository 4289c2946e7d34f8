"""The demonstration: how large and how long, and that it overwrites nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from monet_watch.demo import MEASURED_SIZE, PATIENCE_SECONDS, Demo, Estimate, demo_photo, estimate, prepare
from monet_watch.errors import SettingsError
from monet_watch.recipes import RECIPES
from monet_watch.settings import DEFAULT_RECIPE
from monet_watch.workers.memory import tiny_png


def made_demo(tmp_path: Path, name: str = "cat.jpg", style: Path | None = None) -> Demo:
    photo = tmp_path / "pictures" / name
    photo.parent.mkdir(exist_ok=True)
    photo.write_bytes(tiny_png())
    return Demo(tmp_path / "demo", photo, style, Estimate(256, 120, 100.0))


@pytest.mark.parametrize("step_seconds", [0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.8])
def test_what_it_chooses_ends_within_its_patience(step_seconds):
    chosen = estimate(step_seconds)
    assert chosen.seconds <= PATIENCE_SECONDS
    assert 192 <= chosen.image_size <= 512
    assert 80 <= chosen.steps <= 150


@pytest.mark.parametrize("step_seconds", [0.001, 0.1, 0.5, 1.8])
def test_even_a_painting_that_takes_all_its_steps_ends_within_its_patience(step_seconds):
    chosen = estimate(step_seconds)
    one_step = step_seconds * 1.5 * (chosen.image_size / MEASURED_SIZE) ** 2
    assert chosen.steps * one_step < PATIENCE_SECONDS


@pytest.mark.parametrize("step_seconds", [0.065, 0.13])
def test_two_ordinary_cores_paint_at_512_pixels(step_seconds):
    """At 512 x 512, seven times as many pixels, that is about half a second and about one."""
    assert estimate(step_seconds).image_size == 512


def test_a_very_slow_machine_takes_few_steps_and_longer():
    assert (estimate(10.0).image_size, estimate(10.0).steps) == (192, 40)


def test_a_quick_machine_paints_larger_than_a_slow_one():
    assert estimate(0.001).image_size == 512
    assert estimate(0.001).image_size > estimate(1.0).image_size >= estimate(10.0).image_size


def test_a_steps_time_grows_with_the_pixels_of_a_photo_of_three_by_two():
    one = estimate(0.1, size=MEASURED_SIZE, steps=50)
    four = estimate(0.1, size=2 * MEASURED_SIZE, steps=50)
    start = estimate(0.1, size=MEASURED_SIZE, steps=1).seconds - 0.1 * 1.5
    assert one.seconds - start == pytest.approx(50 * 0.1 * 1.5)
    assert four.seconds - start == pytest.approx(4 * (one.seconds - start))


def test_what_the_caller_chose_is_kept():
    assert (estimate(5.0, size=777).image_size, estimate(5.0, steps=3).steps) == (777, 3)
    chosen = estimate(5.0, size=64, steps=6)
    assert (chosen.image_size, chosen.steps) == (64, 6)


def test_its_photo_comes_with_the_program():
    assert demo_photo().is_file()


def test_its_config_is_one_that_the_daemon_takes(tmp_path):
    style = tmp_path / "it's a style: #1.png"
    style.write_bytes(tiny_png())
    config = prepare(made_demo(tmp_path, style=style))
    assert (config.inbox, config.outbox) == (tmp_path / "demo" / "inbox", tmp_path / "demo" / "outbox")
    assert config.inbox.is_dir()
    assert config.defaults.changes() == {"image_size": 256, "steps": 120}
    assert config.defaults.style == (str(style),)


@pytest.mark.parametrize(
    ("steps", "taken"), [(150, 60), (150, 99), (100, 75), (150, 40), (40, 40), (39, 39), (24, 24), (6, 6)]
)
def test_six_to_ten_stages_come(tmp_path, steps, taken):
    demo = replace(made_demo(tmp_path), estimate=Estimate(256, steps, 100.0))
    recipe = RECIPES[DEFAULT_RECIPE].with_changes(prepare(demo).defaults.changes())
    assert 6 <= len(recipe.stages(taken)) <= 10


def test_it_can_be_repeated_in_the_same_folder(tmp_path):
    demo = made_demo(tmp_path)
    prepare(demo)
    (demo.folder / "inbox" / "cat.jpg").write_bytes(demo.photo.read_bytes())
    assert prepare(demo).inbox == demo.folder / "inbox"


def test_somebodys_own_config_is_not_overwritten(tmp_path):
    demo = made_demo(tmp_path)
    demo.folder.mkdir()
    demo.config_file.write_text("inbox: photos\n")
    with pytest.raises(SettingsError, match="choose another --folder"):
        prepare(demo)
    assert demo.config_file.read_text() == "inbox: photos\n"


def test_another_photo_of_the_same_name_is_not_overwritten(tmp_path):
    demo = made_demo(tmp_path)
    (demo.folder / "inbox").mkdir(parents=True)
    (demo.folder / "inbox" / "cat.jpg").write_bytes(b"another cat")
    with pytest.raises(SettingsError, match="another photo"):
        prepare(demo)
    assert (demo.folder / "inbox" / "cat.jpg").read_bytes() == b"another cat"


@pytest.mark.parametrize("name", ["style.jpg", "notes.txt", "cat"])
def test_a_photo_that_the_daemon_would_not_take_for_one_is_refused(tmp_path, name):
    with pytest.raises(SettingsError, match="not the name of a photo"):
        prepare(made_demo(tmp_path, name))
    assert not (tmp_path / "demo").exists()
