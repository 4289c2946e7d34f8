"""The plan of a folder: what decides about a painting's identity, and when it is made again."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from monet_watch import plan as plan_module
from monet_watch.errors import SettingsError
from monet_watch.plan import Plan, Planner
from monet_watch.recipes import SWIFT
from monet_watch.settings import Defaults, FolderSettings
from monet_watch.styles.library import StyleLibrary, read_style
from monet_watch.workers.base import WeightsFile
from monet_watch.workers.memory import tiny_png

WEIGHTS = WeightsFile("oxford", Path("weights.bin"), "00" * 32)


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "trip").mkdir()
    (tmp_path / "style.png").write_bytes(tiny_png(1))
    return tmp_path


def planner(inbox: Path, weights: WeightsFile = WEIGHTS) -> Planner:
    return Planner(FolderSettings(inbox, Defaults(), StyleLibrary()), weights)


def key(inbox: Path, folder: str = ".", weights: WeightsFile = WEIGHTS) -> str:
    return planner(inbox, weights).plan(PurePosixPath(folder)).settings_key


def test_the_priority_is_no_part_of_what_is_painted(inbox):
    before = planner(inbox).plan(PurePosixPath("trip"))
    (inbox / "style.yaml").write_text("priority: 5\n")
    after = planner(inbox).plan(PurePosixPath("trip"))
    assert (before.priority, after.priority) == (0, 5)
    assert after.settings_key == before.settings_key
    assert after.to_json() == before.to_json()


def test_a_plan_knows_its_styles_by_the_hash_of_their_bytes(inbox):
    (style,) = planner(inbox).plan(PurePosixPath()).styles
    assert style.sha256 == hashlib.sha256(tiny_png(1)).hexdigest()


def test_folders_with_the_same_settings_have_the_same_key(inbox):
    assert key(inbox) == key(inbox, "trip")


@pytest.mark.parametrize("text", ["steps: 5\n", "style_weight: 2e6\n", "content_layers: [conv3_2]\n", "seed: 1\n"])
def test_any_value_that_changes_the_picture_changes_the_key(inbox, text):
    before = key(inbox, "trip")
    (inbox / "trip" / "style.yaml").write_text(text)
    assert key(inbox, "trip") != before
    assert key(inbox) == before


def test_a_value_written_out_that_is_the_default_changes_nothing(inbox):
    before = key(inbox, "trip")
    (inbox / "trip" / "style.yaml").write_text("lr: 1.0\nrecipe: swift\n")
    assert key(inbox, "trip") == before


def test_another_style_or_other_weights_change_the_key_and_another_name_does_not(inbox):
    before = key(inbox)
    (inbox / "style.png").rename(inbox / "style-monet.png")
    assert key(inbox) == before
    (inbox / "style-monet.png").write_bytes(tiny_png(2))
    assert key(inbox) != before
    (inbox / "style-monet.png").write_bytes(tiny_png(1))
    assert key(inbox, weights=WeightsFile("oxford", Path("weights.bin"), "11" * 32)) != before


def test_a_plan_comes_back_from_its_text_as_it_was(inbox):
    (inbox / "style.png").rename(inbox / os.fsdecode(b"style-caf\xe9.png"))
    plan = planner(inbox).plan(PurePosixPath("trip"))
    text = plan.to_json()
    text.encode("ascii")
    assert Plan.from_json(text) == plan


def test_a_plan_is_made_once_until_it_is_refreshed(inbox):
    plans = planner(inbox)
    before = plans.plan(PurePosixPath())
    (inbox / "style.yaml").write_text("steps: 5\n")
    assert plans.plan(PurePosixPath()) is before
    plans.refresh()
    assert plans.plan(PurePosixPath()).recipe.steps == 5


def test_folders_that_inherit_the_same_share_one_plan_whose_style_is_read_once(inbox, monkeypatch):
    """An inbox of ten thousand folders would else hold ten thousand, and read the picture as often."""
    read = []
    monkeypatch.setattr(plan_module, "read_style", lambda source: read.append(source) or read_style(source))
    plans = planner(inbox)
    (inbox / "other").mkdir()
    first = plans.plan(PurePosixPath("other"))
    assert plans.plan(PurePosixPath("trip")) is first
    assert len(read) == 1
    (inbox / "trip" / "style.yaml").write_text("steps: 5\n")
    plans.refresh()
    assert plans.plan(PurePosixPath("trip")).recipe.steps == 5
    assert plans.plan(PurePosixPath("other")) is first


def test_a_refresh_without_a_change_reads_no_style_again(inbox):
    plans = planner(inbox)
    before = plans.plan(PurePosixPath())
    plans.refresh()
    assert plans.plan(PurePosixPath()) is before


def test_a_style_picture_replaced_in_place_is_noticed_by_a_refresh(inbox):
    plans = planner(inbox)
    before = plans.plan(PurePosixPath())
    (inbox / "other").write_bytes(tiny_png(2))
    (inbox / "other").rename(inbox / "style.png")
    plans.refresh()
    assert plans.plan(PurePosixPath()).settings_key != before.settings_key


def test_settings_that_cannot_be_used_are_told_each_time(inbox):
    (inbox / "trip" / "style.yaml").write_text("stepz: 5\n")
    plans = planner(inbox)
    for _ in range(2):
        with pytest.raises(SettingsError, match="stepz"):
            plans.plan(PurePosixPath("trip"))
    assert plans.plan(PurePosixPath()).recipe == SWIFT


def test_a_plan_follows_what_an_earlier_default_led_to_and_nothing_that_named_a_recipe(inbox):
    plan = planner(inbox).plan(PurePosixPath("trip"))
    (inbox / "trip" / "style.yaml").write_text("recipe: classic\n")
    named = planner(inbox).plan(PurePosixPath("trip"))
    assert plan.former_keys == (named.settings_key,)
    assert named.former_keys == ()
    assert not plan.follows(named)
    assert plan.follows(replace(named, origins={**named.origins, "recipe": "built in"}))
    assert not plan.follows(plan)
