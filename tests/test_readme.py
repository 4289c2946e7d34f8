"""What README says of the settings is what the program does, and the tests that it names are there."""

import ast
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from monet_watch.output import Output
from monet_watch.recipes import RECIPES
from monet_watch.settings import DEFAULT_RECIPE, StyleSettings
from monet_watch.styles.library import DEFAULT_STYLE
from monet_watch.yamlfile import load

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", README, re.MULTILINE))
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_the_table_has_every_setting_and_no_other():
    assert set(ROWS) == set(StyleSettings.model_fields)


@pytest.mark.parametrize("key", StyleSettings.model_fields)
def test_the_table_shows_the_default(key):
    output = {**asdict(Output()), "output": Output().formats}
    defaults = {**RECIPES[DEFAULT_RECIPE].model_dump(), "style": DEFAULT_STYLE, "priority": 0, **output}
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


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(README))))
def test_every_test_that_it_names_is_there(file, name):
    tree = ast.parse((HOME / file).read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


def test_each_of_the_six_promises_has_tests():
    table = README.partition("| promise | tests |\n|---|---|\n")[2].partition("\n\n")[0]
    assert [bool(TEST.search(row)) for row in table.splitlines()] == [True] * 6


def test_every_place_in_it_that_it_links_to_is_there():
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors
