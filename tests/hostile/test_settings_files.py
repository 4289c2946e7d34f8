"""No style.yaml, whatever it holds, does more than to be taken or to be refused with its place."""

import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monet_watch.errors import SettingsError
from monet_watch.settings import Defaults, FolderSettings, StyleSettings
from monet_watch.styles.library import StyleLibrary, read_style
from tests.hostile.yamls import VALID, generated, written

PLACE = re.compile(r"style\.yaml:\d+:\d+: ")
OF_THE_FILE = re.compile(
    r"style\.yaml: (it has \d+ bytes, more than 65536|and \d+ more faults)|settings: and \d+ more faults"
)
posix_only = pytest.mark.skipif(os.name != "posix", reason="links and devices are those of POSIX")


class House:
    """An inbox with one style picture, and the settings of its folders."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.library = folder / "inbox", folder / "library"
        self.private = folder / "private.jpg"
        for place in (self.inbox, self.library):
            place.mkdir()
        for picture in (self.inbox / "sea.jpg", self.library / "sea.jpg", self.private):
            picture.write_bytes(picture.parent.name.encode())
        self.folders = FolderSettings(self.inbox, Defaults(), StyleLibrary([self.library]))

    def outcome(self, data: bytes) -> str:
        """``taken`` or ``refused``; each fault of the latter is one line, not long, with its place."""
        (self.inbox / "style.yaml").write_bytes(data)
        self.folders.refresh()
        try:
            resolved = self.folders.resolve(PurePosixPath())
        except SettingsError as error:
            for fault in error.faults:
                assert PLACE.match(fault) or OF_THE_FILE.match(fault), fault
                assert fault.isprintable() and len(fault) < 1000, fault
            return "refused"
        for source in resolved.styles:
            assert source.root is None or source.path.is_relative_to(source.root)
        return "taken"


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_the_files_that_the_others_are_made_of_are_taken(house):
    (house.inbox / "sée.png").write_bytes(b"a sea")
    assert [house.outcome(data) for data in VALID[:-1]] == ["taken"] * (len(VALID) - 1)


def try_all(house, count, capsys):
    counts, slowest = Counter(), 0.0
    for data in (*written(), *generated(count)):
        before = time.process_time()
        counts[house.outcome(data)] += 1
        slowest = max(slowest, time.process_time() - before)
    words = f"{counts.total()} tried, {counts['taken']} taken, {counts['refused']} refused, the slowest in"
    with capsys.disabled():
        sys.stdout.write(f"\nfiles called style.yaml: {words} {slowest * 1000:.0f} ms\n")
    return counts


def test_hundreds_of_hostile_files_are_taken_or_refused_with_their_place(house, capsys):
    counts = try_all(house, 400, capsys)
    assert counts["taken"] > 20 and counts["refused"] > 100


@pytest.mark.full
def test_ten_thousand_hostile_files_are_taken_or_refused_with_their_place(house, capsys):
    assert try_all(house, 10_000, capsys).total() > 10_000


keys = st.sampled_from([*StyleSettings.model_fields, "Steps", "step", "x\x1b", "<<", "\u202e", "=", "~"])
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80) | st.sampled_from(["sea", "/", ".."])
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(keys, values, max_size=6))
def test_any_settings_that_can_be_written_are_taken_or_refused_with_their_place(house, given_settings):
    house.outcome(yaml.safe_dump(given_settings, allow_unicode=True).encode("utf-8", "surrogatepass"))


# Where their paths lead.


@posix_only
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "target", ["/proc/self/environ", "/proc/self/mem", "/dev/zero", "/dev/tty", "/etc/passwd", "../private.jpg"]
)
@pytest.mark.parametrize("name", ["style.jpg", "style.yaml", "linked.jpg"])
def test_no_link_of_an_inbox_leads_to_a_device_the_kernels_files_or_anybody_elses(house, target, name):
    (house.inbox / name).symlink_to(target)
    if name == "linked.jpg":
        (house.inbox / "style.yaml").write_text(f"style: {name}\n")
    with pytest.raises(SettingsError, match="leads out of the folder"):
        house.folders.resolve(PurePosixPath())


@posix_only
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["style.jpg", "style.yaml", "named.jpg"])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_or_a_socket_is_refused_and_never_waited_for(house, name, kind, monkeypatch):
    monkeypatch.chdir(house.inbox)  # a socket's path must be short
    if kind == "pipe":
        os.mkfifo(name)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    if name == "named.jpg":
        (house.inbox / "style.yaml").write_text(f"style: {name}\n")
    with pytest.raises(SettingsError, match="is not a regular file"):
        house.folders.resolve(PurePosixPath())


@posix_only
@pytest.mark.parametrize("named", [False, True], ids=["style.jpg", "named by style.yaml"])
def test_a_style_exchanged_for_a_link_between_check_and_use_is_never_read_from_outside(house, named):
    """A thread puts a picture and a link to a private one into the same place in turn, as fast as it can."""
    style, picture, link = house.inbox / ("sea.jpg" if named else "style.jpg"), house.inbox / "a", house.inbox / "b"
    if named:
        (house.inbox / "style.yaml").write_text("style: sea.jpg\n")
    picture.write_bytes(b"public")
    link.symlink_to(house.private)
    done = threading.Event()

    def swap():
        while not done.is_set():
            for kind in (picture, link):
                aside = house.inbox / "aside"
                os.link(kind, aside, follow_symlinks=False)
                aside.replace(style)

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = Counter()
    deadline = time.monotonic() + 60
    try:
        while outcomes.total() < 500 or (min(outcomes[each] for each in ENDS) < 3 and time.monotonic() < deadline):
            outcomes[end_of_one_reading(house)] += 1
    finally:
        done.set()
        thread.join()
    assert outcomes["private"] == 0 and outcomes["read"] and outcomes["refused when looked up"]


ENDS = ("read", "refused when looked up", "refused when read")


def end_of_one_reading(house):
    house.folders.refresh()
    try:
        (source,) = house.folders.resolve(PurePosixPath()).styles
    except SettingsError:
        return "refused when looked up"
    try:
        # A listing of the folder can miss a file that is exchanged that moment: then it is the bundled picture's turn.
        return "private" if read_style(source) == house.private.read_bytes() else "read"
    except SettingsError:
        return "refused when read"
