"""What is shown: at a terminal of any size (a real one, in tmux), in the journal, and to programs."""

import contextlib
import io
import itertools
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from monet_watch.console import (
    JsonConsole,
    LiveConsole,
    PlainConsole,
    Unrepeated,
    is_journal,
    open_console,
    overview_json,
    render_overview,
)
from monet_watch.ledger import Job, JobState, Outlook, Overview, WatchState, WorkerState
from monet_watch.notices import Level, Notice
from monet_watch.printable import printable
from monet_watch.sketch import Sketch
from tests.terminal import Tmux

GENEROUS_SECONDS = 30
NOW = datetime(2026, 5, 14, 12, 0).timestamp()
INBOX, OUTBOX = Path("/srv/monet-watch/inbox"), Path("/srv/monet-watch/outbox")

HOSTILE_NAMES = [
    "[bold red]sale[/bold red].jpg",
    "[/].jpg",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07.jpg",
    "two\nlines\r.jpg",
    "睡蓮の池" * 15 + ".jpg",
    "x" * 251 + ".jpg",
    "C:\\photos\\CON.jpg",
    "\u202egpj.exe",
    "\udcff\udc80.jpg",
    ":smile:.jpg",
    "e\u0301te\u0301 👩‍🌾.heic",
]


def job(path, state, number=1, **facts):
    return Job(number, PurePosixPath(path), state, 1000, 1, **facts)


def running(path="holiday/a.jpg", **facts):
    known = {"step": 123, "steps": 400, "loss": 58.123, "seconds_per_step": 1.83, "worker": "cpu"}
    return job(path, JobState.RUNNING, **{**known, **facts})


def done(path, **facts):
    return job(path, JobState.DONE, **{"loss": 39.4, "started_at": NOW - 720, "finished_at": NOW, **facts})


def problem(path="broken.jpg", reason="The picture ends too early.", remedy="Copy it again."):
    return job(path, JobState.PROBLEM, reason=reason, remedy=remedy, kind="TruncatedPhotoError", attempts=1)


def waiting(path="party/a.jpg", reason="Its settings cannot be used.", remedy="Mend party/style.yaml."):
    return job(path, JobState.WAITING, reason=reason, remedy=remedy, kind="SettingsError", seen_at=NOW)


def queued(path="next.jpg"):
    return job(path, JobState.QUEUED, steps=400, queued_at=NOW)


def overview(*jobs, outlook=None, **counts):
    """An overview of these jobs; ``counts`` of more than are shown are given by state.

    All the steps that are left are expected to be taken, at the pace that is known.
    """
    by_state = {state: tuple(each for each in jobs if each.state is state) for state in JobState}
    totals = {state: counts.get(state.value, len(by_state[state])) for state in JobState}
    lists = (by_state[JobState(name)] for name in ("running", "queued", "waiting", "done", "problem"))
    return Overview(totals, *lists, outlook=outlook or at_the_present_pace(by_state[JobState.RUNNING]))


def at_the_present_pace(jobs):
    seconds = {each.id: (each.steps - each.step) * each.seconds_per_step for each in jobs if each.seconds_per_step}
    return Outlook(seconds, {each.id: each.steps for each in jobs})


BUSY = overview(
    running(),
    running("holiday/b.jpg", step=40, worker="cuda:0", seconds_per_step=0.04),
    *(queued(f"next_{number}.jpg") for number in range(6)),
    waiting(),
    *(done(f"garden/{number}.jpg") for number in range(10)),
    problem(),
    problem("notes.jpg", "It is a text.", "Take it away."),
    queued=15,
    done=1043,
)


def rendered(view, width=120, height=None):
    """The view's lines without spaces at their ends, as a terminal of this size and without colours gets them."""
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(render_overview(view, now=NOW, inbox=INBOX, outbox=OUTBOX, height=height))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


# ---- render_overview


def test_a_busy_daemon_is_told_with_all_that_matters():
    text = "\n".join(rendered(BUSY))
    assert "/srv/monet-watch/inbox → /srv/monet-watch/outbox" in text
    assert "2 painting · 15 queued · 1 waiting · 1043 done · 2 problems" in text
    assert "Next, 6 of 15" in text
    assert "Done, 10 of 1043" in text
    for words in ("Its settings cannot be used.", "Mend party/style.yaml.", "It is a text.", "Take it away."):
        assert words in text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_running_painting_shows_step_loss_speed_and_remaining_time(width):
    lines = rendered(overview(running()), width)
    text = "\n".join(lines)
    # 277 steps are left at 1.83 s each: 507 s.
    for words in ("holiday/a.jpg", "on cpu", "123/400", "loss 58.1", "1.83 s/step", "~8 min left", "━"):
        assert words in text


@pytest.mark.parametrize(
    ("seconds_per_step", "speed"), [(12.345, "12.3 s/step"), (1.0, "1.00 s/step"), (0.04, "25.0 steps/s")]
)
def test_speed_is_told_in_the_unit_that_reads_better(seconds_per_step, speed):
    assert speed in "\n".join(rendered(overview(running(seconds_per_step=seconds_per_step))))


@pytest.mark.parametrize(
    ("steps_left", "words"),
    [(8, "8 s left"), (200, "3 min left"), (3900, "1 h 05 min left"), (86400 * 2 + 3600 * 3, "2 d 3 h left")],
)
def test_remaining_time_is_as_exact_as_it_needs_to_be(steps_left, words):
    view = overview(running(step=1, steps=steps_left + 1, seconds_per_step=1.0))
    assert words in "\n".join(rendered(view))


def test_when_everything_will_be_done_is_told_beside_the_counts():
    view = overview(running(), queued(), outlook=Outlook({1: 100.0}, all_seconds=3900.0))
    assert "1 painting · 1 queued · all done in ~1 h 05 min, at " in "\n".join(rendered(view))
    assert overview_json(view)["remaining_seconds"] == 3900.0


def test_the_bar_is_full_when_a_painting_has_taken_the_steps_that_it_was_expected_to_take():
    view = overview(running(step=60, steps=150), outlook=Outlook(expected_steps={1: 60}))
    line = next(line for line in rendered(view, 120) if "━" in line)
    assert "─" not in line
    assert "60/150" in line


PHOTO = Sketch(3, 2, bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 8, 8, 8, 7, 7, 7)))
UNDER_WAY = overview(
    running(width=768, height=512),
    queued(),
    outlook=Outlook({1: 130.0}, {1: 200}, {1: (900.0, 400.0, 200.0, 100.0, 60.0)}, 3900.0),
)
PICTURED = replace(UNDER_WAY, sketches={1: PHOTO})


def in_colours(view, width=80, height=24, **options):
    """The view as a terminal with colours gets it, and its lines without them."""
    settings = {"color_system": "truecolor", "force_terminal": True, "legacy_windows": False, **options}
    console = Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"), width=width, **settings)
    console.print(render_overview(view, now=NOW, inbox=INBOX, outbox=OUTBOX, height=height))
    console.file.flush()
    text = console.file.buffer.getvalue().decode()
    return text, [line.rstrip() for line in Text.from_ansi(text).plain.splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_with_colours_shows_what_is_being_painted_and_beside_it_how_it_goes(width):
    text, lines = in_colours(PICTURED, width)
    rows = [line for line in lines if "▀▀▀" in line]
    assert len(rows) >= 6
    beside = "\n".join(row.rpartition("▀")[2] for row in rows)
    for words in (
        "holiday/a.jpg",
        "step 123/400",
        "loss 58.1",
        "1.83 s/step",
        "~2 min left, done at",
        "768 × 512",
        "█",
    ):
        assert words in beside
    assert "\x1b[38;2;255;0;0" in text
    assert max(map(cell_len, lines)) <= width


def test_half_a_cell_is_a_pixel_the_upper_one_in_the_letters_colour_the_lower_in_the_grounds():
    text, _ = in_colours(replace(PICTURED, sketches={1: Sketch(1, 2, bytes((1, 2, 3, 200, 100, 50)))}))
    assert "\x1b[38;2;1;2;3;48;2;1;2;3m▀" in text
    assert "\x1b[38;2;200;100;50;48;2;200;100;50m▀" in text


@pytest.mark.parametrize(
    ("width", "height", "options"),
    [
        (80, 24, {"color_system": None}),
        (80, 24, {"no_color": True}),
        (80, 24, {"color_system": "standard"}),
        (80, 24, {"legacy_windows": True}),
        (40, 24, {}),
        (80, 14, {}),
    ],
    ids=["no colour", "NO_COLOR", "eight colours", "old Windows", "narrow", "low"],
)
def test_without_colours_or_room_the_picture_is_left_out_and_the_rest_told(width, height, options):
    _, lines = in_colours(PICTURED, width, height, **options)
    text = "\n".join(lines)
    assert "▀" not in text
    assert "123/400" in text
    assert "█" in text
    assert "done at" in text
    assert max(map(cell_len, lines)) <= width


def test_of_many_paintings_at_a_time_the_pictures_and_then_the_curves_are_left_out():
    def view(count):
        jobs = [replace(running(f"{number}.jpg"), id=number) for number in range(count)]
        outlook = Outlook(curves=dict.fromkeys(range(count), (9.0, 3.0, 1.0)))
        return replace(overview(*jobs, outlook=outlook), sketches=dict.fromkeys(range(count), PHOTO))

    shown = {count: "\n".join(in_colours(view(count), 100, 60)[1]) for count in (2, 3, 8)}
    assert ["▀" in shown[count] for count in (2, 3, 8)] == [True, False, False]
    assert ["█" in shown[count] for count in (2, 3, 8)] == [True, True, False]
    assert shown[8].count("123/400") == 8


def test_a_terminal_of_ascii_gets_the_curve_in_its_own_signs():
    console = Console(file=io.TextIOWrapper(io.BytesIO(), "ascii"), width=80, color_system=None, legacy_windows=False)
    console.print(render_overview(UNDER_WAY, now=NOW, height=24))
    console.file.flush()
    text = console.file.buffer.getvalue().decode("ascii")
    assert "?" not in text
    assert "#" in text


def test_when_a_painting_and_when_everything_will_be_done_is_told_by_the_clock():
    text = "\n".join(rendered(UNDER_WAY))
    assert f"all done in ~1 h 05 min, at {datetime.fromtimestamp(NOW + 3900):%H:%M}" in text
    assert f"done at {datetime.fromtimestamp(NOW + 130):%H:%M}" in text


def test_a_painting_that_has_not_taken_a_step_is_starting():
    view = overview(running(step=0, loss=None, seconds_per_step=None))
    assert "0/400" in "\n".join(rendered(view))
    assert "starting" in "\n".join(rendered(view))


def test_the_bar_is_as_long_as_the_share_of_the_steps():
    line = next(line for line in rendered(overview(running(step=100)), 120) if "━" in line)
    assert line.count("━") / (line.count("━") + line.count("─")) == pytest.approx(0.25, abs=0.03)


def test_bars_of_several_paintings_begin_and_end_below_each_other():
    lines = [line for line in rendered(BUSY, 120) if "━" in line]
    assert len(lines) == 2
    assert len({line.index("━") for line in lines}) == len({line.rindex("─") for line in lines}) == 1


def test_results_have_their_time_of_day_and_older_ones_their_date():
    text = "\n".join(rendered(overview(done("a.jpg"), done("b.jpg", finished_at=NOW - 3 * 86400, started_at=None))))
    assert "12:00   a.jpg  loss 39.4 · in 12 min" in text
    assert "May 11  b.jpg  loss 39.4" in text


def test_an_empty_inbox_says_what_to_do():
    assert "dropped into the inbox" in "\n".join(rendered(overview()))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("width", [30, 60, 120])
def test_no_name_breaks_a_line_or_is_read_as_markup(name, width):
    view = overview(running(name), queued(name), waiting(name, reason=name), done(name), problem(name, name, name))
    lines = rendered(view, width)
    assert max(map(cell_len, lines)) <= width
    assert all(printable(line) == line for line in lines)
    if cell_len(printable(name)) < width - 25:
        assert "\n".join(lines).count(printable(name)) >= 5


def test_both_ends_of_a_long_path_can_be_read():
    lines = rendered(overview(queued("holiday/" + "x" * 200 + "/IMG_1234.jpg")), 60)
    assert lines[-1].startswith("  holiday/x")
    assert lines[-1].endswith("x/IMG_1234.jpg")


@given(
    width=st.integers(10, 160),
    height=st.integers(3, 50),
    jobs=st.lists(st.sampled_from([running, queued, waiting, done, problem]), max_size=30),
    names=st.lists(st.sampled_from(HOSTILE_NAMES), min_size=30, max_size=30),
)
def test_it_fits_into_any_terminal(width, height, jobs, names):
    view = overview(*(make(name) for make, name in zip(jobs, names, strict=False)))
    lines = rendered(view, width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_where_it_is_low_the_least_important_lines_go_first():
    def shown(height):
        text = "\n".join(rendered(BUSY, 60, height))
        return [word for word in ("Painting", "Problems", "Waiting", "Done", "Next") if word in text]

    assert shown(2) == []
    assert shown(7) == ["Painting"]
    assert shown(11) == ["Painting", "Problems"]
    assert shown(15) == ["Painting", "Problems", "Waiting"]
    assert shown(17) == ["Painting", "Problems", "Waiting", "Done"]
    assert shown(19) == ["Painting", "Problems", "Waiting", "Done", "Next"]


def test_a_reason_that_is_cut_short_says_so_and_keeps_its_beginning():
    lines = rendered(overview(problem(reason="style.yaml:3:1: " + "a long story " * 50)), 60, 20)
    reason = next(line for line in lines if "style.yaml:3:1" in line)
    assert reason.endswith("…")


def test_a_terminal_without_unicode_gets_signs_that_it_can_show():
    file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    console = Console(file=file, width=60, color_system=None, legacy_windows=False)
    console.print(render_overview(overview(running("été/睡蓮.jpg")), now=NOW, inbox=INBOX, outbox=OUTBOX))
    file.flush()
    text = file.buffer.getvalue().decode("latin-1")
    assert "inbox > /srv" in text
    assert "été/??.jpg" in text
    assert "==" in text


WORKERS = (
    WorkerState("cuda:0", "painting", "rack-2", "holiday/a.jpg", 1.83, ((262144, 1.8),), painted=12),
    WorkerState("cuda:1", "idle", painted=3, failures=2, seconds_per_step=0.04),
    WorkerState("cuda:2", "ended", failures=1, waits_for="The driver is gone.", retry_at=NOW),
    WorkerState("ray:4", "loading", waits_for="There is no room in the cluster."),
)


def test_a_status_says_of_each_worker_what_it_does_how_fast_and_what_it_waits_for():
    at = f"{datetime.fromtimestamp(NOW):%H:%M}"
    lines = rendered(replace(overview(), workers=WORKERS), width=80)
    assert lines[lines.index("Workers") :] == [
        "Workers",
        "  cuda:0 on rack-2  paints holiday/a.jpg  1.83 s/step · 12 painted",
        "  cuda:1            idle  25.0 steps/s · 3 painted · 2 failures",
        f"  cuda:2            failed; tried again at {at}  0 painted · 1 failure",
        "    The driver is gone.",
        "  ray:4             waits  0 painted",
        "    There is no room in the cluster.",
    ]


def test_programs_are_told_all_that_is_known_of_each_worker():
    first, *_, third, _ = overview_json(replace(overview(), workers=WORKERS))["workers"]
    assert first == {
        "device": "cuda:0",
        "node": "rack-2",
        "health": "painting",
        "photo": "holiday/a.jpg",
        "seconds_per_step": 1.83,
        "step_seconds": [{"pixels": 262144, "seconds": 1.8}],
        "painted": 12,
        "failures": 0,
        "waits_for": None,
        "retry_at": None,
    }
    at = datetime.fromtimestamp(NOW, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (third["waits_for"], third["retry_at"]) == ("The driver is gone.", at)


def test_a_live_view_tells_of_workers_where_there_are_several():
    assert "Workers" in rendered(replace(overview(), workers=WORKERS), height=24)
    assert "Workers" not in rendered(replace(overview(), workers=WORKERS[:1]), height=24)


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80])
def test_workers_fit_into_any_width_whatever_the_photos_are_called(width):
    workers = [replace(each, photo=name) for each in WORKERS for name in HOSTILE_NAMES]
    for line in rendered(replace(overview(), workers=tuple(workers)), width=width):
        assert cell_len(line) <= width
        assert printable(line) == line


def test_a_status_says_how_the_inbox_is_watched_and_what_keeps_it_from_that():
    state = WatchState("events and polling", "The limit is reached; raise it.", limited=True, scanned_at=NOW)
    watched = replace(overview(queued()), watch=state)
    at = f"{datetime.fromtimestamp(NOW):%H:%M}"
    assert rendered(watched)[2:4] == [f"Watched by events and polling; looked through at {at}.", state.reason]
    again = replace(state, limited=False, restarted_at=NOW, restarted_for="the inbox was away")
    assert rendered(replace(watched, watch=again))[2].endswith(f"Started again at {at}: the inbox was away.")
    away = replace(watched, watch=replace(state, trouble="The inbox cannot be read."))
    assert rendered(away)[2:3] == ["The inbox cannot be read."]
    assert overview_json(away)["watch"] == {
        "mode": "events and polling",
        "reason": state.reason,
        "limited": True,
        "trouble": "The inbox cannot be read.",
        "scanned_at": datetime.fromtimestamp(NOW, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "restarted_at": None,
        "restarted_for": None,
    }
    assert rendered(replace(watched, watch=WatchState(scanned_at=NOW))) == rendered(overview(queued()))
    assert overview_json(overview())["watch"] is None


# ---- overview_json


def test_why_nothing_is_painted_is_told_below_the_counts_and_to_programs():
    paused = replace(overview(queued()), resting="Paused since 2026-11-25 14:02; `monet-watch resume` goes on.")
    assert rendered(paused)[1:3] == ["1 queued", paused.resting]
    assert overview_json(paused)["resting"] == paused.resting
    assert overview_json(overview())["resting"] is None


def test_why_the_config_is_not_in_force_is_told_in_full():
    fault = "The config stays as it was: /etc/monet-watch/config.yaml:4:17: settle_seconds: must be a number, not 'x'"
    assert fault in " ".join(rendered(replace(overview(queued()), config_fault=fault), width=60))


def test_what_keeps_paintings_waiting_until_it_passes_is_told_with_the_time_of_the_next_try():
    later = replace(queued("large.jpg"), reason="Too little memory.", kind="OutOfMemory", put_off=3, retry_at=NOW + 60)
    held = replace(overview(queued(), later), put_off=(later,), trouble="The outbox cannot be written.")
    lines = rendered(held)
    assert lines[2] == "The outbox cannot be written."
    title = next(number for number, line in enumerate(lines) if line.startswith("Tried again"))
    at = lines.index("  large.jpg", title)
    assert lines[at + 1].split() == ["At", f"{datetime.fromtimestamp(NOW + 60):%H:%M}.", "Too", "little", "memory."]
    data = overview_json(held)
    assert data["trouble"] == held.trouble
    assert data["put_off"] == [
        {
            "photo": "large.jpg",
            "job": later.id,
            "reason": "Too little memory.",
            "remedy": "",
            "kind": "OutOfMemory",
            "times": 3,
            "retry_at": datetime.fromtimestamp(NOW + 60, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
    ]
    assert overview_json(overview())["trouble"] is None


def test_the_status_for_programs_has_every_documented_key():
    data = overview_json(
        overview(
            running(started_at=NOW, width=768, height=512),
            queued(),
            waiting(),
            done("a.jpg", folder=PurePosixPath("a"), identity="1f", step=57, steps=400, width=768, height=512),
            problem(),
        )
    )
    utc = datetime.fromtimestamp(NOW, UTC)
    assert data["counts"] == {"waiting": 1, "queued": 1, "running": 1, "done": 1, "problem": 1}
    (painting,) = data["running"]
    assert datetime.fromisoformat(painting.pop("started_at")) == utc
    assert painting.pop("remaining_seconds") == pytest.approx(277 * 1.83)
    assert painting == {
        "photo": "holiday/a.jpg",
        "job": 1,
        "step": 123,
        "steps": 400,
        "expected_steps": 400,
        "loss": 58.123,
        "seconds_per_step": 1.83,
        "worker": "cpu",
        "width": 768,
        "height": 512,
    }
    assert data["remaining_seconds"] is None
    assert data["queued"][0].keys() == {"photo", "job", "queued_at"}
    assert data["waiting"][0].keys() == {"photo", "job", "reason", "remedy", "kind", "seen_at"}
    assert data["problems"][0].keys() == {"photo", "job", "reason", "remedy", "kind", "attempts", "finished_at"}
    assert data["done"][0] | {"finished_at": None} == {
        "photo": "a.jpg",
        "job": 1,
        "folder": "a",
        "identity": "1f",
        "loss": 39.4,
        "steps": 57,
        "seconds": 720,
        "finished_at": None,
        "width": 768,
        "height": 512,
    }


def test_the_status_for_programs_is_json_whatever_the_numbers_and_names():
    data = overview_json(overview(running(loss=math.nan, seconds_per_step=math.inf), *map(done, HOSTILE_NAMES)))
    again = json.loads(json.dumps(data, allow_nan=False))
    assert again["running"][0]["loss"] is None
    assert [each["photo"] for each in again["done"]] == HOSTILE_NAMES


# ---- PlainConsole


def lines_of(make, *notices, **options):
    """What a console writes about these notices."""
    stream = io.StringIO()
    with make(stream, **options) as view:
        for notice in notices:
            view(notice)
        view.update(BUSY)
    return stream.getvalue().splitlines()


def test_a_plain_line_has_the_time_the_photo_and_the_sentence():
    notice = Notice("done", "It is painted.", "holiday/a.jpg")
    assert lines_of(PlainConsole, notice, clock=lambda: NOW) == ["2026-05-14 12:00:00 holiday/a.jpg: It is painted."]


def test_a_warning_says_that_it_is_one():
    (line,) = lines_of(PlainConsole, Notice("problem", "No.", "a.jpg", Level.ERROR), clock=lambda: NOW)
    assert line.endswith(" error: a.jpg: No.")


def test_the_journal_gets_priorities_in_place_of_the_time():
    notices = [Notice("x", "Said.", "a.jpg", level) for level in Level]
    lines = lines_of(PlainConsole, *notices, priorities=True, level=Level.DEBUG)
    # syslog(3): 7 debug, 6 informational, 4 warning, 3 error
    assert lines == ["<7>a.jpg: Said.", "<6>a.jpg: Said.", "<4>a.jpg: Said.", "<3>a.jpg: Said."]


def test_a_line_about_a_job_names_its_number_after_the_photo():
    """With it the ledger's rows, `status --json` and the lines of the log are found in each other."""
    notices = [
        Notice("problem", "It is damaged.", "a.jpg", job=12),
        Notice("problem", "a.jpg is damaged.", "a.jpg", job=12),
        Notice("problem", "It is damaged.", job=12),
    ]
    lines = lines_of(PlainConsole, *notices, priorities=True)
    assert lines == ["<6>a.jpg (job 12): It is damaged.", "<6>a.jpg (job 12) is damaged.", "<6>It is damaged. (job 12)"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_adds_a_line_or_an_escape_to_the_log(name):
    (line,) = lines_of(PlainConsole, Notice("done", f"About {name}.", name), priorities=True)
    assert line == f"<6>{printable(name)}: About {printable(name)}."


def test_steps_are_told_at_debug_only_and_snapshots_at_a_sane_rate():
    now = iter(range(100))
    steps = [Notice("step", f"Step {number}.", "a.jpg") for number in range(25)]
    assert lines_of(PlainConsole, *steps) == []
    assert len(lines_of(PlainConsole, *steps, level=Level.DEBUG)) == 25
    snapshots = [Notice("snapshot", f"Step {number}.", "a.jpg", Level.DEBUG) for number in range(25)]
    lines = lines_of(PlainConsole, *snapshots, priorities=True, clock=lambda: float(next(now)))  # one each second
    assert lines == ["<6>a.jpg: Step 0.", "<6>a.jpg: Step 10.", "<6>a.jpg: Step 20."]


def test_what_matters_less_than_the_level_is_left_out():
    notices = [Notice("x", level.value, level=level) for level in Level]
    assert [line.split()[-1] for line in lines_of(PlainConsole, *notices, level=Level.WARNING)] == ["warning", "error"]
    assert [json.loads(line)["text"] for line in lines_of(JsonConsole, *notices, level=Level.ERROR)] == ["error"]


def test_each_line_is_there_at_once():
    reading, writing = os.pipe()
    with os.fdopen(reading) as reader, os.fdopen(writing, "w") as writer:
        PlainConsole(writer)(Notice("done", "It is painted."))
        assert reader.readline().endswith("It is painted.\n")


def test_a_stream_that_cannot_encode_a_name_gets_it_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    PlainConsole(stream, priorities=True)(Notice("done", "Painted.", "睡.jpg"))
    assert stream.buffer.getvalue() == b"<6>\\u7761.jpg: Painted.\n"


@pytest.mark.parametrize("make", [PlainConsole, JsonConsole])
def test_a_reader_who_left_is_no_trouble(make):
    code = f"""
import sys
from monet_watch.console import {make.__name__}
from monet_watch.notices import Notice
sys.stdin.readline()
for _ in range(3):
    {make.__name__}(sys.stdout)(Notice("done", "x" * 100000))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.close()
        process.stdin.write(b"\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("make", [PlainConsole, JsonConsole])
def test_a_closed_stream_is_no_trouble(make):
    stream = io.StringIO()
    view = make(stream)
    stream.close()
    view(Notice("done", "It is painted."))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_no_trouble():
    with Path("/dev/full").open("w") as stream:
        PlainConsole(stream)(Notice("done", "It is painted."))
        with contextlib.suppress(OSError):
            stream.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# ---- JsonConsole


def test_a_json_line_tells_everything():
    notice = Notice(
        "problem", "No.", "a\n\udcff睡.jpg", Level.ERROR, {"step": 3, "loss": math.nan, "ok": True, "no": None}, 12
    )
    (line,) = lines_of(JsonConsole, notice, clock=lambda: NOW)
    assert line.isascii()
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert datetime.fromisoformat(json.loads(line)["time"]) == datetime.fromtimestamp(NOW, UTC)
    assert told == {
        "level": "error",
        "event": "problem",
        "photo": "a\n\udcff睡.jpg",
        "job": 12,
        "text": "No.",
        "details": {"step": 3, "loss": None, "ok": True, "no": None},
    }


def test_a_detail_of_another_kind_does_not_cost_the_line():
    (line,) = lines_of(JsonConsole, Notice("done", "Yes.", details={"folder": PurePosixPath("a/b")}))
    assert json.loads(line)["details"] == {"folder": "a/b"}


def test_the_journal_gets_the_priorities_of_json_lines_as_well():
    lines = lines_of(JsonConsole, *(Notice("x", "Said.", level=level) for level in Level), priorities=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>"]
    assert [json.loads(line[3:])["level"] for line in lines] == ["info", "warning", "error"]


# ---- Unrepeated


class Watch:
    """A monotonic clock that a test turns, in seconds."""

    now = 0.0

    def __call__(self):
        return self.now


class Lines:
    """A view that keeps what it was told."""

    def __init__(self):
        self.notices = []

    def __enter__(self):
        return self

    def __exit__(self, *exc): ...

    def __call__(self, notice):
        self.notices.append(notice)

    def update(self, overview): ...

    @property
    def texts(self):
        return [notice.text for notice in self.notices]


@pytest.fixture
def watch():
    return Watch()


def test_what_is_said_again_within_a_minute_is_counted_and_told_once(watch):
    lines = Lines()
    with Unrepeated(lines, clock=watch) as view:
        for second in range(181):
            watch.now = float(second)
            view(Notice("problem", "The outbox is full.", level=Level.ERROR))
    assert lines.texts == [
        "The outbox is full.",
        "The outbox is full. (59 times more within 59 s)",
        "The outbox is full. (60 times more within 59 s)",
        "The outbox is full. (60 times more within 59 s)",
        "The outbox is full. (1 time more within 1 s)",
    ]


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 3)), max_size=60))
def test_whatever_is_said_is_told_or_counted_and_no_line_comes_twice_in_a_minute(said):
    watch, lines = Watch(), Lines()
    told_at = []
    with Unrepeated(lines, clock=watch) as view:
        for pause, which in said:
            watch.now += pause
            view(Notice("problem", f"Trouble {which}."))
            told_at += [watch.now] * (len(lines.notices) - len(told_at))
    bare = [(notice.text, at) for notice, at in zip(lines.notices, told_at, strict=False) if not notice.details]
    for text in {text for text, _ in bare}:
        times = [at for each, at in bare if each == text]
        assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(times))
    counted = sum(int(notice.details.get("repeated", 1)) for notice in lines.notices)
    assert counted == len(said)


def test_the_count_is_told_with_the_next_overview_when_nothing_is_said_any_more(watch):
    lines = Lines()
    view = Unrepeated(lines, clock=watch)
    view(Notice("problem", "Full."))
    view(Notice("problem", "Full."))
    watch.now = 59.0
    view.update(BUSY)
    assert lines.texts == ["Full."]
    watch.now = 60.0
    view.update(BUSY)
    assert lines.texts == ["Full.", "Full. (1 time more within 1 s)"]
    assert lines.notices[1].details["repeated"] == 1


def test_the_same_said_of_another_photo_job_or_at_another_level_is_another_line(watch):
    lines = Lines()
    view = Unrepeated(lines, clock=watch)
    notice = Notice("problem", "No.", "a.jpg", Level.WARNING, job=1)
    for each in (notice, replace(notice, photo="b.jpg"), replace(notice, job=2), replace(notice, level=Level.ERROR)):
        view(each)
    assert len(lines.texts) == 4


def test_a_bulk_of_photos_fills_no_memory_with_what_was_said(watch):
    lines = Lines()
    view = Unrepeated(lines, clock=watch)
    for number in range(20_000):
        view(Notice("queued", "It waits.", f"{number}.jpg"))
    assert len(lines.texts) == 20_000
    view(Notice("queued", "It waits.", "0.jpg"))  # forgotten before its minute was over: better told twice than kept
    assert len(lines.texts) == 20_001


@pytest.mark.parametrize("kind", ["plain", "json", "live"])
@pytest.mark.parametrize("priorities", [False, True])
@pytest.mark.parametrize(("level", "count"), [(Level.INFO, 2), (Level.WARNING, 2), (Level.DEBUG, 5)])
def test_repeated_lines_are_held_back_but_at_debug(kind, priorities, level, count):
    stream = io.StringIO()
    with open_console(kind, level, stream=stream, inbox=INBOX, outbox=OUTBOX, priorities=priorities) as view:
        for _ in range(5):
            view(Notice("problem", "Full.", level=Level.ERROR))
    assert len(stream.getvalue().splitlines()) == count


def test_repeated_lines_are_held_back_from_the_moment_at_which_the_level_is_no_longer_debug():
    stream = io.StringIO()
    with open_console("json", Level.DEBUG, stream=stream, inbox=INBOX, outbox=OUTBOX) as view:
        for level, count in ((Level.DEBUG, 3), (Level.INFO, 3), (Level.DEBUG, 7)):
            view.tell_from(level)
            for _ in range(3):
                view(Notice("problem", "Full."))
            assert len(stream.getvalue().splitlines()) == count
    assert '"repeated": 3' in stream.getvalue()


# ---- which one


def test_the_journal_is_known_by_its_device_and_inode(tmp_path):
    with (tmp_path / "journal").open("w") as stream:
        status = (tmp_path / "journal").stat()
        assert is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(stream, {})
    assert not is_journal(stream, {"JOURNAL_STREAM": "1:2"})
    assert not is_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


@pytest.fixture
def terminal(monkeypatch):
    """A real terminal: its slave end as a text stream."""
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
        os.close(ours)


def opened(kind, stream, **options):
    """The kind of view behind the one that holds back what is repeated."""
    return type(open_console(kind, stream=stream, inbox=INBOX, outbox=OUTBOX, **options)._view)


def test_a_terminal_gets_the_live_view_and_everything_else_lines(terminal, monkeypatch):
    assert opened("auto", terminal) is LiveConsole
    assert opened("live", terminal) is LiveConsole
    assert opened("plain", terminal) is PlainConsole
    assert opened("json", terminal) is JsonConsole
    assert opened("auto", terminal, priorities=True) is PlainConsole
    assert opened("auto", io.StringIO()) is PlainConsole
    assert opened("live", io.StringIO()) is PlainConsole
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert opened("auto", io.StringIO()) is PlainConsole
    monkeypatch.setenv("TERM", "dumb")
    assert opened("auto", terminal) is PlainConsole


def test_what_shows_needs_neither_torch_nor_numpy_nor_pillow():
    code = "import sys, monet_watch.console; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- LiveConsole


def test_a_terminal_that_takes_nothing_does_not_hold_up_the_daemon(terminal):
    """Nobody reads the other end, as after Ctrl-S."""
    began = time.monotonic()
    with LiveConsole(Console(file=terminal, force_terminal=True), INBOX, OUTBOX) as view:
        for number in range(3000):
            view(Notice("problem", "x" * 100, "a.jpg", Level.ERROR))
            view.update(overview(running(step=number % 400)))
    assert time.monotonic() - began < GENEROUS_SECONDS


def test_where_the_cursor_cannot_move_there_are_lines_and_the_final_state():
    console = Console(file=io.StringIO(), width=100, color_system=None)
    with LiveConsole(console, INBOX, OUTBOX, clock=lambda: NOW) as view:
        view(Notice("done", "It is painted.", "holiday/[b]a[/b].jpg"))
        view.update(BUSY)
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "12:00:00 info: holiday/[b]a[/b].jpg: It is painted."
    assert lines.count("2 painting · 15 queued · 1 waiting · 1043 done · 2 problems") == 1


def test_a_terminal_that_went_away_ends_the_view_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    stream = os.fdopen(theirs, "w")
    with LiveConsole(Console(file=stream, force_terminal=True), INBOX, OUTBOX) as view:
        os.close(ours)
        view.update(BUSY)
    with contextlib.suppress(OSError):
        stream.close()


# ---- LiveConsole in a real terminal

DRIVER = """
import sys, time
from pathlib import Path, PurePosixPath
from monet_watch.console import open_console
from monet_watch.ledger import Job, JobState, Outlook, Overview, WatchState
from monet_watch.notices import Level, Notice

control = Path(sys.argv[1])
names = ["holiday/[bold red]a[/].jpg", "\\x1b[2Jb\\n.jpg", "睡蓮/" + "睡蓮" * 20 + ".jpg"]

def overview(step):
    def job(number, path, state, **facts):
        return Job(number, PurePosixPath(path), state, 1, 1, **facts)
    running = tuple(job(n, name, JobState.RUNNING, step=step, steps=400, loss=58.1, seconds_per_step=1.5, worker="cpu")
                    for n, name in enumerate(names))
    queued = tuple(job(9, f"next_{n}.jpg", JobState.QUEUED) for n in range(5))
    done = tuple(job(9, f"done_{n}.jpg", JobState.DONE, loss=39.4) for n in range(10))
    problems = (job(9, "broken.jpg", JobState.PROBLEM, reason="The picture ends too early.", remedy="Copy it again."),)
    counts = {JobState.RUNNING: 3, JobState.QUEUED: 5, JobState.DONE: 10, JobState.PROBLEM: 1}
    return Overview(counts, running, queued, (), done, problems)

with open_console("auto", stream=sys.stdout, inbox=Path("/srv/inbox"), outbox=Path("/srv/outbox")) as view:
    view(Notice("problem", "It is [bold]broken[/].", "broken.jpg", Level.ERROR))
    view(Notice("queued", "It is not worth a line.", "a.jpg"))
    step = 0
    while not control.exists():
        step = min(step + 8, 399)
        view.update(overview(step))
        time.sleep(0.02)
    view.update(overview(400))
print("back at the shell")
sys.stdin.readline()
"""


@pytest.fixture
def live(tmp_path):
    """Start the scripted view in a terminal of a given size; return the terminal and the file that ends the view."""
    terminals = []

    def start(width, height, environ=None):
        command = [sys.executable, "-c", DRIVER, str(tmp_path / "end")]
        terminals.append(Tmux(width, height, command, environ or {}, tmp_path))
        return terminals[-1], tmp_path / "end"

    yield start
    for each in terminals:
        each.close()


def is_whole(screen, rows):
    """Whether the view stands there once, with all three paintings."""
    text = "\n".join(screen)
    return (
        text.count("monet-watch  /srv/inbox") == 1
        and text.count("3 painting · 5 queued") == 1
        and len([line for line in screen if "/400" in line]) == 3
        and len(screen) <= rows
    )


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}], ids=["colour", "no-colour"])
@pytest.mark.parametrize(("width", "height"), [(60, 20), (120, 40)])
def test_the_live_view_stands_still_in_its_terminal_and_stays_readable_after_the_end(live, width, height, environ):
    terminal, end = live(width, height, environ)
    screen = terminal.wait_for(lambda screen: is_whole(screen, height) and "399/400" in "\n".join(screen))
    text = "\n".join(screen)
    assert "holiday/[bold red]a[/].jpg" in text
    assert "\\x1b[2Jb\\n.jpg" in text
    assert "The picture ends too early." in text
    assert "not worth a line" not in text
    assert max(map(cell_len, screen)) <= width
    end.touch()
    final = terminal.wait_for(lambda screen: "back at the shell" in "\n".join(screen))
    assert "\n".join(final).count("400/400") == 3
    assert final.index("back at the shell") == max(n for n, line in enumerate(final) if line)
    history = terminal.run("capture-pane", "-p", "-S", "-100")
    assert history.count("error: broken.jpg: It is [bold]broken[/].") == 1
    assert history.count("3 painting · 5 queued") == 1


def test_the_live_view_is_redrawn_whole_when_the_terminal_changes_its_size(live):
    terminal, _ = live(120, 40)
    terminal.wait_for(lambda screen: is_whole(screen, 40))
    for width, height in [(60, 20), (120, 40), (80, 24), (80, 40), (60, 20)]:
        terminal.run("resize-window", "-x", width, "-y", height)
        wide = width >= 90
        screen = terminal.wait_for(
            lambda screen, height=height, wide=wide: (
                is_whole(screen, height) and any(".jpg  ━" in line for line in screen) == wide
            )
        )
        assert max(map(cell_len, screen)) <= width


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(live):
    terminal, end = live(80, 24, {"TERM": "dumb"})
    end.touch()
    screen = terminal.wait_for(lambda screen: "back at the shell" in "\n".join(screen))
    assert screen[0].endswith("error: broken.jpg: It is [bold]broken[/].")
    assert screen[1].endswith("a.jpg: It is not worth a line.")
    assert screen[2] == "back at the shell"


def test_the_last_warnings_are_still_there_when_the_terminal_has_become_narrower(live):
    terminal, _ = live(120, 45)
    terminal.wait_for(lambda screen: is_whole(screen, 45))
    terminal.run("resize-window", "-x", 100, "-y", 45)
    screen = terminal.wait_for(lambda screen: is_whole(screen, 45) and max(map(cell_len, screen)) <= 100)
    assert [line for line in screen if line.endswith("error: broken.jpg: It is [bold]broken[/].")] == screen[:1]
