"""A painting's birth as a moving picture: the photo first, then the stages, and the painting last."""

import contextlib
import io
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from monet_watch.output import Timelapse

__all__ = ["Birth", "MovingPicture"]

_LONGEST_SIDE = 960  # pixels: enough for a page, and a moving picture of more would be large
_PHOTO_SECONDS, _STAGE_SECONDS, _PAINTING_SECONDS = 1.2, 0.6, 3.0
_FADE_STEPS, _FADE_SECONDS = 4, 0.32  # from one stage to the next
_QUALITY = 70
_FRAMES_PER_SECOND = 25
_FFMPEG_SECONDS = 120.0

Frame = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MovingPicture:
    """A file, and how its name ends. ``remark`` says what is otherwise than asked for, or is empty."""

    suffix: str
    data: bytes = field(repr=False)
    remark: str = ""


class Birth:
    """Collects what the moving picture of a painting of ``width`` x ``height`` pixels shows; ``kind`` may be none."""

    def __init__(self, kind: Timelapse, width: int, height: int) -> None:
        scale = min(1.0, _LONGEST_SIDE / max(width, height))
        self._size = (_even(width * scale), _even(height * scale))
        self._kind = kind
        self._frames: list[Frame] = []

    def add(self, image: Frame) -> None:
        """Show ``image`` (uint8, (H, W, 3), sRGB, of any size) after those before it."""
        if self._kind == "none":
            return
        if image.shape[1::-1] == self._size:
            self._frames.append(image.copy())
            return
        small = Image.fromarray(image).resize(self._size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        self._frames.append(np.array(small))

    def moving_picture(self) -> MovingPicture | None:
        """Return the file, or None where none is wanted: an animated WebP, or an MP4 with H.264 made by ffmpeg.

        Where that cannot be made, it is a WebP, with a remark that says why.
        """
        if self._kind == "none":
            return None
        if self._kind == "webp":
            return MovingPicture(".webp", _webp(self._frames))
        try:
            return MovingPicture(".mp4", _mp4(self._frames))
        except (OSError, ValueError) as error:
            remark = f"The moving picture is a WebP, since ffmpeg did not make an MP4: {error}."
            return MovingPicture(".webp", _webp(self._frames), remark)


def _even(side: float) -> int:
    """Colours of an MP4 come in blocks of two by two pixels."""
    return max(2, 2 * round(side / 2))


def _film(frames: Sequence[Frame]) -> Iterator[tuple[Frame, float]]:
    """Pictures and the seconds for which each is seen: each frame rests, and fades into the next."""
    for number, frame in enumerate(frames[:-1]):
        yield frame, _STAGE_SECONDS if number else _PHOTO_SECONDS
        for step in range(1, _FADE_STEPS):
            yield _between(frame, frames[number + 1], step / _FADE_STEPS), _FADE_SECONDS / (_FADE_STEPS - 1)
    yield frames[-1], _PAINTING_SECONDS


def _between(one: Frame, other: Frame, share: float) -> Frame:
    return np.array(Image.blend(Image.fromarray(one), Image.fromarray(other), share))


def _webp(frames: Sequence[Frame]) -> bytes:
    first, *others = _film(frames)
    file = io.BytesIO()
    Image.fromarray(first[0]).save(
        file,
        "WEBP",
        save_all=True,
        append_images=[Image.fromarray(frame) for frame, _ in others],
        duration=[round(1000 * seconds) for _, seconds in (first, *others)],
        loop=0,
        quality=_QUALITY,
        method=4,
    )
    return file.getvalue()


def _mp4(frames: Sequence[Frame]) -> bytes:
    """Raises OSError and ValueError, with ffmpeg's own words, where it is not there or does not make one."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise FileNotFoundError("it is not installed")
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory(prefix="monet-watch-") as folder:
        target, log = Path(folder, "timelapse.mp4"), Path(folder, "log")
        with log.open("wb") as said:
            status = _fed([program, *_arguments(width, height), str(target)], _at_a_steady_pace(frames), said.fileno())
        if status or not target.is_file():
            raise ValueError(_last_line(log.read_text(errors="replace")) or f"it ended with status {status}")
        return target.read_bytes()


def _arguments(width: int, height: int) -> list[str]:
    """ffmpeg's: raw frames in, H.264 out that every browser plays, in the colours of the frames (sRGB, BT.709)."""
    given = f"-f rawvideo -pix_fmt rgb24 -video_size {width}x{height} -framerate {_FRAMES_PER_SECOND} -i pipe:0"
    colours = "-vf scale=out_color_matrix=bt709:out_range=tv -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709"
    made = "-color_trc iec61966-2-1 -c:v libx264 -preset fast -crf 25 -threads 1 -flags:v +bitexact -fflags +bitexact"
    return f"-loglevel error -nostats -threads 1 {given} {colours} {made} -movflags +faststart".split()


def _at_a_steady_pace(frames: Sequence[Frame]) -> Iterator[Frame]:
    for frame, seconds in _film(frames):
        for _ in range(max(1, round(seconds * _FRAMES_PER_SECOND))):
            yield frame


def _fed(command: Sequence[str], frames: Iterable[Frame], log: int) -> int:
    """Run ``command`` with ``frames`` for its input, and return its exit status. One that takes too long is ended."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
    limit = threading.Timer(_FFMPEG_SECONDS, process.kill)
    limit.start()
    try:
        with contextlib.suppress(BrokenPipeError), process:  # one that ends early says why
            assert process.stdin is not None
            for frame in frames:
                process.stdin.write(frame.tobytes())
    finally:
        limit.cancel()
    return process.returncode


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].rstrip(".")
