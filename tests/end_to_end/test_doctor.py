"""The doctor as a program, on a real house, a real torch and a real daemon."""

import json

import pytest

from tests.end_to_end.house import Home, program

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def findings(answer):
    return [(each["subject"], each["verdict"], each["text"]) for each in json.loads(answer.stdout)["findings"]]


def test_of_a_house_in_which_a_daemon_runs_all_is_fine(home):
    with home.daemon() as daemon:
        daemon.wait_for("scanned")
        answer = program("doctor", "--json", "--config", home.config)
        told = findings(answer)
    assert (answer.returncode, json.loads(answer.stdout)["fine"]) == (0, True), answer.stdout
    assert ("daemon", "fine", f"It runs (process {daemon.pid}).") in told
    texts = {subject: text for subject, _, text in told}
    assert texts["torch"].startswith("torch ")
    assert texts["device"].startswith("auto is ")
    assert "as the daemon does" in texts["watch"]
    assert "verified" in texts["weights"]


def test_what_is_wrong_is_told_with_a_remedy_and_ends_with_1(home):
    home.configure(devices="cuda:63", outbox="outbox", weights="none.pth")
    home.write("style.yaml", "stepz: 5\n")
    answer = program("doctor", "--config", home.config, COLUMNS="200")
    assert answer.returncode == 1
    lines = [line for line in answer.stdout.splitlines() if line.startswith("wrong")]
    assert [line.split()[1] for line in lines] == ["device", "weights", "settings"]
    assert "style.yaml:1:1: stepz" in lines[2]
    assert "name other `devices`" in answer.stdout or "whichever the machine has" in answer.stdout


def test_a_config_that_cannot_be_read_does_not_keep_it_from_looking_at_the_machine(home):
    home.config.write_text("inbox: [", encoding="utf-8")
    answer = program("doctor", "--config", home.config, "--json")
    assert answer.returncode == 1
    told = findings(answer)
    assert told[0][:2] == ("config", "wrong")
    assert "torch" in {subject for subject, _, _ in told}
