"""The pictures of the README's tour, from a real run: the real daemon, its default weights and style, six photos.

    python -m benchmarks.tour [--work FOLDER] [--size 256] [--output docs]

The daemon paints until four are done and a fifth is on the easel, then a browser looks at the gallery. With ``--work``
the run is kept, and the next call goes on with it: what is painted already is not painted again.
"""

import argparse
import contextlib
import io
import json
import signal
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from benchmarks.pictures import photo
from monet_watch.outbox.files import RECORD_NAME
from monet_watch.outbox.gallery.gallery import GALLERY_NAME, PAGE_NAME
from tests.end_to_end.house import PROGRAM, wait_until
from tests.outbox.gallery.browser import Browser, chromium

__all__ = ["SHOTS", "Shot", "main", "take"]

_PHOTOS = {
    "family/Chelsea.jpg": "chelsea",
    "holiday/Summer Palace.jpg": "china",
    "holiday/Dahlia.jpg": "flower",
    "Morning coffee.jpg": "coffee",
    "family/Eileen.jpg": "astronaut",
    "Launch.jpg": "rocket",
}
_PAINTED = 4  # of them, before the pictures are taken
_STEPS = 40
_LIMIT_SECONDS = 4 * 3600.0
_LIMIT_BYTES = 150_000


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of the page of all paintings, or of the page of one, as a screen ``width`` pixels wide shows it.

    The first ``height`` pixels of it, by day or by night (``scheme``: light or dark).
    """

    name: str
    width: int
    height: int
    of_one: bool = False
    scheme: str = "light"


SHOTS = (
    Shot("tour-gallery", 1280, 1400),
    Shot("tour-gallery-dark", 1280, 1400, scheme="dark"),
    Shot("tour-gallery-phone", 390, 1750),
    Shot("tour-painting", 1280, 1600, of_one=True),
    Shot("tour-painting-dark", 1280, 1600, of_one=True, scheme="dark"),
    Shot("tour-painting-phone", 390, 1400, of_one=True),
)


def furnish(work: Path, size: int) -> None:
    """Lay photos, one that is none, and one whose folder's settings are wrong, into an inbox, with a config."""
    inbox = work / "inbox"
    for name, known in _PHOTOS.items():
        _write(inbox / name, _jpeg(known))
    _write(inbox / "scans/Letter.jpg", b"Dear Claude,\n\nthe pond is frozen. Yours, G.\n")
    _write(inbox / "scans/style.yaml", b"priority: 10\n")  # so that its turn comes first
    _write(inbox / "sketches/Roses.jpg", _jpeg("flower"))
    _write(inbox / "sketches/style.yaml", b"recipe: gallerie\n")
    defaults = {"image_size": size, "steps": _STEPS, "timelapse": "webp"}
    config = {"inbox": "inbox", "outbox": "outbox", "state": "state", "nice": 0, "defaults": defaults}
    _write(work / "config.yaml", yaml.safe_dump(config).encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(data)


def _jpeg(known: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo(known)).save(file, "JPEG", quality=95)
    return file.getvalue()


@contextlib.contextmanager
def daemon(work: Path) -> Iterator[None]:
    """The program, at work in ``work`` until the context ends; it then stops after a checkpoint."""
    with (work / "log.txt").open("ab") as log:
        command = [PROGRAM, "run", "--config", work / "config.yaml", "--console", "plain"]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def is_ready(outbox: Path) -> bool:
    """Whether enough is painted, and another is being painted, or all are."""
    done = {path.parent for path in outbox.rglob(RECORD_NAME)}
    begun = {path.parent for path in outbox.rglob("progress_*.png")} - done
    if len(done) < _PAINTED or not (outbox / GALLERY_NAME / "data" / "moment.js").is_file():
        return False
    moves = [each for each in _moment(outbox)["running"] if each["step"] and each["remaining"] and each.get("latest")]
    return len(done) == len(_PHOTOS) or bool(begun and moves)


def _moment(outbox: Path) -> dict[str, Any]:
    text = (outbox / GALLERY_NAME / "data" / "moment.js").read_text()
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


def take(browser: Browser, outbox: Path, shot: Shot) -> bytes:
    """Return ``shot`` as a WebP file of at most 150 KB."""
    browser.reset()
    browser.chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    browser.emulate(prefers_color_scheme=shot.scheme)
    browser.resize(shot.width, 900)
    if shot.of_one:
        browser.open(_subject(outbox) / PAGE_NAME)
        browser.wait("!document.getElementById('curve').hidden")
    else:
        browser.open_index(outbox)
    browser.resize(shot.width, shot.height)  # so that what is loaded only when it is seen is loaded
    browser.wait("[...document.images].every((image) => image.complete)")
    picture = Image.open(io.BytesIO(b64decode(browser.chrome.get_screenshot_as_base64()))).convert("RGB")
    height = min(shot.height, browser.value("document.body.offsetHeight"))
    return _small(picture.crop((0, 0, shot.width, height)))


def _subject(outbox: Path) -> Path:
    """The folder of the painting whose page is shown: the first that there is."""
    folders = (outbox / Path(name).with_suffix("") for name in _PHOTOS)
    return next(folder for folder in folders if (folder / RECORD_NAME).is_file())


def _small(picture: Image.Image) -> bytes:
    """As good as a limit of bytes allows."""
    for quality in (90, 82, 74, 66, 58, 50):
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=6)
        if file.tell() <= _LIMIT_BYTES:
            break
    return file.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder of the run, to be kept; without it one that goes")
    parser.add_argument("--size", type=int, default=256, help="short side of the paintings (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder for the pictures (%(default)s)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = (chosen.work or Path(temporary)).resolve()
        furnish(work, chosen.size)
        with daemon(work):
            wait_until(lambda: is_ready(work / "outbox"), "enough is painted", _LIMIT_SECONDS)
            photograph(work / "outbox", chosen.output)


def photograph(outbox: Path, output: Path) -> None:
    """Take all `SHOTS` of the gallery in ``outbox``, and write them into ``output``."""
    with chromium() as browser:
        for shot in SHOTS:
            data = take(browser, outbox, shot)
            (output / f"{shot.name}.webp").write_bytes(data)
            print(f"{output / shot.name}.webp: {len(data) / 1000:.0f} KB")


if __name__ == "__main__":
    main()
