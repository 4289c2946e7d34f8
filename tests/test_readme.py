"""What README says of the settings is what the program does."""

import re
from pathlib import Path

import pytest
import yaml

from monet_watch.recipes import RECIPES
from monet_watch.settings import DEFAULT_RECIPE, StyleSettings
from monet_watch.styles.library import DEFAULT_STYLE
from monet_watch.yamlfile import load

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", README, re.MULTILINE))


def test_the_table_has_every_setting_and_no_other():
    assert set(ROWS) == set(StyleSettings.model_fields)


@pytest.mark.parametrize("key", StyleSettings.model_fields)
def test_the_table_shows_the_default(key):
    defaults = {**RECIPES[DEFAULT_RECIPE].model_dump(), "style": DEFAULT_STYLE, "priority": 0}
    if isinstance(defaults[key], float):
        assert float(ROWS[key]) == defaults[key]
    elif isinstance(defaults[key], tuple):
        assert tuple(ROWS[key].split(", ")) == defaults[key]
    else:
        assert yaml.safe_load(ROWS[key]) == defaults[key]


def test_the_examples_in_yaml_are_settings_that_the_program_takes():
    examples = re.findall(r"^  ```yaml\n(.*?)^  ```", README, re.MULTILINE | re.DOTALL)
    assert examples
    for text in examples:
        StyleSettings.model_validate(load(text.encode(), "README.md").values)


def test_the_recipes_that_it_names_exist():
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", README, re.MULTILINE)) <= set(RECIPES)
