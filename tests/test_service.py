"""The daemon as a service: real datagram sockets, real locks of other processes, real signals."""

import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import pytest
from filelock import FileLock

from monet_watch.errors import AlreadyRunningError, LedgerError
from monet_watch.service import LOCK_NAME, Notifier, StopAsked, act_as_owner, is_held, single_instance, stop_signals

GENEROUS_SECONDS = 30


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd listens on, and its address as it stands in NOTIFY_SOCKET."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets exist on Linux only")
    address = str(tmp_path / "notify") if request.param == "path" else f"@monet-watch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address if request.param == "path" else "\0" + address[1:])
        listening.settimeout(GENEROUS_SECONDS)
        yield listening, address


def child(code, *arguments, **options):
    """Start another Python that runs ``code``; its standard output is a pipe of lines.

    SIGHUP means to it what it usually does, whether or not the tests run under nohup.
    """
    code = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n{code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


# ---- Notifier


def test_each_word_to_systemd_is_one_datagram_of_its_protocol(manager):
    listening, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.starting()
    notifier.ready()
    notifier.status("painting holiday/a.jpg, step 12 of 400")
    notifier.watchdog()
    notifier.stopping()
    received = [listening.recv(4096) for _ in range(5)]
    assert received == [
        b"EXTEND_TIMEOUT_USEC=120000000",
        b"READY=1",
        b"STATUS=painting holiday/a.jpg, step 12 of 400",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_reload_is_told_with_the_time_at_which_it_began(manager):
    """sd_notify(3): RELOADING=1 comes with MONOTONIC_USEC, and READY=1 ends it."""
    listening, address = manager
    before = time.monotonic_ns() // 1000
    Notifier(address).reloading()
    Notifier(address).ready()
    word, _, at = listening.recv(4096).decode().partition("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(at) <= time.monotonic_ns() // 1000
    assert listening.recv(4096) == b"READY=1"


def test_a_file_name_cannot_smuggle_a_second_message_into_the_status(manager):
    listening, address = manager
    Notifier(address).status("painting a\nMAINPID=1\r\nREADY=1\x1b[2J\u2028x\0y")
    received = listening.recv(4096)
    assert received == b"STATUS=painting a MAINPID=1 READY=1 [2J x y"


def test_a_status_is_valid_utf8_and_fits_into_what_systemd_reads(manager):
    listening, address = manager
    Notifier(address).status("睡蓮" * 3000 + "\udcff")
    Notifier(address).status("\udcff.jpg")
    long, odd = listening.recv(65536), listening.recv(65536)
    assert len(long) < 4096
    assert long.decode().startswith("STATUS=睡蓮睡蓮")
    assert odd.decode() == "STATUS=\\udcff.jpg"


def test_without_the_variable_every_call_does_nothing():
    notifier = Notifier.from_environment({})
    notifier.ready()
    notifier.status("painting")
    notifier.watchdog()
    notifier.stopping()
    assert notifier.watchdog_interval_seconds is None


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody-listens", "vsock:2:1234", "", "/" + "x" * 300])
def test_a_socket_that_cannot_be_reached_does_not_stop_the_painting(address):
    Notifier(address).ready()


def test_a_manager_that_reads_nothing_does_not_stop_the_painting(tmp_path, monkeypatch):
    monkeypatch.setattr("monet_watch.service._SEND_SECONDS", 0.001)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notifier = Notifier(str(tmp_path / "notify"))
        for _ in range(1000):
            notifier.watchdog()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "me"}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks_and_only_by_whom_it_asks(environ, seconds):
    assert Notifier.from_environment(environ).watchdog_interval_seconds == seconds


# ---- single_instance

HOLD = """
import sys
from pathlib import Path
from monet_watch.service import single_instance
with single_instance(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the state folder."""
    with child(HOLD, tmp_path / "state") as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_daemon_is_refused_and_told_who_holds_the_folder(holder, tmp_path):
    for _ in range(2):  # the first refusal leaves the holder's number where it is
        with pytest.raises(AlreadyRunningError) as refused, single_instance(tmp_path / "state"):
            pass
        assert f"process {holder.pid}" in refused.value.message
        assert str(tmp_path / "state") in refused.value.message
        assert f"kill {holder.pid}" in refused.value.remedy


def test_a_daemon_that_was_killed_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait(GENEROUS_SECONDS)
    with single_instance(tmp_path / "state"):
        pass


def test_a_daemon_that_ended_leaves_the_folder_to_the_next(holder, tmp_path):
    holder.communicate("\n", timeout=GENEROUS_SECONDS)
    assert holder.returncode == 0
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) in ([], [LOCK_NAME])
    with single_instance(tmp_path / "state"):
        pass


def test_the_folder_is_held_within_one_process_too(tmp_path):
    refused = pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}")
    with single_instance(tmp_path), refused, single_instance(tmp_path):
        pass


def test_the_refusal_does_without_a_number_where_none_can_be_read(holder, tmp_path):
    (tmp_path / "state" / "lock.pid").write_bytes(b"\xff")
    with (
        pytest.raises(AlreadyRunningError, match="Another monet-watch is at work"),
        single_instance(tmp_path / "state"),
    ):
        pass


def test_a_state_folder_that_is_a_file_is_told_with_its_reason(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(LedgerError, match="cannot be used: File exists"), single_instance(tmp_path / "state"):
        pass


def test_an_error_inside_lets_go_of_the_folder(tmp_path):
    with pytest.raises(KeyError), single_instance(tmp_path):
        raise KeyError
    with single_instance(tmp_path):
        pass


# ---- stop_signals

LISTEN = """
import queue
from monet_watch.service import ReloadAsked, stop_signals
mailbox = queue.Queue()
with stop_signals(mailbox.put):
    print("ready", flush=True)
    while True:
        asked = mailbox.get()
        if isinstance(asked, ReloadAsked):
            print("reload", flush=True)
            continue
        print(asked.signal_name, asked.count, asked.at_once, flush=True)
        if asked.at_once:
            break
print("ended", flush=True)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM")])
def test_the_first_signal_asks_politely_and_the_second_at_once(first, second):
    with child(LISTEN) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, first))
        assert process.stdout.readline() == f"{first} 1 False\n"
        process.send_signal(getattr(signal, second))
        assert process.stdout.readline() == f"{second} 2 True\n"
        assert process.stdout.readline() == "ended\n"
    assert process.returncode == 0


@pytest.mark.parametrize("options", [{}, {"start_new_session": True}])
def test_sighup_asks_for_a_reload_and_does_not_count_as_a_stop(options):
    with child(LISTEN, **options) as process:
        assert process.stdout.readline() == "ready\n"
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline() == "reload\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM 1 False\n"
        process.send_signal(signal.SIGTERM)


def test_when_its_terminal_goes_away_the_program_is_asked_to_stop():
    ours, theirs = os.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with child(LISTEN, preexec_fn=take_terminal, pass_fds=(theirs,)) as process:
        os.close(theirs)
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline() == "reload\n"
        os.close(ours)
        assert process.stdout.readline() == "SIGHUP 1 False\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM 2 True\n"


def test_a_hangup_that_is_ignored_stays_ignored():
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    with child(ignoring + LISTEN) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "SIGTERM 1 False\n"
        process.send_signal(signal.SIGTERM)


def test_the_signals_mean_afterwards_what_they_meant_before():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with stop_signals(lambda asked: None):
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_signal_reaches_a_mailbox_whose_lock_is_held_by_the_interrupted_thread():
    lock, posted = threading.Lock(), SimpleQueue()

    def post(asked):
        with lock:
            posted.put(asked)

    with stop_signals(post):
        with lock:
            signal.raise_signal(signal.SIGTERM)
        assert posted.get(timeout=GENEROUS_SECONDS) == StopAsked("SIGTERM", 1)


def test_a_signal_that_arrives_last_is_still_delivered():
    posted = []
    with stop_signals(posted.append):
        signal.raise_signal(signal.SIGINT)
    assert posted == [StopAsked("SIGINT", 1)]


def test_outside_the_main_thread_it_says_why_it_cannot_work():
    raised = SimpleQueue()

    def run():
        try:
            with stop_signals(lambda asked: None):
                pass
        except RuntimeError as error:
            raised.put(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in raised.get(timeout=GENEROUS_SECONDS)


class TestIsHeld:
    def test_a_folder_is_held_while_a_daemon_has_it_and_no_longer(self, tmp_path):
        assert not is_held(tmp_path)
        with single_instance(tmp_path):
            assert is_held(tmp_path)
        assert not is_held(tmp_path)

    def test_whoever_waits_for_another_to_let_go_gets_the_folder(self, tmp_path):
        other = FileLock(tmp_path / LOCK_NAME, thread_local=False)
        other.acquire()
        threading.Timer(0.2, other.release).start()
        with single_instance(tmp_path, patience_seconds=60):
            assert is_held(tmp_path)


@pytest.mark.parametrize(("present", "wanted", "then"), [(0, 10, 10), (12, 10, 12), (0, 0, 0), (3, 19, 19)])
def test_a_process_steps_back_as_far_as_is_wanted_and_never_forward(present, wanted, then):
    base = os.getpriority(os.PRIO_PROCESS, 0)
    code = f"import os; from monet_watch.service import step_back; os.nice({present}); step_back({wanted})"
    code += "; print(os.getpriority(os.PRIO_PROCESS, 0))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) == max(min(19, base + present), wanted, then)


@pytest.fixture
def place():
    """A folder of another account, in one that everybody may enter: pytest's own is closed to others."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can become another account")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "state").mkdir()
        os.chown(Path(folder, "state"), 4242, 4343)
        yield Path(folder, "state")


def made_in(place, monkeypatch, *program_files):
    """Return whose the file is that a process made in ``place`` after root had asked; the program has these files."""
    monkeypatch.setattr("monet_watch.service._PROGRAM_FILES", program_files)

    def make():
        act_as_owner(place / "ledger")
        (place / "requests").mkdir()

    process = multiprocessing.get_context("fork").Process(target=make)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    status = (place / "requests").stat()
    return status.st_uid, status.st_gid


def test_what_root_asks_for_makes_files_that_the_daemon_s_account_can_change(place, monkeypatch):
    assert made_in(place, monkeypatch, "/bin/sh") == (4242, 4343)


def test_what_is_root_s_own_stays_so_in_the_folder_of_another_account(place, monkeypatch):
    (place / "ledger").touch()
    assert made_in(place, monkeypatch, "/bin/sh") == (0, 0)


def test_root_goes_on_where_the_account_cannot_read_the_program(place, monkeypatch):
    private = place.parent / "program.py"
    private.touch(0o600)
    assert made_in(place, monkeypatch, "/bin/sh", private) == (0, 0)
