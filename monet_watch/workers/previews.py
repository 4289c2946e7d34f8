"""Thumbnails of paintings that have none, as of those from before there was a gallery: made from the files.

Files of the outbox are anybody's, so they are opened in a process of its own, which a codec may crash.
"""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from monet_watch.errors import OutboxError
from monet_watch.outbox.files import RECORD_NAME, Outbox
from monet_watch.outbox.gallery.gallery import Gallery, Thumbnail, thumbnail_path
from monet_watch.outbox.record import PaintingRecord

__all__ = ["make_previews", "make_previews_in_a_process"]


def make_previews_in_a_process(root: Path) -> bool:
    """Run `make_previews` for the outbox at ``root`` in a process of its own; return whether it came to its end."""
    process = multiprocessing.get_context("spawn").Process(target=make_previews, args=(root,), name="previews")
    process.start()
    try:
        process.join()
    finally:
        process.kill()
    return process.exitcode == 0


def make_previews(root: Path) -> int:
    """Make the thumbnails of the paintings, and of their stages, that are missing; return how many those were.

    What cannot be opened is left out: its page shows the file itself.
    """
    gallery, outbox = Gallery(root), Outbox(root)
    count = 0
    for path in outbox.records():
        for thumbnail in _missing(root, path.parent):
            gallery.keep(thumbnail)
            count += 1
    return count


def _missing(root: Path, folder: Path) -> Iterator[Thumbnail]:
    try:
        record = PaintingRecord.from_bytes((folder / RECORD_NAME).read_bytes())
    except (OSError, OutboxError):
        return
    names = {"painting": record.painting, **{_number(name): name for name in record.stages}}
    for name, file in names.items():
        if not (root / thumbnail_path(record.identity, name)).is_file() and PurePosixPath(file).name == file:
            data = _thumbnail(folder / file)
            if data:
                yield Thumbnail(record.identity, name, data)


def _number(stage: str) -> str:
    return PurePosixPath(stage).stem.rpartition("_")[2]


def _thumbnail(path: Path) -> bytes:
    """The picture in ``path``, small; empty where it cannot be opened."""
    import numpy as np
    from PIL import Image

    from monet_watch.outbox.picture import encode_thumbnail

    try:
        with Image.open(path, formats=("PNG",)) as opened:
            return encode_thumbnail(np.array(opened.convert("RGB")))
    except Exception:  # whatever a damaged file makes a codec raise
        return b""
