"""What the doctor finds: each thing that is wrong is told, with a remedy, and nothing else is."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from monet_watch.claim import OutboxClaim
from monet_watch.config import load_config
from monet_watch.doctor.checkup import CHECKS, examine, run_checks
from monet_watch.doctor.cluster import check_cluster
from monet_watch.doctor.findings import Finding, Premises, Verdict, finding_row, findings_facts, note, wrong
from monet_watch.doctor.machine import (
    check_cards,
    check_devices,
    check_precision,
    check_python,
    check_steps,
    check_torch,
    check_weights,
)
from monet_watch.doctor.places import (
    check_inbox,
    check_originals,
    check_outbox,
    check_room,
    check_state,
    check_watch,
)
from monet_watch.doctor.service import check_daemon, check_settings, check_units
from monet_watch.engine.devices import DeviceFacts, TorchFacts
from monet_watch.errors import OutboxError, WeightsError, WorkerError
from monet_watch.inbox import mounts
from monet_watch.ledger import (
    ARCHIVE_KEY,
    CONFIG_FAULT_KEY,
    HEARTBEAT_KEY,
    LEDGER_NAME,
    OUTBOX_KEY,
    Ledger,
    WatchState,
)
from monet_watch.service import single_instance
from monet_watch.whereabouts import Whereabouts
from monet_watch.workers.cluster import Connected, NodeFacts
from tests.mounted import System

linux = pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone: inotify, /proc, rights that root gives up")

CPU = DeviceFacts("auto", "cpu", "x86_64 (AVX512)", "bf16")
FINE_TORCH = TorchFacts("2.9", devices=(CPU,))
NOW = 1_000_000.0


@pytest.fixture
def house(tmp_path):
    """A function that makes what the doctor looks at: folders, a config of these settings, and a fine machine."""
    (tmp_path / "inbox").mkdir()

    def make(torch=FINE_TORCH, units=None, step=lambda device: 0.25, nodes=tuple, **settings):
        given = {"inbox": "inbox", "outbox": "outbox", "state": "state", **settings}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
        config = load_config(tmp_path / "config.yaml")

        def systemctl(*arguments):
            return (units or {}).get("user" if "--user" in arguments else "system")

        state, machine = tmp_path / "state", tmp_path / "machine"
        return Premises(config, {}, state, lambda: torch, systemctl, lambda: NOW, step, nodes, machine)

    return make


def verdicts(check, premises):
    return [each.verdict for each in check(premises)]


def only_wrong(check, premises):
    """The one finding, which is wrong and says what to do."""
    (found,) = [each for each in check(premises) if each.verdict is not Verdict.FINE]
    assert found.verdict is Verdict.WRONG
    assert found.remedy
    return found


def test_of_a_house_that_is_in_order_nothing_is_wrong(house):
    found = list(run_checks(CHECKS, house()))
    assert [each for each in found if each.verdict is Verdict.WRONG] == []
    assert {each.subject for each in found} >= {"python", "torch", "device", "precision", "weights", "settings"}
    assert {each.subject for each in found} >= {"inbox", "watch", "outbox", "state", "room", "daemon", "service"}


class TestMachine:
    def test_the_python_that_runs_is_told(self, house):
        (found,) = check_python(house())
        assert (found.verdict, sys.executable in found.text) == (Verdict.FINE, True)

    def test_what_a_step_takes_is_told_of_each_card_that_auto_stands_for(self, house):
        card = replace(CPU, asked="auto", device="cuda:0")
        taken = {"cuda:0": 0.5, "cuda:1": 0.125}
        found = check_steps(house(TorchFacts("2.9", cards=2, devices=(card,)), step=taken.__getitem__))
        assert [each.text for each in found] == [
            "cuda:0 takes 0.500 s for a step at 64 × 64 pixels",
            "cuda:1 takes 0.125 s for a step at 64 × 64 pixels",
        ]

    def test_a_device_on_which_no_step_can_be_taken_is_wrong_and_the_next_one_is_measured(self, house):
        def step(device):
            if device == "cuda:0":
                raise WorkerError("A step on cuda:0 cannot be measured: out of memory.")
            return 0.25

        devices = (replace(CPU, asked="cuda:0", device="cuda:0"), CPU)
        premises = house(TorchFacts("2.9", cards=1, devices=devices), step=step)
        assert "out of memory" in only_wrong(check_steps, premises).text
        assert verdicts(check_steps, premises) == [Verdict.WRONG, Verdict.FINE]

    def test_without_weights_and_on_devices_that_cannot_be_used_no_step_is_taken(self, house):
        def step(device):
            raise WeightsError("They are not there.")

        assert verdicts(check_steps, house(step=step)) == []
        lost = replace(CPU, fault="There is no such device.")
        assert verdicts(check_steps, house(TorchFacts("2.9", devices=(lost,)))) == []

    def test_a_torch_that_cannot_be_imported_is_told_with_the_reason(self, house):
        found = only_wrong(check_torch, house(TorchFacts(fault="libcudart.so.13 is missing")))
        assert "libcudart.so.13 is missing" in found.text

    def test_a_device_that_is_not_there_is_told_while_another_one_is_fine(self, house):
        there_is_none = DeviceFacts("cuda:7", fault="There is no device 'cuda:7' here.", remedy="Use cpu.")
        premises = house(TorchFacts("2.9", devices=(CPU, there_is_none)))
        assert only_wrong(check_devices, premises).text == "There is no device 'cuda:7' here."
        assert verdicts(check_devices, premises) == [Verdict.FINE, Verdict.WRONG]
        assert len(list(check_precision(premises))) == 1

    def test_a_device_without_bf16_is_worth_a_note(self, house):
        slow = house(TorchFacts("2.9", devices=(replace(CPU, precision="fp32"),)))
        assert verdicts(check_precision, slow) == [Verdict.NOTE]
        assert verdicts(check_precision, house()) == [Verdict.FINE]

    def test_a_card_that_torch_does_not_see_is_wrong_unless_the_processor_was_chosen(self, house, tmp_path):
        (tmp_path / "machine/proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
        assert "1 card," in only_wrong(check_cards, house()).text
        assert verdicts(check_cards, house(devices="cpu")) == []
        assert verdicts(check_cards, house(TorchFacts("2.9", cards=1))) == []

    def test_weights_are_verified_or_told_to_be_missing(self, house, tmp_path):
        (found,) = check_weights(house())
        assert (found.verdict, "verified" in found.text) == (Verdict.FINE, True)
        assert "none.pth" in only_wrong(check_weights, house(weights="none.pth")).text
        (tmp_path / "mine.pth").write_bytes(b"anything")
        (found,) = check_weights(house(weights="mine.pth"))
        assert "nothing to compare" in found.text


class TestPlaces:
    def test_an_inbox_that_is_away_is_told_once(self, house, tmp_path):
        (tmp_path / "inbox").rmdir()
        assert str(tmp_path / "inbox") in only_wrong(check_inbox, house()).text
        assert verdicts(check_watch, house()) == []

    def test_the_remedy_for_an_inbox_that_is_away_can_be_run_whatever_its_name_is(self, house, tmp_path):
        remedy = only_wrong(check_inbox, house(inbox="our photos; rm -r")).remedy
        subprocess.run(remedy.partition(": ")[2], shell=True, check=True)
        assert (tmp_path / "our photos; rm -r").is_dir()

    @pytest.mark.parametrize("is_there", [True, False])
    def test_an_outbox_whose_share_is_not_mounted_is_told_and_not_written(self, house, tmp_path, monkeypatch, is_there):
        monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")
        outbox = tmp_path / "outbox"
        system = System(tmp_path / "mountinfo")
        system.mount(outbox)
        (tmp_path / "state").mkdir()
        with Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            Whereabouts(outbox, "", lambda text: ledger.note(OUTBOX_KEY, text))
        assert verdicts(check_outbox, house()) == [Verdict.FINE]
        system.unmount(outbox)
        if is_there:
            outbox.mkdir()
        (found,) = run_checks([check_outbox], house())
        assert (found.subject, found.verdict) == ("outbox", Verdict.WRONG)
        assert "not mounted" in found.text and "Mount it again" in found.remedy

    def test_an_archive_whose_share_is_not_mounted_is_told_and_not_written(self, house, tmp_path, monkeypatch):
        monkeypatch.setattr(mounts, "_MOUNTINFO", tmp_path / "mountinfo")
        archive = tmp_path / "archive"
        system = System(tmp_path / "mountinfo")
        system.mount(archive)
        for name in ("state", "archive"):
            (tmp_path / name).mkdir()
        with Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            Whereabouts(archive, "", lambda text: ledger.note(ARCHIVE_KEY, text), "archive")
        premises = house(after="move", archive="archive")
        assert verdicts(check_originals, premises) == [Verdict.FINE, Verdict.FINE]
        system.unmount(archive)
        found = only_wrong(check_originals, premises)
        assert found.subject == "archive"
        assert "not mounted" in found.text and "counts as the archive" in found.remedy

    def test_how_the_inbox_would_be_watched_is_tried(self, house, tmp_path):
        (tmp_path / "inbox/trip/.hidden").mkdir(parents=True)
        (found,) = check_watch(house(watch="events"))
        assert found.verdict is Verdict.FINE
        assert "by events, 2 folders" in found.text
        (found,) = check_watch(house(watch="scans"))
        assert "by scans, 0 folders" in found.text

    def test_how_a_running_daemon_watches_is_told_by_its_own_word(self, house, tmp_path):
        with single_instance(tmp_path / "state"), Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            assert verdicts(check_watch, house()) == [Verdict.NOTE]
            ledger.note_watch(WatchState("polling", "It lies on nfs4."))
            (found,) = check_watch(house())
            assert (found.verdict, "It lies on nfs4." in found.text) == (Verdict.FINE, True)
            ledger.note_watch(WatchState("polling", "Raise it with sysctl.", limited=True))
            assert "sysctl" in only_wrong(check_watch, house()).text
            ledger.note_watch(WatchState(trouble="The inbox is away."))
            assert only_wrong(check_watch, house()).text == "The inbox is away."

    @linux
    def test_a_limit_of_watches_below_the_folders_of_the_inbox_is_wrong(self, house, tmp_path):
        """In a namespace of its own, in which the system grants two watches."""
        (tmp_path / "inbox/a/b").mkdir(parents=True)
        house()
        script = """
import sys
from pathlib import Path
from monet_watch.config import load_config
from monet_watch.doctor.checkup import premises_of
from monet_watch.doctor.places import check_watch
for found in check_watch(premises_of(load_config(Path(sys.argv[1])), {})):
    print(found.verdict, found.text)
"""
        limited = 'echo 2 > /proc/sys/user/max_inotify_watches && exec "$@"'
        command = ["unshare", "-Ur", "sh", "-c", limited, "sh", sys.executable, "-c", script, tmp_path / "config.yaml"]
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.stdout.startswith("wrong"), done.stderr
        assert "sysctl fs.inotify.max_user_watches=" in done.stdout

    @linux
    def test_what_the_account_may_not_do_is_told_for_each_folder(self, house, tmp_path, run_for_whom_permissions_count):
        house(after="move", archive="archive")
        for name in ("inbox/closed", "inbox/fixed", "outbox", "state", "archive"):
            (tmp_path / name).mkdir(parents=True)
        script = """
import sys
from pathlib import Path
from monet_watch.config import load_config
from monet_watch.doctor.checkup import premises_of
from monet_watch.doctor.places import check_inbox, check_originals, check_outbox, check_state
premises = premises_of(load_config(Path(sys.argv[1])), {})
for check in (check_inbox, check_originals, check_outbox, check_state):
    for found in check(premises):
        print(found.subject, found.verdict, found.text)
"""
        modes = {"inbox/closed": 0o300, "inbox/fixed": 0o500, "outbox": 0o500, "state": 0o500, "archive": 0o500}
        for name, mode in modes.items():
            (tmp_path / name).chmod(mode)
        said = run_for_whom_permissions_count(script, tmp_path / "config.yaml").splitlines()
        for name in modes:
            (tmp_path / name).chmod(0o700)
        told = [line.split(" ", 2) for line in said]
        assert [(subject, verdict) for subject, verdict, _ in told] == [
            ("inbox", "wrong"),
            ("archive", "wrong"),
            ("originals", "wrong"),
            ("outbox", "wrong"),
            ("state", "wrong"),
        ]
        assert told[0][2].startswith("closed may not be read")
        assert "fixed" in told[2][2]

    @linux
    def test_a_file_of_the_state_that_another_account_has_made_is_told(
        self, house, tmp_path, run_for_whom_permissions_count
    ):
        house()
        (tmp_path / "state").mkdir()
        (tmp_path / "state/lock").touch(0o444)
        script = """
import sys
from pathlib import Path
from monet_watch.config import load_config
from monet_watch.doctor.checkup import premises_of
from monet_watch.doctor.places import check_state
(found,) = check_state(premises_of(load_config(Path(sys.argv[1])), {}))
print(found.verdict, found.text)
"""
        said = run_for_whom_permissions_count(script, tmp_path / "config.yaml")
        assert said.startswith("wrong") and f"{tmp_path}/state/lock may not be written" in said

    def test_folders_that_are_not_there_yet_will_be_made(self, house):
        for check in (check_outbox, check_state):
            (found,) = check(house())
            assert (found.verdict, "will be made" in found.text) == (Verdict.FINE, True)

    def test_a_look_leaves_nothing_behind(self, house, tmp_path):
        for name in ("outbox", "state", "archive"):
            (tmp_path / name).mkdir()
        before = sorted(tmp_path.rglob("*"))
        premises = house(after="move", archive="archive")
        list(run_checks(CHECKS, premises))
        assert sorted(path for path in tmp_path.rglob("*") if path.name != "config.yaml") == before

    def test_originals_that_stay_are_nobodys_affair(self, house):
        assert verdicts(check_originals, house()) == []
        assert verdicts(check_originals, house(after="delete")) == [Verdict.FINE]

    def test_too_little_room_for_a_painting_of_these_settings_is_wrong(self, house, tmp_path):
        assert verdicts(check_room, house()) == [Verdict.FINE, Verdict.FINE]
        (tmp_path / "inbox/style.yaml").write_text("image_size: 16384\nsteps: 10000\nsave_every: 1\n")
        assert "a painting takes up to" in only_wrong(check_room, house()).text


PAINTER = NodeFacts("painter (10.0.0.2)", "cuda:1", "RTX 4090", "bf16", 24 * 2**30, 0.0125, "2.9", room=4)


class TestCluster:
    """A cluster that pretends."""

    @pytest.fixture
    def cluster(self, house):
        def make(*nodes):
            return house(nodes=lambda: iter((Connected(2), *nodes)), cluster={"address": "10.0.0.1:6379"})

        return make

    def test_without_a_cluster_in_the_config_nobody_looks_for_one(self, house):
        def nodes():
            raise AssertionError("it is looked for")

        assert verdicts(check_cluster, house(nodes=nodes)) == []

    def test_of_each_node_device_memory_precision_the_time_of_a_step_and_its_room_are_told(self, cluster):
        connected, found = check_cluster(cluster(PAINTER))
        assert (connected.verdict, found.verdict) == (Verdict.FINE, Verdict.FINE)
        assert connected.text == "10.0.0.1:6379: connected to a cluster of 2 nodes"
        assert found.text == (
            "painter (10.0.0.2): cuda:1, RTX 4090, 24.0 GiB, bf16, "
            "0.0125 s for a step at 64 × 64 pixels; room for 4 workers"
        )

    def test_a_cluster_that_cannot_be_used_is_wrong_with_the_reason_and_the_remedy(self, house):
        def nodes():
            raise WorkerError("The Ray cluster at 10.0.0.1:6379 does not accept the token.", "Copy it.")

        (found,) = run_checks((check_cluster,), house(nodes=nodes, cluster={}))
        assert found == wrong("cluster", "The Ray cluster at 10.0.0.1:6379 does not accept the token.", "Copy it.")

    def test_what_is_wrong_with_a_node_is_told_with_a_remedy_and_the_others_are_told_as_well(self, cluster):
        lost = NodeFacts("b", "cuda:0", room=1, fault="The device cuda fails.")
        other = NodeFacts("c", room=1, fault="It has monet-watch 99.", remedy="Install the same.")
        _, *found = check_cluster(cluster(lost, PAINTER, other))
        assert [each.verdict for each in found] == [Verdict.WRONG, Verdict.FINE, Verdict.WRONG]
        assert found[0].text == "b: cuda:0: The device cuda fails." and found[0].remedy
        assert (found[2].text, found[2].remedy) == ("c: It has monet-watch 99.", "Install the same.")

    def test_a_node_whose_workers_paint_is_no_fault(self, cluster):
        _, found = check_cluster(cluster(NodeFacts("b", room=1, remark="busy: its workers are painting")))
        assert found == note("node", "b: busy: its workers are painting")

    def test_another_torch_than_here_is_worth_a_note(self, cluster):
        *_, found = check_cluster(cluster(replace(PAINTER, torch="2.8")))
        assert (found.verdict, "torch 2.8, and this machine 2.9" in found.text) == (Verdict.NOTE, True)

    def test_a_cluster_of_which_no_machine_can_hold_a_worker_is_wrong(self, cluster):
        *_, found = check_cluster(cluster(NodeFacts("b", remark="holds no worker")))
        assert (found.verdict, "1 GPU and 1 CPU" in found.text) == (Verdict.WRONG, True)
        assert "gpus_per_worker" in found.remedy

    def test_without_weights_of_which_another_check_tells_no_node_is_looked_at(self, house):
        def nodes():
            raise WeightsError("They are not there.")

        assert verdicts(check_cluster, house(nodes=nodes, cluster={})) == []


class TestService:
    def test_every_fault_of_the_folders_settings_is_told(self, house, tmp_path):
        (tmp_path / "inbox/trip").mkdir()
        (tmp_path / "inbox/style.yaml").write_text("steps: 20\n")
        assert verdicts(check_settings, house()) == [Verdict.FINE]
        (tmp_path / "inbox/trip/style.yaml").write_text("stepz: 20\nlr: fast\n")
        found = list(check_settings(house()))
        assert [each.text.split(" ")[0] for each in found] == ["trip/style.yaml:1:1:", "trip/style.yaml:2:5:"]
        assert {each.verdict for each in found} == {Verdict.WRONG}

    def test_a_style_picture_that_is_empty_is_told(self, house, tmp_path):
        (tmp_path / "inbox/style.jpg").touch()
        assert only_wrong(check_settings, house()).text.startswith("style.jpg: it is empty")

    def test_a_daemon_that_goes_round_is_fine_and_one_that_hangs_is_not(self, house, tmp_path):
        assert verdicts(check_daemon, house()) == [Verdict.NOTE]
        with single_instance(tmp_path / "state"), Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            os.utime(tmp_path / "state/lock.pid", (NOW - 3600, NOW - 3600))
            ledger.note(HEARTBEAT_KEY, str(NOW - 5))
            (found,) = check_daemon(house())
            assert (found.verdict, str(os.getpid()) in found.text) == (Verdict.FINE, True)
            ledger.note(HEARTBEAT_KEY, str(NOW - 600))
            assert "10 min" in only_wrong(check_daemon, house()).text

    @pytest.mark.parametrize("last_word", ["", str(NOW - 12 * 3600)])
    def test_a_daemon_that_has_just_started_is_not_blamed_for_the_time_before(self, house, tmp_path, last_word):
        with single_instance(tmp_path / "state"), Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            ledger.note(HEARTBEAT_KEY, last_word)
            started = tmp_path / "state/lock.pid"
            os.utime(started, (NOW - 5, NOW - 5))
            assert verdicts(check_daemon, house()) == [Verdict.FINE]
            os.utime(started, (NOW - 600, NOW - 600))
            assert "10 min" in only_wrong(check_daemon, house()).text

    def test_a_config_that_the_daemon_has_refused_is_wrong(self, house, tmp_path):
        with single_instance(tmp_path / "state"), Ledger.open(tmp_path / "state" / LEDGER_NAME) as ledger:
            ledger.note(HEARTBEAT_KEY, str(NOW))
            ledger.note(CONFIG_FAULT_KEY, "The config stays as it was: config.yaml:1:1: x")
            assert "config.yaml:1:1" in only_wrong(check_daemon, house()).text

    @linux
    def test_a_daemon_of_another_state_folder_on_the_same_outbox_is_told(self, house, tmp_path):
        (tmp_path / "outbox").mkdir()
        claiming = "import sys; from pathlib import Path; from monet_watch.claim import OutboxClaim as Claim\n"
        claiming += "with Claim(Path(sys.argv[1])): print('here', flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", claiming, tmp_path / "outbox"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        ) as other:
            assert other.stdout.readline() == b"here\n"
            (found,) = check_daemon(house())
            other.stdin.close()
        assert f"process {other.pid}" in found.text
        OutboxClaim(tmp_path / "outbox").look()

    def test_a_unit_that_failed_is_wrong_and_one_that_is_not_enabled_is_worth_a_note(self, house):
        unit = "LoadState=loaded\nActiveState={}\nUnitFileState={}\nUser=\nResult={}\n"
        running = unit.format("active", "enabled", "success")
        assert verdicts(check_units, house(units={"system": running})) == [Verdict.FINE]
        disabled = unit.format("inactive", "disabled", "success")
        assert verdicts(check_units, house(units={"user": disabled})) == [Verdict.NOTE]
        found = only_wrong(check_units, house(units={"user": unit.format("failed", "enabled", "watchdog")}))
        assert "watchdog" in found.text
        assert "journalctl --user -u monet-watch" in found.remedy

    def test_where_there_is_no_unit_or_no_systemd_that_is_worth_a_note(self, house):
        missing = "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nUser=\nResult=success\n"
        assert verdicts(check_units, house(units={"system": missing, "user": missing})) == [Verdict.NOTE]
        assert verdicts(check_units, house()) == [Verdict.NOTE]

    def test_that_the_service_has_another_account_is_told_since_rights_are_the_accounts(self, house):
        unit = "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nUser=painter\nResult=success\n"
        *_, found = check_units(house(units={"system": unit}))
        assert (found.verdict, "sudo -u painter" in found.remedy) == (Verdict.NOTE, True)


class TestCheckup:
    def test_a_config_that_cannot_be_used_is_told_line_by_line_and_the_machine_is_looked_at_still(self, tmp_path):
        (tmp_path / "config.yaml").write_text("inbx: inbox\nnice: 99\n")
        found = list(examine(lambda: load_config(tmp_path / "config.yaml"), {"STATE_DIRECTORY": str(tmp_path / "s")}))
        wrongs = [each.text for each in found if each.verdict is Verdict.WRONG and each.subject == "config"]
        assert [text.split(" ")[0].rpartition("config.yaml")[2] for text in wrongs] == [":1:1:", ":2:7:"]
        assert {each.subject for each in found} >= {"python", "torch", "device", "precision"}

    def test_a_state_folder_in_the_inbox_is_told_and_the_machine_is_looked_at_still(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        environ = {"STATE_DIRECTORY": str(tmp_path / "inbox" / "state")}
        for settings, told in (("", "$STATE_DIRECTORY: "), ("devices: gpu\n", "config.yaml:1:10: devices")):
            (tmp_path / "config.yaml").write_text(settings)
            first, *others = examine(lambda: load_config(Path("config.yaml")), environ)
            assert (first.subject, first.verdict) == ("config", Verdict.WRONG)
            assert first.text.startswith(told)
            assert {"python", "torch"} <= {each.subject for each in others}

    def test_a_check_that_cannot_look_is_a_finding_and_the_next_ones_go_on(self, house):
        def check_moon(premises):
            raise OutboxError("It is behind clouds.", "Wait.")

        def check_stars(premises):
            raise PermissionError(13, "Permission denied")

        found = list(run_checks((check_moon, check_stars, check_python), house()))
        assert found[0] == Finding("moon", Verdict.WRONG, "It is behind clouds.", "Wait.")
        assert (found[1].subject, found[1].verdict, "denied" in found[1].text) == ("stars", Verdict.WRONG, True)
        assert found[2].verdict is Verdict.FINE


class TestTold:
    def test_the_remedy_stands_below_what_it_mends(self):
        console = Console(width=80, color_system=None)
        with console.capture() as captured:
            console.print(finding_row(wrong("outbox", "It is full.", "Make room.")))
        first, second = captured.get().splitlines()
        assert first.split() == ["wrong", "outbox", "It", "is", "full."]
        assert second.index("Make room.") == first.index("It is full.")

    def test_what_could_steer_a_terminal_is_escaped(self):
        console = Console(width=80, color_system=None)
        with console.capture() as captured:
            console.print(finding_row(note("inbox", "a\x1b[31mb", "c\x07")))
        assert not {"\x1b", "\x07"} & set(captured.get())

    def test_programs_are_told_whether_all_is_fine(self):
        facts = findings_facts([note("daemon", "It does not run.")])
        assert facts == {
            "fine": True,
            "findings": [{"subject": "daemon", "verdict": "note", "text": "It does not run.", "remedy": ""}],
        }
        assert json.loads(json.dumps(findings_facts([wrong("a", "b", "c")])))["fine"] is False


def test_a_link_to_a_folder_is_not_followed_and_what_is_left_alone_is_not_looked_at(house, tmp_path):
    (tmp_path / "inbox/.hidden/deep").mkdir(parents=True)
    (tmp_path / "inbox/link").symlink_to(tmp_path)
    (found,) = check_watch(house(watch="events"))
    assert "by events, 1 folder by" in found.text
