"""The daemon's own YAML: what it may hold, what its paths mean, and which folders cannot go together."""

import hashlib
import itertools
import os
import re
import sys
from pathlib import Path, PurePosixPath

import pytest
from pydantic import BaseModel, ValidationError

from monet_watch.config import ClusterSettings, Config, LogSettings, NotifySettings, load_config, state_folder
from monet_watch.errors import SettingsError
from monet_watch.recipes import SWIFT, Recipe
from monet_watch.settings import FolderSettings, StyleSettings
from monet_watch.styles.library import StyleLibrary

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs symlinks")

EXAMPLE = Path(__file__).parent.parent / "config.example.yaml"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function of a config's text: the path of the file, relative to the working directory."""
    (tmp_path / "etc").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("etc", "config.yaml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def etc(tmp_path):
    return tmp_path / "etc"


def faults(path: Path | None, **overrides) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_config(path, overrides)
    return caught.value.faults


# What it holds.


def test_without_a_file_the_folders_lie_in_the_working_directory(write, tmp_path):
    config = load_config(None)
    assert (config.inbox, config.outbox, config.source) == (tmp_path / "inbox", tmp_path / "outbox", None)


def test_an_empty_file_gives_the_defaults_beside_the_file(write, etc):
    config = load_config(write(""))
    assert config.model_dump(exclude={"inbox", "outbox"}) == Config().model_dump(exclude={"inbox", "outbox"})
    assert (config.inbox, config.outbox, config.source) == (etc / "inbox", etc / "outbox", etc / "config.yaml")


def test_every_key_is_read(write, etc):
    config = load_config(
        write(
            "inbox: in\noutbox: out\nstate: s\nstyle_library: [lib, /lib]\nweights: w.pth\n"
            "devices: [cpu, 'cuda:1']\nworkers_per_device: 2\nthreads: 3\n"
            "memory_limit: 6 GiB\nhang_seconds: 90\nretry_seconds: 5\n"
            "settle_seconds: 1\nrescan_seconds: 60\n"
            "watch: polling\npolling_seconds: 0.5\nactive_hours: 22:00-07:00\nnice: 19\n"
            "after: move\narchive: arch\ngallery: false\ncontact_sheet: false\n"
            "after_painting: [bin/tell, now]\nafter_painting_seconds: 5\nignore: ['*.bak', 'a/**']\n"
            "keep_stages: 3\nlimit_megapixels: 12.5\nlimit_megabytes: 64\ndecode_seconds: 9.5\n"
            "notify: {urls: 'json://host', collections: false, problems: false, gather_seconds: 9}\n"
            "metrics_file: m.prom\n"
            "log: {level: debug, format: json}\n"
            "defaults: {steps: 3, style: turner}\n"
        )
    )
    assert config.model_dump(exclude_none=True) == {
        "inbox": etc / "in",
        "outbox": etc / "out",
        "state": etc / "s",
        "style_library": (etc / "lib", Path("/lib")),
        "weights": etc / "w.pth",
        "devices": ("cpu", "cuda:1"),
        "workers_per_device": 2,
        "threads": 3,
        "memory_limit": 6 * 2**30,
        "hang_seconds": 90.0,
        "retry_seconds": 5.0,
        "settle_seconds": 1.0,
        "rescan_seconds": 60.0,
        "watch": "polling",
        "polling_seconds": 0.5,
        "active_hours": ("22:00-07:00",),
        "nice": 19,
        "after": "move",
        "archive": etc / "arch",
        "gallery": False,
        "contact_sheet": False,
        "after_painting": (str(etc / "bin/tell"), "now"),
        "after_painting_seconds": 5.0,
        "keep_stages": 3,
        "ignore": ("*.bak", "a/**"),
        "limit_megapixels": 12.5,
        "limit_megabytes": 64.0,
        "decode_seconds": 9.5,
        "notify": {"urls": ("json://host",), "collections": False, "problems": False, "gather_seconds": 9.0},
        "metrics_file": etc / "m.prom",
        "log": {"level": "debug", "format": "json"},
        "defaults": {"steps": 3, "style": ("turner",)},
    }


def test_one_value_serves_as_a_list_of_one(write, etc):
    config = load_config(write("style_library: lib\ndevices: cpu\nignore: '*.bak'\n"))
    assert (config.style_library, config.devices, config.ignore) == ((etc / "lib",), ("cpu",), ("*.bak",))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("rsync -a 'a b' $HOME;", ("rsync", "-a", "a b", "$HOME;")),
        ("[rsync, -a, a b]", ("rsync", "-a", "a b")),
        ("''", ()),
        ("/bin/sh -c x", ("/bin/sh", "-c", "x")),
    ],
)
def test_a_command_is_a_list_or_a_text_that_is_taken_apart(write, text, command):
    assert load_config(write(f"after_painting: {text}\n")).after_painting == command


def test_a_command_that_cannot_be_taken_apart_is_told(write):
    (fault,) = faults(write("after_painting: rsync 'a b\n"))
    assert fault.startswith("etc/config.yaml:1:17: after_painting: cannot be taken apart: No closing quotation")


def test_a_key_without_a_value_counts_as_not_given(write):
    assert load_config(write("inbox:\nlog:\n  level:\ndefaults:\n  # steps: 3\ndevices: ~\n")) == load_config(write(""))


def test_a_config_is_frozen():
    with pytest.raises(ValidationError):
        Config().after = "delete"


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:15", "mps", "mps:0"])
def test_the_devices_names(write, device):
    assert load_config(write(f"devices: '{device}'\n")).devices == (device,)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096 * 1024**2),
        ("300.5", 300 * 1024**2 + 512 * 1024),
        ("4096 MiB", 4 * 1024**3),
        ("6GiB", 6 * 1024**3),
        ("1.5 gib", 1536 * 1024**2),
        ("6 GB", 6_000_000_000),
        ("'  512 mb '", 512_000_000),
        ("1 TiB", 1024**4),
    ],
)
def test_a_memory_limit_is_a_size_or_a_number_of_mebibytes(write, text, size_bytes):
    assert load_config(write(f"memory_limit: {text}\n")).memory_limit == size_bytes


@pytest.mark.parametrize("weights", ["oxford", "torchvision"])
def test_named_weights_are_no_paths(write, weights):
    assert load_config(write(f"weights: {weights}\n")).weights == weights


# What its paths mean.


def test_the_home_folder_is_expanded(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    config = load_config(
        write("inbox: ~/photos\nstyle_library: ~/styles\nweights: ~/w.pth\n"), {"outbox": "~/paintings"}
    )
    home = tmp_path / "home"
    assert (config.inbox, config.outbox) == (home / "photos", home / "paintings")
    assert (config.style_library, config.weights) == ((home / "styles",), home / "w.pth")


def test_a_path_may_lead_upwards_and_is_straightened(write, tmp_path):
    assert load_config(write("inbox: ../photos\n")).inbox == tmp_path / "photos"


@posix_only
def test_a_way_upwards_out_of_a_link_is_the_systems_way(write, tmp_path, etc):
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (etc / "link").symlink_to(tmp_path / "disk" / "deep")
    assert load_config(write("inbox: link/../photos\n")).inbox == tmp_path / "disk" / "photos"


def test_paths_of_the_command_line_are_relative_to_the_working_directory(write, tmp_path, etc):
    config = load_config(write("inbox: in\noutbox: out\n"), {"inbox": Path("photos"), "state": "here"})
    assert (config.inbox, config.outbox, config.state) == (tmp_path / "photos", etc / "out", tmp_path / "here")


def test_the_command_line_counts_more_and_none_counts_nothing(write):
    config = load_config(write("after: delete\nthreads: 3\n"), {"after": "keep", "threads": None, "inbox": None})
    assert (config.after, config.threads) == ("keep", 3)


def test_one_key_of_a_group_can_be_given_on_the_command_line(write):
    config = load_config(write("log:\n  level: debug\n"), {"log.format": "json"})
    assert config.log == LogSettings(level="debug", format="json")
    assert load_config(None, {"log.level": "error"}).log.level == "error"


# Defaults of the folders.


def test_the_defaults_know_the_file_and_line_of_every_key(write, etc):
    defaults = load_config(write("# c\ndefaults:\n  steps: 3\n\n  style: turner\n")).folder_defaults()
    assert {key: str(origin) for key, origin in defaults.origins.items()} == {
        "steps": f"{Path('etc', 'config.yaml')}:3",
        "style": f"{Path('etc', 'config.yaml')}:5",
    }
    assert (defaults.settings.changes(), defaults.folder) == ({"steps": 3}, etc)


def test_a_default_of_the_command_line_says_so(write):
    defaults = load_config(write("defaults: {steps: 3, seed: 4}\n"), {"defaults.steps": 5}).folder_defaults()
    assert defaults.settings.changes() == {"steps": 5, "seed": 4}
    assert (str(defaults.origins["steps"]), str(defaults.origins["seed"])) == (
        "command line",
        f"{Path('etc', 'config.yaml')}:1",
    )


def test_the_defaults_style_is_a_path_from_the_configs_folder(write, etc, tmp_path):
    (etc / "sea.jpg").write_bytes(b"sea")
    (tmp_path / "etc" / "inbox").mkdir()
    config = load_config(write("defaults:\n  style: sea.jpg\n"))
    folders = FolderSettings(config.inbox, config.folder_defaults(), StyleLibrary([], tmp_path / "none"))
    resolved = folders.resolve(PurePosixPath())
    assert [source.path for source in resolved.styles] == [etc / "sea.jpg"]
    assert str(resolved.origins["style"]) == f"{Path('etc', 'config.yaml')}:2"


def test_a_default_style_that_is_missing_is_told_with_its_place_in_the_config(write, etc, tmp_path):
    (etc / "inbox").mkdir()
    config = load_config(write("defaults:\n  style: sea.jpg\n"))
    with pytest.raises(SettingsError) as caught:
        FolderSettings(config.inbox, config.folder_defaults(), StyleLibrary([], tmp_path / "none")).resolve(
            PurePosixPath()
        )
    assert caught.value.faults[0].startswith(f"{Path('etc', 'config.yaml')}:2:3: style: 'sea.jpg' is not there")


# What is refused.


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("inbx: a", "1:1: inbx: there is no such setting; did you mean 'inbox'?"),
        ("inbox: 3", "1:8: inbox: must be a path, not 3"),
        ("inbox: ''", "1:8: inbox: must be a path, not ''"),
        ("inbox: [a]", "1:8: inbox: must be a path, not a list"),
        ("style_library: [a, 3]", "1:20: style_library[2]: must be a path, not 3"),
        ("devices: gpu", "1:10: devices[1]: 'gpu' is not one of the choices; did you mean 'cuda'?"),
        ("devices: [cpu, kuda]", "1:16: devices[2]: 'kuda' is not one of the choices; did you mean 'cuda'?"),
        ("devices: cuda:01", "1:10: devices[1]: 'cuda:01' is not one of the choices; did you mean 'cuda:0'?"),
        ("devices: []", "1:10: devices: must not be empty; name at least one, or remove the line"),
        ("devices: [cpu, cpu]", "1:10: devices: cpu is named twice; one worker serves each device, name it once"),
        (
            "devices: [cuda, 'cuda:0']",
            "1:10: devices: cuda:0 is named twice; one worker serves each device, name it once",
        ),
        (
            "devices: [auto, cpu]",
            "1:10: devices: auto chooses the devices by itself; name it alone, or name the devices",
        ),
        ("devices: 3", "1:10: devices: must be a list, not 3"),
        ("threads: 0", "1:10: threads: must be at least 1, not 0"),
        ("threads: 2.5", "1:10: threads: must be a whole number, not 2.5"),
        ("threads: 99999", "1:10: threads: must be at most 1024, not 99999"),
        ("settle_seconds: -1", "1:17: settle_seconds: must be at least 0, not -1"),
        ("settle_seconds: .inf", "1:17: settle_seconds: must be a finite number, not inf"),
        ("settle_seconds: '2'", "1:17: settle_seconds: must be a number, not '2'"),
        ("settle_seconds: 5000", "1:17: settle_seconds: must be at most 3600, not 5000"),
        ("rescan_seconds: 0", "1:17: rescan_seconds: must be at least 1, not 0"),
        ("rescan_seconds: 100000", "1:17: rescan_seconds: must be at most 86400, not 100000"),
        ("polling_seconds: 0", "1:18: polling_seconds: must be at least 0.1, not 0"),
        ("polling_seconds: 4000", "1:18: polling_seconds: must be at most 3600, not 4000"),
        ("memory_limit: much", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not 'much'"),
        ("memory_limit: 6 GiBs", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not '6 GiBs'"),
        ("memory_limit: -6 GiB", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not '-6 GiB'"),
        ("memory_limit: .inf", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not inf"),
        ("memory_limit: true", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not true"),
        ("memory_limit: [1]", "1:15: memory_limit: must be a size such as 6 GiB or 4096 MiB, not a list"),
        ("memory_limit: 6", "1:15: memory_limit: must be at least 256 MiB, not 6 MiB"),
        ("memory_limit: 65 TiB", "1:15: memory_limit: must be at most 64 TiB"),
        ("limit_megapixels: 0", "1:19: limit_megapixels: must be more than 0, not 0"),
        ("limit_megapixels: 5000", "1:19: limit_megapixels: must be at most 4000, not 5000"),
        ("limit_megabytes: 0", "1:18: limit_megabytes: must be more than 0, not 0"),
        ("limit_megabytes: 70000", "1:18: limit_megabytes: must be at most 65536, not 70000"),
        ("watch: event", "1:8: watch: 'event' is not one of the choices; did you mean 'events'?"),
        ("active_hours: 22-7", "1:15: active_hours[1]: must be a range of hours such as 22:00-07:00, not '22-7'"),
        (
            "active_hours: ['22:00-07:00', 25:00-01:00]",
            "1:31: active_hours[2]: '25:00-01:00' names a time that no clock shows; hours go from 00:00 to 24:00",
        ),
        ("active_hours: 7", "1:15: active_hours: must be a list, not 7"),
        ("nice: 20", "1:7: nice: must be at most 19, not 20"),
        ("nice: -5", "1:7: nice: must be at least 0, not -5"),
        ("after: remove", "1:8: after: 'remove' is not one of the choices; did you mean 'move'?"),
        (
            "ignore: ['']",
            "1:10: ignore[1]: must not be empty; write a name or a pattern such as *.bak, or remove the line",
        ),
        ("weights: oxfrod", "1:10: weights: 'oxfrod' is not one of the choices; did you mean 'oxford'?"),
        ("weights: 3", "1:10: weights: must be a path, not 3"),
        ("log: {level: warn}", "1:14: log.level: 'warn' is not one of the choices; did you mean 'warning'?"),
        ("log: {lvl: info}", "1:7: log.lvl: there is no such setting; did you mean 'level'?"),
        ("log: info", "1:6: log: must be a group of settings (key: value), not 'info'"),
        ("defaults: {steps: 0}", "1:19: defaults.steps: must be at least 1, not 0"),
        ("defaults: {stepz: 1}", "1:12: defaults.stepz: there is no such setting; did you mean 'steps'?"),
        ("nonsense:", "1:1: nonsense: there is no such setting; "),
    ],
)
def test_what_is_wrong_is_told_with_place_key_and_remedy(write, line, told):
    path = write(line + "\n")
    (only,) = faults(path)
    assert only.startswith(f"{path}:{told}")


def test_the_home_of_an_unknown_user_is_told(write):
    assert (
        "the home folder in '~nobody-of-that-name/a' is not known"
        in faults(write("inbox: ~nobody-of-that-name/a\n"))[0]
    )


def test_faults_of_the_command_line_say_so(write):
    assert faults(write("threads: 3\n"), threads=0, inbx="a", devices=["gpu"]) == (
        "command line: devices[1]: 'gpu' is not one of the choices; did you mean 'cuda'?",
        "command line: threads: must be at least 1, not 0",
        "command line: inbx: there is no such setting; did you mean 'inbox'?",
    )


def test_a_fault_in_a_group_of_the_command_line_says_so(write):
    with pytest.raises(SettingsError) as caught:
        load_config(write("log:\n  format: json\n"), {"log.level": "loud"})
    assert caught.value.faults[0].startswith("command line: log.level: 'loud' is not one of the choices")


def test_a_missing_file_is_told(tmp_path):
    path = tmp_path / "config.yaml"
    assert faults(path) == (f"{path}: it is not there; check how it is written",)


@pytest.mark.parametrize("text", ["inbox: &a b\n", "inbox: !x b\n", "\tinbox: b\n", "inbox: a\ninbox: b\n", "- a\n"])
def test_the_config_is_read_as_strictly_as_a_shared_file(write, text):
    assert faults(write(text))[0].startswith(str(Path("etc", "config.yaml")) + ":")


# Folders that cannot go together.


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("inbox: a\noutbox: a\n", "2:9: outbox", "the outbox {etc}/a is the inbox itself"),
        ("inbox: a\noutbox: a/b\n", "2:9: outbox", "the outbox {etc}/a/b lies in the inbox"),
        ("inbox: a/b\noutbox: a\n", "1:8: inbox", "the inbox {etc}/a/b lies in the outbox"),
        ("inbox: .\n", "1:8: inbox", "the outbox {etc}/outbox lies in the inbox"),
        ("archive: inbox\n", "1:10: archive", "the archive {etc}/inbox is or lies in the inbox"),
        ("archive: inbox/done\n", "1:10: archive", "the archive {etc}/inbox/done is or lies in the inbox"),
        ("archive: outbox\n", "1:10: archive", "the archive {etc}/outbox is or lies in the outbox"),
        ("archive: outbox/done\n", "1:10: archive", "the archive {etc}/outbox/done is or lies in the outbox"),
        ("archive: .\n", "1:10: archive", "the inbox {etc}/inbox lies in the archive"),
        ("state: inbox/.state\n", "1:8: state", "the state {etc}/inbox/.state is or lies in the inbox"),
        ("state: outbox\n", "1:8: state", "the state {etc}/outbox is or lies in the outbox"),
    ],
)
def test_folders_in_each_other_are_refused_with_the_reason(write, etc, text, place, words):
    path = write(text)
    (only,) = faults(path)
    assert only.startswith(f"{path}:{place}: {words.format(etc=etc)}")
    assert only.endswith("; choose folders side by side")


@pytest.mark.parametrize(
    "text",
    [
        "inbox: a\noutbox: ab\n",
        "archive: archive\nstate: state\n",
        "style_library: inbox/styles\n",
        "state: .\n",
        "inbox: archive2\narchive: archive\n",
    ],
)
def test_folders_side_by_side_are_fine(write, text):
    load_config(write(text))


@posix_only
def test_folders_are_compared_after_all_links(write, etc):
    (etc / "inbox").mkdir()
    (etc / "out").symlink_to(etc / "inbox")
    assert "is the inbox itself" in faults(write("outbox: out\n"))[0]
    assert "lies in the inbox" in faults(write("outbox: out/deeper\n"))[0]


def test_folders_of_the_command_line_are_compared_too(write):
    (only,) = faults(write(""), outbox="etc/inbox/out")
    assert only.startswith("command line: outbox: the outbox ")


def test_moving_needs_an_archive(write, etc):
    path = write("# c\nafter: move\n")
    assert faults(path) == (
        f"{path}:2:8: after: `after: move` needs a folder to move to; add a line such as `archive: archive`",
    )
    assert load_config(write("after: move\narchive: done\n")).archive == etc / "done"


def test_all_faults_are_told_at_once_those_of_the_folders_too(write):
    told = faults(write("threads: 0\nnonsense: 1\noutbox: inbox/out\nafter: move\nwatch: x\n"))
    assert [each.split(": ")[0].rpartition("yaml:")[2] for each in told] == ["1:10", "2:1", "5:8", "3:9", "4:8"]


def test_a_faulty_folder_is_told_once_and_not_compared(write):
    (only,) = faults(write("inbox: 3\noutbox: inbox\n"))
    assert "inbox: must be a path" in only


# The state folder.


def test_the_state_folder_is_the_configs(write, etc):
    assert state_folder(load_config(write("state: s\n")), {"STATE_DIRECTORY": "/var/lib/x"}) == etc / "s"


@pytest.mark.parametrize("given", ["/var/lib/x", "/var/lib/x" + os.pathsep + "/var/lib/y"])
def test_else_it_is_the_first_that_systemd_gives(write, given):
    assert state_folder(load_config(write("")), {"STATE_DIRECTORY": given}) == Path("/var/lib/x")


@pytest.mark.parametrize("environ", [{}, {"STATE_DIRECTORY": ""}])
def test_else_it_is_named_after_the_outbox_in_the_users_place(write, etc, tmp_path, monkeypatch, environ):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "states"))
    folder = state_folder(load_config(write("outbox: paintings\n")), environ)
    mark = hashlib.sha256(str(etc / "paintings").encode()).hexdigest()[:12]
    assert folder.name == f"paintings-{mark}"
    if sys.platform == "linux":
        assert folder.parent == tmp_path / "states" / "monet-watch"


def test_two_outboxes_of_one_name_have_two_state_folders(write):
    one = state_folder(load_config(None, {"outbox": "a/out"}), {})
    other = state_folder(load_config(None, {"outbox": "b/out"}), {})
    assert one != other and one.parent == other.parent


@pytest.mark.parametrize("name", ["inbox", "outbox"])
def test_a_state_folder_in_a_shared_folder_is_refused(write, etc, name):
    with pytest.raises(SettingsError, match=f"lies in the {name}, which is shared"):
        state_folder(load_config(write("")), {"STATE_DIRECTORY": str(etc / name / "state")})


@pytest.mark.parametrize(
    ("text", "kept"), [("", None), ("keep_stages: all\n", None), ("keep_stages: none\n", 0), ("keep_stages: 3\n", 3)]
)
def test_how_many_stages_a_finished_painting_keeps(write, text, kept):
    assert load_config(write(text)).stages_kept == kept


@pytest.mark.parametrize("value", ["some", "-1", "true", "2.5", "[1]", "10001"])
def test_what_is_no_number_of_stages_is_refused_in_words(write, value):
    with pytest.raises(SettingsError, match="keep_stages: must be all, none, or how many"):
        load_config(write(f"keep_stages: {value}\n"))


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "head.studio:6379", "ray://head:10001", "[fe80::1]:6379"])
def test_a_cluster_is_named_by_its_address(write, address):
    config = load_config(write(f"cluster: {{address: '{address}'}}\n"))
    assert config.cluster == ClusterSettings(address=address)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("address: head", "cluster.address: must be auto, host:port such as"),
        ("address: http://head:8265", "cluster.address: must be auto, host:port such as"),
        ("gpus_per_worker: 1.5", "cluster.gpus_per_worker: must be a whole number, or less than 1"),
        ("gpus_per_worker: -1", "cluster.gpus_per_worker"),
        ("max_workers: 0", "cluster.max_workers"),
        ("fallback: home", "cluster.fallback"),
        ("adress: auto", "did you mean 'address'?"),
    ],
)
def test_a_fault_in_the_cluster_is_told_with_its_place_and_what_would_be_right(write, text, words):
    with pytest.raises(SettingsError) as caught:
        load_config(write(f"cluster:\n  {text}\n"))
    (fault,) = caught.value.faults
    assert words in fault and ":2:" in fault


def test_without_the_key_there_is_no_cluster():
    assert Config().cluster is None


# The example.

KEY = re.compile(r"^(?P<group> *)(?P<comment># )?(?P<key>[a-z_]+):(?= |$)", re.MULTILINE)


def example_keys(model: type[BaseModel]) -> set[str]:
    """The keys of ``model`` that stand in the example, commented out or not."""
    return {found["key"] for found in KEY.finditer(EXAMPLE.read_text(encoding="utf-8"))} & set(model.model_fields)


@pytest.mark.parametrize("model", [ClusterSettings, Config, LogSettings, NotifySettings, Recipe, StyleSettings])
def test_the_example_has_every_key(model):
    assert example_keys(model) == set(model.model_fields)


def test_the_example_changes_nothing():
    config = load_config(EXAMPLE)
    beside = EXAMPLE.parent.absolute()
    expected = Config(inbox=beside / "inbox", outbox=beside / "outbox")
    assert config.model_dump() == expected.model_dump()


def test_the_example_sets_every_key_that_has_a_plain_value():
    text = EXAMPLE.read_text(encoding="utf-8")
    set_in_it = {found["key"] for found in KEY.finditer(text) if not found["comment"] and not found["group"]}
    none, empty_lists = (
        {"state", "threads", "memory_limit", "archive", "cluster", "metrics_file"},
        {"style_library", "ignore", "active_hours", "after_painting"},
    )
    assert set_in_it == set(Config.model_fields) - none - empty_lists


def test_the_examples_comments_uncommented_are_valid_and_show_swifts_values(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(KEY.sub(r"\g<group>\g<key>:", text), encoding="utf-8")
    config = load_config(tmp_path / "config.yaml")
    assert config.defaults.changes() == SWIFT.model_dump(exclude={"recipe"})
    assert (config.defaults.recipe, config.defaults.style) == ("swift", ("water-garden",))
    assert config.defaults.priority == 0
    assert config.memory_limit == 6 * 2**30
    assert config.cluster == ClusterSettings(token_file=tmp_path / "ray-token")
    assert config.threads == 4 and config.archive == tmp_path / "archive" and len(config.ignore) == 2


def test_the_example_has_a_comment_above_or_beside_every_group_of_keys():
    """Every run of key lines follows a comment: nothing stands unexplained."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(lines):
        found = KEY.match(line)
        if found and found["key"] not in ("log", "defaults", "notify"):
            assert before.strip().startswith("#") or KEY.match(before), line
