"""Paintings for the gallery's tests: their folders and records as a delivery leaves them, and nothing is painted."""

import hashlib
import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monet_watch.outbox.files import painting_name, progress_name
from monet_watch.outbox.gallery.gallery import Gallery, Thumbnail
from monet_watch.outbox.picture import encode_png, encode_thumbnail, encode_webp
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
from monet_watch.recipes import SWIFT

__all__ = ["EPOCH", "digest", "hang", "record_of"]

Picture = NDArray[np.uint8]

EPOCH = 1_750_000_000.0
"""When the first painting was finished."""


def digest(text: str) -> str:
    """A SHA-256 that stands for something."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _curve(steps: int) -> Curve:
    style = [4800 * math.exp(-0.9 * step**0.5) + 18 for step in range(steps)]
    content = [9 + 6 * math.sin(step / 9) ** 2 + step / 20 for step in range(steps)]
    tv = [0.05 + step / 1000 for step in range(steps)]
    total = [sum(values) for values in zip(style, content, tv, strict=True)]
    return Curve(total=total, style=style, content=content, tv=tv)


def record_of(
    photo: PurePosixPath,
    *,
    finished: float = EPOCH,
    size: tuple[int, int] = (96, 64),
    style: str = "water-garden",
    steps: int = 40,
    stages: Sequence[int] = (),
    **changes: object,
) -> PaintingRecord:
    """The record of a painting of ``photo``, of ``size`` (width, height)."""
    curve = _curve(steps)
    last = LossValues(total=curve.total[-1], style=curve.style[-1], content=curve.content[-1], tv=curve.tv[-1])
    origins = {"style": f"{photo.parent}/style.yaml:1", "image_size": "command line"}
    origins |= {name: "recipe swift" for name in SWIFT.model_dump() if name not in ("recipe", "image_size")}
    record = PaintingRecord(
        identity=digest(f"{photo} {style}"),
        settings_key=digest(style),
        photo=PhotoFacts.of(photo, digest(str(photo)), 2_345_678, 0),
        painting=painting_name(photo.name),
        width=size[0],
        height=size[1],
        styles=(StyleFacts(name=style, sha256=digest(style)),),
        recipe=SWIFT,
        origins={"recipe": "built in", **origins},
        weights=WeightsFacts(source="oxford", sha256=digest("weights")),
        machine=MachineFacts(
            device="cpu",
            device_name="x86_64 (AVX512)",
            precision="bf16",
            threads=2,
            versions={"monet-watch": "0.0", "torch": "2.0"},
            memory_bytes=6 * 2**30,
            pairs=12,
        ),
        times=Times(
            queued=iso_time(finished - 100),
            started=iso_time(finished - 42),
            finished=iso_time(finished),
            seconds=41.7,
            attempts=1,
        ),
        reason="ten steps won less than 1.5 %",
        losses=last,
        delivered=last,
        stages=tuple(progress_name(step) for step in stages),
        curve=curve,
    )
    return record.model_copy(update=changes)


def hang(
    outbox: Path,
    record: PaintingRecord,
    painting: Picture,
    photo: Picture | None = None,
    *,
    folder: PurePosixPath | None = None,
    stages: Callable[[int], Picture] | None = None,
    plot: bytes = b"",
    timelapse: bytes = b"",
) -> Path:
    """Lay the files of a painting into its folder in ``outbox``, as a delivery does, and return the folder."""
    path = outbox / (folder or _folder(record))
    path.mkdir(parents=True)
    (path / record.painting).write_bytes(encode_png(painting))
    (path / "loss.png").write_bytes(plot or encode_png(painting))
    if record.timelapse is not None:
        (path / record.timelapse).write_bytes(timelapse)
    if photo is not None:
        (path / "photo.webp").write_bytes(encode_webp(photo))
    for name in record.stages:
        step = int(Path(name).stem.partition("_")[2])
        (path / name).write_bytes(encode_png(painting if stages is None else stages(step)))
    (path / "painting.json").write_bytes(record.to_bytes())
    return path


def _folder(record: PaintingRecord) -> PurePosixPath:
    photo = record.photo.real_path()
    return PurePosixPath(os.fsencode(photo.with_name(photo.stem)).decode("utf-8", "replace"))


def keep_thumbnails(gallery: Gallery, record: PaintingRecord, painting: Picture, style: Picture | None = None) -> None:
    """What a worker's previews lead to."""
    gallery.keep(Thumbnail(record.identity, "painting", encode_thumbnail(painting)))
    for stage in record.stages:
        number = Path(stage).stem.partition("_")[2]
        gallery.keep(Thumbnail(record.identity, number, encode_thumbnail(painting)))
    if style is not None:
        gallery.keep(Thumbnail(record.styles[0].sha256, "style", encode_thumbnail(style)))


def picture_file(image: Picture, kind: str = "PNG") -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()
