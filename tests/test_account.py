"""All that is known of a photo, comparisons of two paintings, and what there is to open, in a house with paintings."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from monet_watch.account import account_facts, render_account, take_account
from monet_watch.compare import comparison_facts, comparison_table, differences
from monet_watch.errors import SettingsError
from monet_watch.finding import Places, find_job
from monet_watch.ledger import LEDGER_NAME, Ledger
from monet_watch.opening import opener, place_to_open, show_file
from tests.painted_house import painted_house

NOW = 1_700_004_700.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("house")
    with painted_house(folder):
        pass
    return folder


@pytest.fixture
def ledger(folder):
    with Ledger.open_read_only(folder / LEDGER_NAME) as ledger:
        yield ledger


@pytest.fixture
def places(folder):
    return Places(folder / "inbox", folder / "outbox", folder)


@pytest.fixture
def take(places, ledger):
    return lambda name: take_account(name, places, ledger)


def shown(renderable, width=120):
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(renderable)
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


class TestFinding:
    @pytest.mark.parametrize("name", ["trip/a.jpg", "inbox/trip/a.jpg", "{folder}/inbox/trip/a.jpg"])
    def test_a_photo_means_what_it_led_to_last(self, name, folder, places, ledger):
        assert str(find_job(name.format(folder=folder), places, ledger).folder).startswith("trip/a-")

    @pytest.mark.parametrize(
        "name", ["trip/a", "outbox/trip/a", "{folder}/outbox/trip/a", "{folder}/outbox/trip/a/a.png", "trip/a/loss.png"]
    )
    def test_a_folder_of_the_outbox_or_a_file_in_it_means_its_painting(self, name, folder, places, ledger):
        assert str(find_job(name.format(folder=folder), places, ledger).folder) == "trip/a"

    def test_an_unknown_name_is_refused_with_the_nearest(self, places, ledger):
        with pytest.raises(SettingsError, match=r"did you mean trip/a\.jpg\?"):
            find_job("trip/aa.jpg", places, ledger)

    @pytest.mark.parametrize("name", ["", ".", "/", "outbox", "..", "nothing"])
    def test_what_is_no_painting_means_none(self, name, places, ledger):
        with pytest.raises(SettingsError):
            find_job(name, places, ledger)


class TestAccount:
    @pytest.mark.skipif(os.name != "posix", reason="permissions are another matter there")
    def test_of_a_painting_whose_folder_may_not_be_read_all_else_is_told(self, folder, run_for_whom_permissions_count):
        script = """
import sys
from pathlib import Path
from monet_watch.account import account_facts, take_account
from monet_watch.finding import Places
from monet_watch.ledger import LEDGER_NAME, Ledger
house = Path(sys.argv[1])
with Ledger.open_read_only(house / LEDGER_NAME) as ledger:
    facts = account_facts(take_account("trip/a", Places(house / "inbox", house / "outbox", house), ledger))
print(facts["state"], facts["files"], facts["record"])
"""
        closed = folder / "outbox" / "trip" / "a"
        closed.chmod(0)
        try:
            assert run_for_whom_permissions_count(script, folder) == "done [] None\n"
        finally:
            closed.chmod(0o755)

    def test_a_painting_is_told_with_settings_origins_losses_and_files(self, take):
        lines = shown(render_account(take("trip/a"), NOW))
        assert lines[0] == "trip/a.jpg"
        assert "took 4 steps in 2 s: all steps taken" in lines  # a worker that pretends takes half a second for each
        # Of step n, the loss that a worker pretends is 100 / n.
        assert any(line.startswith("loss 100 █") and line.endswith("▁ 25.0") for line in lines)
        files = "files a.png, loss.png, painting.json, photo.webp, progress_0002.png"
        assert any(line.startswith(files) for line in lines)
        assert any(line.startswith("steps 4 ") for line in lines)
        assert any(line.startswith("lr 1 recipe swift") for line in lines)
        assert any(line.startswith("1 ") and line.endswith("done") for line in lines[lines.index("Attempts") :])

    def test_the_origin_of_a_setting_is_the_line_of_its_file(self, take):
        assert "steps 3 trip/style.yaml:1" in shown(render_account(take("trip/a.jpg"), NOW))

    def test_further_paintings_of_the_photo_are_told(self, take):
        lines = shown(render_account(take("trip/a.jpg"), NOW))
        assert any("in trip/a (job" in line for line in lines[lines.index("Also of this photo") :])

    def test_why_a_photo_is_not_painted_and_what_to_do_is_told(self, take):
        problem, waiting = (shown(render_account(take(name), NOW)) for name in ("trip/huge.jpg", "bad/c.jpg"))
        assert problem[1].startswith("state problem, since")
        assert any(line.startswith("what to do ") for line in problem)
        assert any(
            line.startswith("why The settings of its folder cannot be used: bad/style.yaml:1:1") for line in waiting
        )
        assert "Settings" not in waiting

    def test_a_painting_that_was_removed_says_how_to_get_it_back(self, folder, places, ledger, tmp_path):
        elsewhere = Places(places.inbox, tmp_path, tmp_path)
        account = take_account("b.jpg", elsewhere, ledger)
        lines = shown(render_account(account, NOW))
        assert account.record is account.folder is None
        assert any("retry" in line for line in lines)
        assert any(line.startswith("steps 4 ") for line in lines)  # the ledger knows its settings

    def test_a_damaged_record_counts_as_none(self, folder, places, ledger, tmp_path):
        shutil.copytree(folder / "outbox", tmp_path / "outbox")
        (tmp_path / "outbox/b/painting.json").write_text("{")
        account = take_account("b.jpg", Places(places.inbox, tmp_path / "outbox", tmp_path), ledger)
        assert account.record is None
        assert "b.png" in account.files

    def test_programs_get_the_same_as_json(self, take):
        facts = json.loads(json.dumps(account_facts(take("trip/a.jpg")), allow_nan=False))
        assert facts["settings"]["steps"] == {"value": 3, "origin": "trip/style.yaml:1"}
        assert [each["outcome"] for each in facts["attempts_made"]] == ["done"]
        assert facts["record"]["curve"]["total"] == [100.0, 50.0, pytest.approx(100 / 3)]
        assert "painting.json" in facts["files"]
        assert [each["folder"] for each in facts["others"]] == ["trip/a"]
        assert account_facts(take("bad/c.jpg"))["record"] is None


class TestCompare:
    def test_what_differs_is_marked_and_the_rest_is_not(self, take):
        lines = shown(comparison_table(take("trip/a"), take("trip/a.jpg")))
        assert "≠ steps 4 3" in lines
        assert "≠ last loss 25.0 33.3" in lines
        assert "lr 1 1" in lines
        assert any(line.startswith("photo ") for line in lines)  # the same one, unmarked

    def test_only_what_differs_is_shown_where_that_is_asked_for(self, take):
        lines = shown(comparison_table(take("trip/a"), take("trip/a.jpg"), only_differing=True))
        assert "≠ steps 4 3" in lines
        assert not any(line.startswith("lr ") for line in lines)

    def test_a_painting_does_not_differ_from_itself(self, take):
        assert not any(each.differs for each in differences(take("b"), take("b.jpg")))

    def test_photos_that_are_not_painted_are_compared_as_far_as_they_are_known(self, take):
        lines = shown(comparison_table(take("b.jpg"), take("bad/c.jpg")))
        assert "≠ steps 4 -" in lines

    def test_programs_get_the_same_as_json(self, take):
        facts = json.loads(json.dumps(comparison_facts(take("trip/a"), take("b")), allow_nan=False))
        assert (facts["first"]["folder"], facts["second"]["photo"]) == ("trip/a", "b.jpg")
        assert facts["settings"]["steps"] == {"first": 4, "second": 4, "differs": False}
        assert facts["made of"]["photo"]["differs"] is True
        assert facts["results"]["steps taken"]["first"] == 4


class TestOpening:
    def test_the_gallery_is_opened_where_there_is_one_else_the_outbox(self, tmp_path):
        assert place_to_open(tmp_path, None) == tmp_path
        (tmp_path / "index.html").touch()
        assert place_to_open(tmp_path, None) == tmp_path / "index.html"

    def test_of_a_painting_its_page_is_opened_else_the_picture(self, folder, places, ledger, tmp_path):
        shutil.copytree(folder / "outbox", tmp_path / "outbox")
        outbox = tmp_path / "outbox"
        account = take_account("b.jpg", Places(places.inbox, outbox, tmp_path), ledger)
        assert place_to_open(outbox, account) == outbox / "b" / "b.png"
        (outbox / "b" / "index.html").touch()
        assert place_to_open(outbox, account) == outbox / "b" / "index.html"

    def test_the_platform_says_what_opens_a_file(self):
        display = {"DISPLAY": ":0"}
        assert opener(display, "linux", lambda name: f"/usr/bin/{name}") == ["/usr/bin/xdg-open"]
        assert opener({"WAYLAND_DISPLAY": "w"}, "linux", lambda name: name) == ["xdg-open"]
        assert opener(display, "linux", lambda name: None) is None
        assert opener({}, "linux", lambda name: name) is None
        assert opener({}, "darwin", lambda name: None) == ["open"]

    def test_the_file_is_handed_to_what_opens_it(self, tmp_path, monkeypatch):
        script = tmp_path / "bin" / "xdg-open"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent), prepend=":")
        page = tmp_path / "a page; touch x.html"
        page.touch()
        assert show_file(page, {"DISPLAY": ":0"})
        assert Path(tmp_path / "opened").read_text() == str(page)
        script.write_text("#!/bin/sh\nexit 3\n")
        assert not show_file(page, {"DISPLAY": ":0"})
        assert not show_file(page, {})
