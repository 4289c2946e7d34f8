"""The record of a painting: it comes back from its file as it was, and nothing else is taken for one."""

import json
import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from monet_watch.engine.events import Losses
from monet_watch.errors import OutboxError
from monet_watch.outbox.record import (
    Curve,
    LossValues,
    MachineFacts,
    PaintingRecord,
    PhotoFacts,
    StyleFacts,
    Times,
    WeightsFacts,
    iso_time,
)
from monet_watch.recipes import CLASSIC

CURVE = [Losses(10.0, 7.0, 2.0, 1.0), Losses(5.0, 3.0, 1.5, 0.5)]

names = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw and b"/" not in raw and raw != b".")


def a_record(**changes: object) -> PaintingRecord:
    record = PaintingRecord(
        identity="id",
        settings_key="key",
        photo=PhotoFacts.of(PurePosixPath("a.jpg"), "ab", 3, 4),
        painting="a.png",
        width=32,
        height=48,
        styles=(StyleFacts(name="style.png", sha256="cd"),),
        recipe=CLASSIC,
        origins={"steps": "style.yaml:1"},
        weights=WeightsFacts(source="oxford", sha256="ef"),
        machine=MachineFacts(device="cpu", device_name="x", precision="fp32", threads=1, versions={"torch": "2"}),
        times=Times(queued=iso_time(0), started=iso_time(1), finished=iso_time(2), seconds=1.0, attempts=1),
        reason="all steps taken",
        losses=LossValues.of(CURVE[-1]),
        delivered=LossValues.of(CURVE[-1]),
        stages=("progress_0001.png",),
        curve=Curve.of(CURVE),
        copied_from=None,
    )
    return record.model_copy(update=changes)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "..", ".", "", "a/b.png", "a\0.png"])
@pytest.mark.parametrize("field", ["painting", "stages", "further", "timelapse"])
def test_no_file_of_a_painting_lies_elsewhere_whatever_a_record_says(field, name):
    facts = json.loads(a_record().to_bytes())
    facts[field] = {"stages": [name], "further": {"jpeg": name}}.get(field, name)
    with pytest.raises(OutboxError):
        PaintingRecord.from_bytes(json.dumps(facts).encode())


def test_a_record_comes_back_from_its_file_as_it_was():
    record = a_record()
    assert PaintingRecord.from_bytes(record.to_bytes()) == record


def test_a_record_that_does_not_tell_of_memory_is_read_all_the_same():
    data = json.loads(a_record().to_bytes())
    for name in ("memory_bytes", "tile", "pairs"):
        del data["machine"][name]
    assert PaintingRecord.from_bytes(json.dumps(data).encode()) == a_record()


def test_its_file_is_json_in_utf8_that_people_can_read():
    data = a_record(reason="à la fin").to_bytes()
    assert data.count(b"\n") > 20
    assert json.loads(data)["reason"] == "à la fin"
    assert "à la fin" in data.decode("utf-8")


def test_the_curve_has_a_value_of_each_kind_for_every_step():
    curve = a_record().curve
    assert (curve.total, curve.style, curve.content, curve.tv) == ([10, 5], [7, 3], [2, 1.5], [1, 0.5])


@given(names, names)
def test_a_photos_path_survives_whatever_bytes_it_has(parent, name):
    path = PurePosixPath(os.fsdecode(parent), os.fsdecode(name))
    facts = PhotoFacts.of(path, "ab", 1, 2)
    record = a_record(photo=facts)
    assert PaintingRecord.from_bytes(record.to_bytes()).photo.real_path() == path
    facts.path.encode("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        a_record().to_bytes()[:-40],
        a_record().to_bytes().replace(b'"format": 1', b'"format": 2'),
    ],
)
def test_what_is_no_record_is_told_as_such(data):
    with pytest.raises(OutboxError, match="not the record of a painting"):
        PaintingRecord.from_bytes(data)


def test_a_record_without_the_fields_that_came_later_is_read():
    fields = json.loads(a_record().to_bytes())
    for name in ("remarks", "resumed_at_step", "copied_from"):
        del fields[name]
    assert PaintingRecord.from_bytes(json.dumps(fields).encode()) == a_record()


def test_a_record_cannot_be_changed():
    with pytest.raises(ValidationError):
        a_record().identity = "other"


def test_times_are_told_in_utc():
    assert iso_time(1_700_000_000.9) == "2023-11-14T22:13:20+00:00"
