"""Settings of each folder: what style.yaml may hold, how folders inherit, and where every value came from."""

import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monet_watch.errors import SettingsError
from monet_watch.recipes import CLASSIC, GALLERY, PRINT, RECIPES, SWIFT, Recipe
from monet_watch.settings import (
    BESIDE_THE_PAINTING,
    MOST_STYLES,
    Defaults,
    FolderSettings,
    Origin,
    ResolvedSettings,
    StyleSettings,
    identity,
    is_settings_file,
    is_style_picture,
    json_schema,
    resolve_single,
    settings_key,
)
from monet_watch.styles.library import StyleLibrary, StyleSource

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs symlinks and FIFOs")

ROOT = PurePosixPath()


def put(path: Path, data: str | bytes = b"picture") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def library(tmp_path):
    put(tmp_path / "library" / "water-garden.jpg", b"water-garden")
    put(tmp_path / "library" / "turner.jpg", b"turner")
    return StyleLibrary([], tmp_path / "library")


@pytest.fixture
def folders(inbox, library):
    return FolderSettings(inbox, Defaults(), library)


@contextmanager
def another_recipe():
    """Another recipe, for the time of the block: some of its numbers are none of swift's."""
    changes = {"recipe": "quick", "steps": 33, "lr": 0.7, "image_size": 256, "seed": 7}
    RECIPES["quick"] = SWIFT.with_changes(changes)
    try:
        yield
    finally:
        del RECIPES["quick"]


def faults(folders: FolderSettings, folder: str = "") -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        folders.resolve(PurePosixPath(folder))
    return caught.value.faults


def names(resolved: ResolvedSettings) -> list[str]:
    return [source.name for source in resolved.styles]


# The model.


def test_every_field_of_a_recipe_can_be_set_and_nothing_else():
    assert set(StyleSettings.model_fields) == set(Recipe.model_fields) | {"style", *BESIDE_THE_PAINTING}


def test_nothing_is_given_until_it_is_given():
    assert StyleSettings().changes() == {}
    assert all(value is None for value in StyleSettings().model_dump().values())


def test_a_key_without_a_value_counts_as_not_given():
    assert StyleSettings.model_validate({"steps": None, "style": None}) == StyleSettings()


def test_changes_are_the_recipe_values_without_the_names():
    settings = StyleSettings.model_validate({"steps": 3, "enlarge": False, "recipe": "classic", "style": "turner"})
    assert settings.changes() == {"steps": 3, "enlarge": False}


def test_settings_are_frozen_and_can_be_hashed():
    settings = StyleSettings.model_validate({"steps": 3, "style": ["a", "b"]})
    with pytest.raises(ValidationError):
        settings.steps = 4
    assert hash(settings) == hash(StyleSettings.model_validate({"steps": 3, "style": ["a", "b"]}))


@pytest.mark.parametrize(
    ("key", "smallest", "largest"),
    [
        ("image_size", 32, 16384),
        ("steps", 1, 100_000),
        ("history_size", 1, 1000),
        ("save_every", 0, 100_000),
        ("seed", 0, 2**63 - 1),
        ("style_weight", 0, 1e15),
        ("content_weight", 0, 1e15),
        ("tv_weight", 0, 1e15),
        ("style_scale", 0.05, 8),
    ],
)
def test_numbers_have_the_recipes_bounds(key, smallest, largest):
    below = smallest - 1 if isinstance(smallest, int) else math.nextafter(smallest, -1)
    above = largest + 1 if isinstance(largest, int) else math.nextafter(largest, math.inf)
    for value in (smallest, largest):
        assert StyleSettings.model_validate({key: value}).changes() == {key: value}
        assert getattr(SWIFT.with_changes({key: value}), key) == value
    for value in (below, above):
        with pytest.raises(ValidationError):
            StyleSettings.model_validate({key: value})


@pytest.mark.parametrize("lr", [0, -1, 10.5])
def test_a_learning_rate_is_more_than_nothing_and_at_most_ten(lr):
    with pytest.raises(ValidationError):
        StyleSettings.model_validate({"lr": lr})


def test_a_whole_number_serves_where_any_number_does():
    (value,) = StyleSettings.model_validate({"lr": 1}).changes().values()
    assert (value, type(value)) == (1.0, float)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("steps: '400'", "style.yaml:1:8: steps: must be a whole number, not '400'"),
        ("steps: 3.5", "style.yaml:1:8: steps: must be a whole number, not 3.5"),
        ("steps: 400.0", "style.yaml:1:8: steps: must be a whole number, not 400.0"),
        ("steps: true", "style.yaml:1:8: steps: must be a whole number, not true"),
        ("steps: 0", "style.yaml:1:8: steps: must be at least 1, not 0"),
        ("steps: -5", "style.yaml:1:8: steps: must be at least 1, not -5"),
        ("steps: [1]", "style.yaml:1:8: steps: must be a whole number, not a list"),
        ("enlarge: 1", "style.yaml:1:10: enlarge: must be true or false, not 1"),
        ("enlarge: 'yes'", "style.yaml:1:10: enlarge: must be true or false, not 'yes'"),
        ("lr: yes", "style.yaml:1:5: lr: must be a number, not true"),
        ("lr: .nan", "style.yaml:1:5: lr: must be a finite number, not nan"),
        ("lr: 1e999", "style.yaml:1:5: lr: must be a finite number, not inf"),
        ("lr: 11", "style.yaml:1:5: lr: must be at most 10, not 11"),
        ("stepz: 4", "style.yaml:1:1: stepz: there is no such setting; did you mean 'steps'?"),
        ("imagesize: 4", "style.yaml:1:1: imagesize: there is no such setting; did you mean 'image_size'?"),
        ("style_layers: conv1_1", "style.yaml:1:15: style_layers: must be a list, not 'conv1_1'"),
        (
            "style_layers: [conv1_1, conv1_1]",
            "style.yaml:1:15: style_layers: a layer is named twice; name each layer once",
        ),
        (
            "style_layers: [conv1_1, conf2_2]",
            "style.yaml:1:25: style_layers[2]: 'conf2_2' is not one of the choices; did you mean 'conv2_2'?",
        ),
        (
            "content_layers: []",
            "style.yaml:1:17: content_layers: must not be empty; name at least one, or remove the line",
        ),
        (
            "initial_image: foto",
            "style.yaml:1:16: initial_image: 'foto' is not one of the choices; did you mean 'photo'?",
        ),
        ("recipe: clasic", "style.yaml:1:9: recipe: 'clasic' is not one of the choices; did you mean 'classic'?"),
        ("recipe: 3", "style.yaml:1:9: recipe: must be text (put it in quotes if it is meant as text), not 3"),
        ("style: []", "style.yaml:1:8: style: must not be empty; name at least one, or remove the line"),
        (
            "style: ''",
            "style.yaml:1:8: style[1]: must not be empty; write the name or the path of a picture, or remove the line",
        ),
        (
            "style: 3",
            "style.yaml:1:8: style: must be the name or the path of a picture, or a list of them, not 3",
        ),
        (
            "style: [turner, 3]",
            "style.yaml:1:17: style[2]: must be text (put it in quotes if it is meant as text), not 3",
        ),
        ("style: tuner", None),
    ],
)
def test_what_is_wrong_is_told_with_place_key_and_remedy(inbox, folders, line, told):
    put(inbox / "style.yaml", line + "\n")
    (only,) = faults(folders)
    expected = (
        "style.yaml:1:8: style: there is no style 'tuner' in the library (it holds turner, water-garden); "
        "did you mean 'turner'?"
    )
    assert only == (told or expected)


def test_too_many_styles_are_refused(inbox, folders):
    put(inbox / "style.yaml", f"style: [{', '.join(['turner'] * (MOST_STYLES + 1))}]\n")
    assert faults(folders) == ("style.yaml:1:8: style: 17 styles are more than 16; name fewer",)


# Inheritance.


def test_without_any_settings_it_is_swift_with_the_bundled_style(folders, tmp_path):
    resolved = folders.resolve(ROOT)
    assert resolved.recipe == SWIFT
    assert resolved.styles == (StyleSource("water-garden", tmp_path / "library" / "water-garden.jpg"),)
    assert str(resolved.origins["recipe"]) == str(resolved.origins["style"]) == "built in"
    assert str(resolved.origins["steps"]) == "recipe swift"


def test_every_key_and_the_style_have_an_origin(folders):
    assert set(folders.resolve(ROOT).origins) == set(Recipe.model_fields) | {"style", *BESIDE_THE_PAINTING}


def test_config_then_root_then_folder_the_deepest_given_value_wins(inbox, library):
    settings = StyleSettings.model_validate({"steps": 1, "lr": 0.1, "seed": 1})
    origins = {key: Origin("config.yaml", line) for line, key in enumerate(("steps", "lr", "seed"), start=7)}
    put(inbox / "style.yaml", "# all\nsteps: 2\nlr: 0.2\n")
    put(inbox / "a" / "b" / "style.yml", "\n\nsteps: 3\n")
    resolved = FolderSettings(inbox, Defaults(settings, origins), library).resolve(PurePosixPath("a/b"))
    assert (resolved.recipe.steps, resolved.recipe.lr, resolved.recipe.seed) == (3, 0.2, 1)
    assert [str(resolved.origins[key]) for key in ("steps", "lr", "seed", "save_every")] == [
        "a/b/style.yml:3",
        "style.yaml:3",
        "config.yaml:9",
        "recipe swift",
    ]


def test_a_folder_knows_nothing_of_its_neighbours_and_subfolders(inbox, folders):
    put(inbox / "a" / "style.yaml", "steps: 3\n")
    put(inbox / "b" / "c" / "style.yaml", "steps: 4\n")
    assert folders.resolve(PurePosixPath("b")).recipe.steps == folders.resolve(ROOT).recipe.steps == SWIFT.steps


def test_the_deepest_recipe_is_the_base_and_explicit_keys_of_all_levels_apply_over_it(inbox, folders):
    put(inbox / "style.yaml", "recipe: classic\nimage_size: 700\n")
    put(inbox / "a" / "style.yaml", "recipe: quick\n")
    with another_recipe():
        resolved = folders.resolve(PurePosixPath("a"))
    assert (resolved.recipe.recipe, resolved.recipe.steps, resolved.recipe.image_size) == ("quick", 33, 700)
    assert str(resolved.origins["steps"]) == "recipe quick"
    assert str(resolved.origins["recipe"]) == "a/style.yaml:1"
    assert str(resolved.origins["image_size"]) == "style.yaml:2"


def test_a_folder_that_names_classic_gets_every_number_of_classic(inbox, folders):
    put(inbox / "a" / "style.yaml", "recipe: classic\n")
    assert folders.resolve(PurePosixPath("a")).recipe == CLASSIC == Recipe()


def test_what_former_defaults_meant_is_known_where_no_recipe_is_named(inbox, folders):
    put(inbox / "a" / "style.yaml", "seed: 3\n")
    put(inbox / "a" / "b" / "style.yaml", "recipe: swift\n")
    assert folders.resolve(PurePosixPath("a")).former == (CLASSIC.with_changes({"seed": 3}),)
    assert folders.resolve(PurePosixPath("a/b")).former == ()


def test_a_folder_that_is_gone_only_inherits(inbox, folders):
    put(inbox / "style.yaml", "steps: 3\n")
    assert folders.resolve(PurePosixPath("gone/deeper")).recipe.steps == 3


def test_an_inbox_that_is_not_there_is_no_inbox_without_settings(inbox, folders):
    inbox.rmdir()
    assert faults(folders) == (f"{inbox}: the inbox is not there; make the folder, or mount its disk",)


def test_settings_are_read_once_until_they_are_refreshed(inbox, folders):
    put(inbox / "style.yaml", "steps: 3\n")
    assert folders.resolve(ROOT).recipe.steps == 3
    put(inbox / "style.yaml", "steps: 4\n")
    assert folders.resolve(ROOT).recipe.steps == 3
    folders.refresh()
    assert folders.resolve(ROOT).recipe.steps == 4


KEYS = {
    "steps": st.integers(1, 100_000),
    "image_size": st.integers(32, 16384),
    "lr": st.floats(0.001, 10),
    "enlarge": st.booleans(),
    "seed": st.integers(0, 2**63 - 1),
    "tv_weight": st.floats(0, 1e15),
    "initial_image": st.sampled_from(["photo", "noise"]),
    "content_layers": st.sampled_from([["conv4_2"], ["conv1_1", "conv5_1"]]),
    "recipe": st.sampled_from(["swift", "classic", "quick"]),
    "style": st.sampled_from(["turner", "water-garden"]),
    "priority": st.integers(-100, 100),
    "jpeg_quality": st.integers(1, 100),
}
levels = st.dictionaries(st.sampled_from(sorted(KEYS)), st.none()).flatmap(
    lambda chosen: st.fixed_dictionaries({key: KEYS[key] for key in chosen})
)


@given(levels, st.lists(st.tuples(levels, st.sets(st.sampled_from(["style.jpg", "style-2.png"]))), max_size=4))
def test_in_any_chain_the_deepest_given_value_wins_and_its_origin_names_the_place(default, chain):
    values = SWIFT.model_dump()
    origins = dict.fromkeys(values, "recipe swift") | dict.fromkeys(
        ("recipe", "style", *BESIDE_THE_PAINTING), "built in"
    )
    styles = ["water-garden"]
    explicit = {}

    def lay(level, name, first_line=1):
        nonlocal styles
        for line, (key, value) in enumerate(level.items(), start=first_line):
            explicit[key], origins[key] = value, f"{name}:{line}"
        styles = [level["style"]] if "style" in level else styles

    with another_recipe(), tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for name in ("turner", "water-garden"):
            put(root / "library" / f"{name}.jpg")
        (root / "inbox").mkdir()
        lay(default, "config.yaml", 5)
        folder = PurePosixPath()
        for depth, (level, pictures) in enumerate(chain):
            folder = folder / f"f{depth}" if depth else folder
            for name in pictures:
                put(root / "inbox" / folder / name)
            if pictures:
                styles = sorted(str(folder / name) for name in pictures)
                origins["style"] = ", ".join(styles)
            if level:
                text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in level.items())
                put(root / "inbox" / folder / "style.yaml", text)
                lay(level, folder / "style.yaml")
        default_origins = {key: Origin("config.yaml", line) for line, key in enumerate(default, start=5)}
        defaults = Defaults(StyleSettings.model_validate(default), default_origins)
        library = StyleLibrary([], root / "library")
        resolved = FolderSettings(root / "inbox", defaults, library).resolve(folder)
        base = RECIPES[explicit.get("recipe", "swift")].model_dump()

    explicit.pop("style", None)
    assert resolved.priority == explicit.pop("priority", 0)
    assert resolved.output.jpeg_quality == explicit.pop("jpeg_quality", 92)
    expected = {**base, **explicit, "content_layers": tuple(explicit.get("content_layers", base["content_layers"]))}
    assert resolved.recipe.model_dump() == expected
    assert names(resolved) == styles
    told = {key: str(origin) for key, origin in resolved.origins.items()}
    recipes_own = f"recipe {expected['recipe']}"
    assert told == {key: recipes_own if name == "recipe swift" else name for key, name in origins.items()}


# Styles.


def test_a_style_picture_changes_the_style_of_its_folder_and_of_those_below(inbox, folders):
    path = put(inbox / "a" / "style.jpg")
    assert folders.resolve(PurePosixPath("a")).styles == (StyleSource("a/style.jpg", path, inbox),)
    assert names(folders.resolve(PurePosixPath("a/b/c"))) == ["a/style.jpg"]
    assert names(folders.resolve(ROOT)) == ["water-garden"]
    assert str(folders.resolve(PurePosixPath("a/b")).origins["style"]) == "a/style.jpg"


def test_a_deeper_style_picture_counts_instead(inbox, folders):
    put(inbox / "style.jpg")
    put(inbox / "a" / "Style.PNG")
    assert names(folders.resolve(PurePosixPath("a"))) == ["a/Style.PNG"]


def test_several_style_pictures_are_used_together_in_the_order_of_their_names(inbox, folders):
    for name in ("style-b.jpg", "STYLE-A.jpg", "style.png", "stylish.jpg", "style-b.txt"):
        put(inbox / name)
    resolved = folders.resolve(ROOT)
    assert names(resolved) == ["STYLE-A.jpg", "style-b.jpg", "style.png"]
    assert str(resolved.origins["style"]) == "STYLE-A.jpg, style-b.jpg, style.png"


def test_more_style_pictures_than_can_be_held_are_refused(inbox, folders):
    for number in range(MOST_STYLES + 1):
        put(inbox / f"style-{number}.jpg")
    assert faults(folders) == ("style-0.jpg: it is one of 17 style pictures; keep 16 of them, or fewer",)


def test_a_style_key_counts_instead_of_the_picture_beside_it(inbox, folders):
    put(inbox / "style.jpg")
    put(inbox / "style.yaml", "steps: 3\nstyle: turner\n")
    resolved = folders.resolve(ROOT)
    assert names(resolved) == ["turner"]
    assert str(resolved.origins["style"]) == "style.yaml:2"


def test_a_style_key_above_counts_less_than_a_picture_below(inbox, folders):
    put(inbox / "style.yaml", "style: turner\n")
    put(inbox / "a" / "style.jpg")
    assert names(folders.resolve(PurePosixPath("a"))) == ["a/style.jpg"]


def test_a_path_is_relative_to_the_folder_of_its_file_wherever_it_is_inherited(inbox, folders):
    path = put(inbox / "a" / "styles" / "sea.jpg")
    put(inbox / "a" / "style.yaml", "style: [styles/sea.jpg, turner]\n")
    resolved = folders.resolve(PurePosixPath("a/b/c"))
    assert resolved.styles[0] == StyleSource("a/styles/sea.jpg", path, inbox)
    assert names(resolved) == ["a/styles/sea.jpg", "turner"]


@pytest.mark.parametrize("value", ["../sea.jpg", "/etc/sea.jpg", "~/sea.jpg", "C:/sea.jpg"])
def test_a_shared_folder_names_nothing_outside(inbox, folders, tmp_path, value):
    put(tmp_path / "sea.jpg")
    put(inbox / "style.yaml", f"steps: 3\nstyle: {value}\n")
    (only,) = faults(folders)
    assert only.startswith("style.yaml:2:8: style: ") and "copy the picture here" in only


def test_of_several_styles_the_missing_one_is_told_by_its_number_and_place(inbox, folders):
    put(inbox / "style.yaml", "style:\n  - turner\n  - sea.jpg\n")
    assert faults(folders) == ("style.yaml:3:5: style[2]: 'sea.jpg' is not there; check how it is written",)


def test_a_missing_style_that_a_deeper_folder_replaces_holds_nothing_back(inbox, folders):
    put(inbox / "style.yaml", "style: nobody\n")
    put(inbox / "a" / "style.jpg")
    assert names(folders.resolve(PurePosixPath("a"))) == ["a/style.jpg"]
    assert "nobody" in faults(folders)[0]


def test_a_missing_bundled_style_is_told_and_not_replaced(inbox, tmp_path):
    folders = FolderSettings(inbox, Defaults(), StyleLibrary([], tmp_path / "gone"))
    assert faults(folders) == ("built in: style: there is no style 'water-garden' in the library (it is empty)",)


def test_the_configs_style_may_lie_anywhere_relative_to_its_folder(inbox, library, tmp_path):
    path = put(tmp_path / "etc" / "sea.jpg")
    settings = StyleSettings.model_validate({"style": "sea.jpg"})
    defaults = Defaults(settings, {"style": Origin("config.yaml", 3, 10)}, tmp_path / "etc")
    assert FolderSettings(inbox, defaults, library).resolve(ROOT).styles == (StyleSource("sea.jpg", path),)
    path.unlink()
    (only,) = faults(FolderSettings(inbox, defaults, library))
    assert only.startswith("config.yaml:3:10: style: 'sea.jpg' is not there")


@posix_only
def test_a_style_picture_that_links_out_of_the_inbox_is_told_and_never_read(inbox, folders, tmp_path):
    (inbox / "style.jpg").symlink_to(put(tmp_path / "private.jpg"))
    (only,) = faults(folders)
    assert only.startswith("style.jpg: style: 'style.jpg' leads out of the folder")


# Files that strangers make.


def test_all_faults_of_all_files_of_the_chain_are_told_at_once(inbox, folders):
    put(inbox / "style.yaml", "steps: 0\nlr: 99\n")
    put(inbox / "a" / "style.yaml", "steps: 1\nsteps: 2\n")
    put(inbox / "a" / "b" / "style.yaml", "nonsense: 1\nstyle: nobody\n")
    assert [each.split(": ")[0] for each in faults(folders, "a/b")] == [
        "style.yaml:1:8",
        "style.yaml:2:5",
        "a/style.yaml:2:1",
        "a/b/style.yaml:1:1",
        "a/b/style.yaml:2:8",
    ]


def test_a_broken_file_holds_back_its_own_folder_only(inbox, folders):
    put(inbox / "a" / "style.yaml", "steps: x\n")
    assert faults(folders, "a")
    assert folders.resolve(PurePosixPath("b")).recipe == SWIFT


def test_a_correction_releases_the_folder(inbox, folders):
    path = put(inbox / "style.yaml", "steps: x\n")
    assert faults(folders)
    path.write_text("steps: 5\n")
    folders.refresh()
    assert folders.resolve(ROOT).recipe.steps == 5


@pytest.mark.parametrize("names", [("style.yaml", "style.yml"), ("Style.YAML", "style.yml")])
def test_two_settings_files_in_one_folder_are_a_fault(inbox, folders, names):
    for name in names:
        put(inbox / "a" / name, "steps: 3\n")
    assert faults(folders, "a") == (f"a/style.yml: a second settings file beside {names[0]}; keep one of them",)


@pytest.mark.parametrize("name", ["style.yaml", "style.yml", "Style.YAML", "STYLE.YML"])
def test_a_settings_file_is_found_in_any_case(inbox, folders, name):
    put(inbox / name, "steps: 3\n")
    resolved = folders.resolve(ROOT)
    assert (resolved.recipe.steps, str(resolved.origins["steps"])) == (3, f"{name}:1")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a: &a [*a]\n", "style.yaml:1:4: "),
        (b"steps: !!python/name:os.system\n", "style.yaml:1:8: "),
        (b"steps: 3\n\tlr: 1\n", "style.yaml:2:1: "),
        (b"steps: \xff\n", "style.yaml:1:8: "),
        (b"\x89PNG\r\n\x1a\n\0\0", "style.yaml:1:1: "),
        (b"steps: 3\nsteps: 4\n", "style.yaml:2:1: "),
        (b"a: " + b"[" * 9000, "style.yaml:1:"),
        (b"#" * (64 * 1024 + 1), "style.yaml: it has 65537 bytes, more than 65536"),
    ],
)
def test_a_hostile_file_is_told_with_its_place(inbox, folders, data, told):
    put(inbox / "style.yaml", data)
    assert faults(folders)[0].startswith(told)


@pytest.mark.parametrize("data", ["", "# nothing\n", "---\n", "steps:\nstyle:\n"])
def test_a_file_that_says_nothing_changes_nothing(inbox, folders, data):
    put(inbox / "style.yaml", data)
    resolved = folders.resolve(ROOT)
    assert resolved.recipe == SWIFT
    assert str(resolved.origins["steps"]) == "recipe swift"


@posix_only
@pytest.mark.timeout(20)
def test_a_fifo_that_is_called_style_yaml_is_told_and_never_waited_for(inbox, folders):
    os.mkfifo(inbox / "style.yaml")
    assert faults(folders) == ("style.yaml: it is not a regular file; replace it by one",)


@posix_only
def test_a_settings_file_that_links_out_of_the_inbox_is_never_read(inbox, folders, tmp_path):
    (inbox / "style.yaml").symlink_to(put(tmp_path / "private.yaml", "password: secret\n"))
    (only,) = faults(folders)
    assert only.startswith("style.yaml: it leads out of the folder") and "password" not in only


@posix_only
def test_a_settings_file_may_link_to_another_in_the_inbox(inbox, folders):
    put(inbox / "a" / "style.yaml", "steps: 3\n")
    (inbox / "b").mkdir()
    (inbox / "b" / "style.yaml").symlink_to("../a/style.yaml")
    assert folders.resolve(PurePosixPath("b")).recipe.steps == 3


@posix_only
def test_a_link_to_a_folder_is_not_followed(inbox, folders, tmp_path):
    put(tmp_path / "elsewhere" / "style.yaml", "steps: 3\n")
    (inbox / "a").symlink_to(tmp_path / "elsewhere")
    assert faults(folders, "a") == ("a: links to folders are not followed; put the folder itself here",)


@pytest.mark.parametrize("folder", ["..", "a/../..", "/etc"])
def test_a_folder_outside_the_inbox_has_no_settings(folders, folder):
    assert any("does not lie in the inbox" in each for each in faults(folders, folder))


RESOLVING = """
import sys
from pathlib import Path, PurePosixPath
from monet_watch.errors import SettingsError
from monet_watch.settings import Defaults, FolderSettings
from monet_watch.styles.library import StyleLibrary
inbox, library = map(Path, sys.argv[1:])
try:
    FolderSettings(inbox, Defaults(), StyleLibrary([], library)).resolve(PurePosixPath("a"))
except SettingsError as error:
    print(*error.faults)
"""


@posix_only
def test_a_folder_that_may_not_be_read_is_told(inbox, library, tmp_path, run_for_whom_permissions_count):
    (inbox / "a").mkdir()
    assert run_for_whom_permissions_count(RESOLVING, inbox, tmp_path / "library") == ""
    (inbox / "a").chmod(0)
    assert run_for_whom_permissions_count(RESOLVING, inbox, tmp_path / "library").startswith("a: it cannot be read (")
    (inbox / "a").chmod(0o700)  # so that the folder can be removed


def test_folders_called_like_settings_or_pictures_are_only_folders(inbox, folders):
    (inbox / "style.yaml").mkdir()
    (inbox / "style.jpg").mkdir()
    assert folders.resolve(ROOT).recipe == SWIFT


def test_the_folders_with_settings_are_listed_without_hidden_and_linked_ones(inbox, folders, tmp_path):
    for name in ("style.yaml", "a/b/Style-2.JPG", "c/photo.jpg", ".hidden/style.yaml", "d/style.yml"):
        put(inbox / name, "")
    if sys.platform != "win32":
        put(tmp_path / "elsewhere" / "style.yaml", "")
        (inbox / "link").symlink_to(tmp_path / "elsewhere")
    assert folders.folders_with_settings() == (ROOT, PurePosixPath("a/b"), PurePosixPath("d"))


def test_a_style_picture_that_cannot_be_read_is_a_fault_of_its_folder_told_once(inbox, folders):
    put(inbox / "a/style.jpg", "")
    put(inbox / "a/b/style.yaml", "steps: 5\n")
    put(inbox / "c/style.yaml", "stepz: 5\n")
    found = folders.faults(folders.folders_with_settings())
    assert [fault.split(" ")[0] for fault in found] == ["a/style.jpg:", "c/style.yaml:1:1:"]


# One painting from the command line.


def single(library, recipe=None, assignments=(), styles=(), defaults=None) -> ResolvedSettings:
    return resolve_single(recipe, assignments, styles, defaults or Defaults(), library)


def single_faults(library, *assignments, recipe=None, styles=()) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        single(library, recipe, assignments, styles)
    return caught.value.faults


def test_assignments_are_read_as_in_a_style_yaml(library):
    given = ["steps=200", "style_weight=1e5", "enlarge=yes", "style_layers=[conv2_1, conv1_1]", "initial_image = noise"]
    resolved = single(library, assignments=given)
    assert resolved.recipe == SWIFT.with_changes(
        {
            "steps": 200,
            "style_weight": 1e5,
            "enlarge": True,
            "style_layers": ["conv1_1", "conv2_1"],
            "initial_image": "noise",
        }
    )
    assert str(resolved.origins["steps"]) == "command line"
    assert str(resolved.origins["lr"]) == "recipe swift"


def test_the_last_assignment_of_a_key_counts(library):
    assert single(library, assignments=["steps=1", "steps=2"]).recipe.steps == 2


def test_the_command_line_counts_more_than_the_config(library):
    settings = StyleSettings.model_validate({"steps": 1, "seed": 3, "style": "turner"})
    origins = {key: Origin("config.yaml", 4) for key in ("steps", "seed", "style")}
    resolved = single(library, assignments=["steps=2"], defaults=Defaults(settings, origins))
    assert (resolved.recipe.steps, resolved.recipe.seed, names(resolved)) == (2, 3, ["turner"])
    assert str(resolved.origins["seed"]) == "config.yaml:4"


def test_the_named_recipe_counts_more_than_an_assigned_one(library):
    with another_recipe():
        assert single(library, "quick", ["recipe=classic"]).recipe.steps == 33


def test_style_files_may_lie_anywhere_and_count_more_than_an_assigned_style(library, tmp_path, monkeypatch):
    put(tmp_path / "my" / "sea.jpg")
    monkeypatch.chdir(tmp_path / "my")
    resolved = single(library, assignments=["style=turner"], styles=["sea.jpg", "../library/turner.jpg", "turner"])
    assert names(resolved) == ["sea.jpg", "turner.jpg", "turner"]
    assert str(resolved.origins["style"]) == "command line"
    assert names(single(library, assignments=["style=turner"])) == ["turner"]


def test_everything_wrong_on_the_command_line_is_told_at_once(library):
    given = ("steps", "=3", "stepz=3", "lr=[", "steps=0")
    told = single_faults(library, *given, recipe="clasic")
    assert "command line: 'steps' is no setting; write key=value, such as steps=200" in told
    assert "command line: '=3' is no setting; write key=value, such as steps=200" in told
    assert "command line: stepz: there is no such setting; did you mean 'steps'?" in told
    assert "command line: steps: must be at least 1, not 0" in told
    assert "command line: recipe: 'clasic' is not one of the choices; did you mean 'classic'?" in told
    assert any(each.startswith("command line: lr:1:") for each in told)
    assert len(told) == 6


def test_a_missing_style_file_is_told(library):
    assert single_faults(library, styles=["nowhere/sea.jpg"]) == (
        "command line: style: 'nowhere/sea.jpg' is not there; check how it is written",
    )


# Keys and identities.


def key_of(changes=None, digests=("aa", "bb"), weights="cc", recipe=CLASSIC) -> str:
    resolved = ResolvedSettings(recipe.with_changes(changes or {}), (), {})
    return settings_key(resolved, digests, weights)


def test_the_key_is_the_sha256_of_the_canonical_json_of_what_makes_the_picture():
    canonical = (
        '{"recipe":{"content_layers":["conv4_2"],"content_weight":1.0,"enlarge":false,"history_size":100,'
        '"image_size":512,"initial_image":"photo","lr":0.03,"save_every":50,"seed":0,"steps":400,'
        '"style_layers":["conv1_1","conv2_1","conv3_1","conv4_1","conv5_1"],"style_scale":1.0,'
        '"style_weight":1000000.0,"tv_weight":1e-06},"styles":["aa","bb"],"weights":"cc"}'
    )
    assert key_of() == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", 513),
        ("enlarge", True),
        ("style_layers", ["conv1_1"]),
        ("content_layers", ["conv4_1"]),
        ("style_weight", 1e5),
        ("content_weight", 2),
        ("tv_weight", 0),
        ("steps", 401),
        ("lr", 0.04),
        ("history_size", 99),
        ("save_every", 51),
        ("style_scale", 2),
        ("initial_image", "noise"),
        ("seed", 1),
        ("parametrisation", "spectral"),
        ("precision", "auto"),
        ("padding", "reflect"),
        ("style_statistic", "gaussian"),
        ("style_tap", "after_relu"),
        ("style_falloff", 4),
        ("smooth_weight", 1),
        ("least_gain", 0.01),
        ("rest_below", 0.01),
        ("coarsest", 256),
        ("coarse_steps", 20),
        ("enlarge_style", True),
    ],
)
def test_every_number_of_the_recipe_changes_the_key(key, value):
    assert key_of({key: value}) != key_of()


def test_that_list_of_numbers_is_complete():
    (mark,) = test_every_number_of_the_recipe_changes_the_key.pytestmark
    assert {key for key, _ in mark.args[1]} == set(Recipe.model_fields) - {"recipe"}


@pytest.mark.parametrize(
    ("line", "formats"),
    [
        ("jpeg", ("jpeg",)),
        ("[webp, jpg, webp]", ("jpeg", "webp")),
        ("[png, jpeg, webp]", ("png", "jpeg", "webp")),
    ],
)
def test_output_is_one_format_or_several_in_any_order(inbox, folders, line, formats):
    put(inbox / "style.yaml", f"output: {line}\n")
    assert folders.resolve(ROOT).output.formats == formats


@pytest.mark.parametrize(
    ("value", "kind"), [("webp", "webp"), ("mp4", "mp4"), ("none", "none"), ("true", "webp"), ("false", "none")]
)
def test_a_timelapse_is_of_one_of_two_kinds_or_there_is_none(inbox, folders, value, kind):
    assert folders.resolve(ROOT).output.timelapse == "none"
    put(inbox / "style.yaml", f"timelapse: {value}\n")
    folders.refresh()
    assert folders.resolve(ROOT).output.timelapse == kind


@pytest.mark.parametrize("value", ["gif", "1", "[webp]"])
def test_a_timelapse_of_another_kind_is_told_with_its_place_and_the_kinds_that_there_are(inbox, folders, value):
    put(inbox / "style.yaml", f"timelapse: {value}\n")
    with pytest.raises(SettingsError, match=r"style\.yaml:1:\d+: timelapse: .*webp"):
        folders.resolve(ROOT)


@pytest.mark.parametrize("line", ["output: gif", "output: [jpeg, tiff]", "output: []", "output: 3", "jpeg_quality: 0"])
def test_a_format_that_is_none_is_told_with_its_place(inbox, folders, line):
    put(inbox / "style.yaml", f"{line}\n")
    with pytest.raises(SettingsError, match=r"style\.yaml:1:\d+: (output|jpeg_quality)"):
        folders.resolve(ROOT)


def test_what_files_a_painting_has_and_what_they_tell_changes_nothing_of_its_identity(inbox, folders):
    before = settings_key(folders.resolve(ROOT), ["ab"], "cd")
    put(
        inbox / "style.yaml",
        "output: [jpeg, webp]\njpeg_quality: 70\nwebp_quality: 60\nkeep_location: true\ntimelapse: mp4\n",
    )
    folders.refresh()
    resolved = folders.resolve(ROOT)
    assert (resolved.output.further, resolved.output.keep_location) == (("jpeg", "webp"), True)
    assert settings_key(resolved, ["ab"], "cd") == before


@pytest.mark.parametrize("value", ["101", "-101", "1.5", "high", "true"])
def test_a_priority_is_a_whole_number_from_minus_100_to_100(inbox, folders, value):
    put(inbox / "style.yaml", f"priority: {value}\n")
    with pytest.raises(SettingsError, match=r"style\.yaml:1:11: priority: "):
        folders.resolve(ROOT)


def test_the_recipes_name_does_not_change_the_key():
    assert key_of({"recipe": "another"}) == key_of()


def test_what_was_painted_with_stages_ten_steps_apart_stays_painted():
    """They came so in every recipe whose stages come further and further apart."""
    for recipe in (SWIFT, GALLERY, PRINT):
        assert recipe.save_every == 0
        assert (
            key_of(recipe=recipe)
            == key_of({"save_every": 10}, recipe=recipe)
            != key_of({"save_every": 9}, recipe=recipe)
        )


def test_styles_their_order_and_the_weights_change_the_key():
    assert len({key_of(), key_of(digests=("bb", "aa")), key_of(digests=("aa",)), key_of(weights="dd")}) == 4


def test_layers_named_in_another_order_are_the_same_settings():
    assert key_of({"style_layers": ["conv2_1", "conv1_1"]}) == key_of({"style_layers": ["conv1_1", "conv2_1"]})


class LaterRecipe(Recipe):
    """A recipe that has gained a field."""

    stop_rule: float = 0.0


def test_a_field_that_came_later_changes_the_key_only_where_it_differs_from_its_default():
    later = [ResolvedSettings(LaterRecipe(stop_rule=value), (), {}) for value in (0.0, 0.5)]
    kept, changed = (settings_key(resolved, ("aa", "bb"), "cc") for resolved in later)
    assert kept == key_of()
    assert changed != kept


def test_an_identity_is_made_of_photo_and_settings():
    assert identity("aa", "bb") == hashlib.sha256(b"aa\nbb").hexdigest()
    assert len({identity("aa", "bb"), identity("ab", "bb"), identity("aa", "ab"), identity("a", "abb")}) == 4


# Names.


@pytest.mark.parametrize("name", ["style.yaml", "style.yml", "STYLE.Yaml"])
def test_names_of_settings_files(name):
    assert is_settings_file(name) and not is_style_picture(name)


@pytest.mark.parametrize(
    "name", ["style.yaml.bak", "my-style.yaml", "style", "._style.yaml", "style.yaml ", "styles.yml"]
)
def test_names_of_other_files(name):
    assert not is_settings_file(name)


@pytest.mark.parametrize(
    "name", ["style.jpg", "Style.JPEG", "style-2.png", "style-a b.webp", "style-x.y.tif", "style.heic"]
)
def test_names_of_style_pictures(name):
    assert is_style_picture(name) and not is_settings_file(name)


@pytest.mark.parametrize(
    "name", ["styles.jpg", "style2.jpg", "style-.jpg", "my-style.jpg", "style.txt", "style", "style.a.jpg"]
)
def test_names_of_other_pictures(name):
    assert not is_style_picture(name)


# The schema.


def fits(value: object, schema: dict) -> bool:
    """Whether ``value`` fits ``schema``: as much of JSON schema as the one of style.yaml uses."""
    if "anyOf" in schema:
        return any(fits(value, each) for each in schema["anyOf"])
    kinds = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "array": list, "object": dict}
    if not isinstance(value, kinds[schema["type"]]) or (isinstance(value, bool) and schema["type"] != "boolean"):
        return False
    if value not in schema.get("enum", [value]):
        return False
    if isinstance(value, (int, float)):
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        return low <= value <= high and value > schema.get("exclusiveMinimum", -math.inf)
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0)
    if isinstance(value, list):
        whole = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        distinct = not schema.get("uniqueItems") or len(set(value)) == len(value)
        return whole and distinct and all(fits(each, schema["items"]) for each in value)
    return all(key in schema["properties"] and fits(each, schema["properties"][key]) for key, each in value.items())


def test_the_schema_is_of_draft_2020_12_and_closed():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert json.loads(json.dumps(schema)) == schema


def test_the_schema_describes_every_key_with_words_and_swifts_value():
    properties = json_schema()["properties"]
    assert set(properties) == set(StyleSettings.model_fields)
    assert all(each["description"] for each in properties.values())
    defaults = {key: each["default"] for key, each in properties.items()}
    output = {"output": ["png"], "jpeg_quality": 92, "webp_quality": 90, "keep_location": False, "timelapse": "none"}
    assert defaults == {**SWIFT.model_dump(mode="json"), "style": "water-garden", "priority": 0, **output}


def test_the_schema_has_the_bounds_and_choices():
    properties = json_schema()["properties"]
    assert (properties["image_size"]["minimum"], properties["image_size"]["maximum"]) == (32, 16384)
    assert (properties["lr"]["exclusiveMinimum"], properties["lr"]["maximum"]) == (0, 10)
    assert properties["initial_image"]["enum"] == ["photo", "recoloured", "noise"]
    assert properties["recipe"]["enum"] == sorted(RECIPES)
    assert "conv5_1" in properties["style_layers"]["items"]["enum"]


@pytest.mark.parametrize(
    "sample",
    [
        {},
        *(recipe.model_dump(mode="json") for recipe in RECIPES.values()),
        {"recipe": "classic", "style": "turner", "steps": 200, "lr": 1},
        {"timelapse": "mp4"},
        {"timelapse": True},
        {"style": ["turner", "styles/sea.jpg"], "enlarge": True, "style_layers": ["conv1_1"]},
    ],
)
def test_what_the_program_takes_fits_the_schema(sample):
    StyleSettings.model_validate(sample)
    assert fits(sample, json_schema())


@pytest.mark.parametrize(
    "sample",
    [
        {"stepz": 1},
        {"steps": "400"},
        {"steps": 3.5},
        {"steps": 0},
        {"lr": 0},
        {"lr": 11},
        {"enlarge": 1},
        {"style": []},
        {"style": ""},
        {"style": 3},
        {"style": ["a"] * 17},
        {"style_layers": []},
        {"style_layers": ["conv1_1", "conv1_1"]},
        {"style_layers": ["conv6_1"]},
        {"style_layers": "conv1_1"},
        {"initial_image": "foto"},
        {"recipe": "clasic"},
    ],
)
def test_what_the_program_refuses_does_not_fit_the_schema(sample):
    with pytest.raises(ValidationError):
        StyleSettings.model_validate(sample)
    assert not fits(sample, json_schema())


def test_the_settings_of_a_folder_that_was_removed_while_it_was_read_are_inherited(inbox, folders):
    put(inbox / "a" / "style.yaml", "steps: 3\n")
    shutil.rmtree(inbox / "a")
    assert folders.resolve(PurePosixPath("a")).recipe == SWIFT
