"""A painting's birth as a moving picture: the photo is seen first and the painting last, in a file of either kind."""

import io
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from monet_watch.outbox.timelapse import Birth, MovingPicture

RED, GREEN, BLUE = (200, 40, 40), (40, 160, 60), (40, 60, 200)


def plain(colour, width=64, height=48):
    return np.full((height, width, 3), colour, np.uint8)


def moving(kind, *images, width=64, height=48) -> MovingPicture:
    birth = Birth(kind, width, height)
    for image in images:
        birth.add(image)
    made = birth.moving_picture()
    assert made is not None
    return made


def webp_frames(data) -> list[tuple[np.ndarray, int]]:
    """Pictures, and for how many milliseconds each is seen."""
    with Image.open(io.BytesIO(data)) as opened:
        frames = ImageSequence.Iterator(opened)
        return [(np.array(frame.convert("RGB")), frame.info["duration"]) for frame in frames]


def mp4_frames(data, folder: Path, width, height) -> np.ndarray:
    """Pictures as ffmpeg reads them, (N, H, W, 3), 25 a second."""
    file = folder / "film.mp4"
    file.write_bytes(data)
    command = f"ffmpeg -loglevel error -i {file} -f rawvideo -pix_fmt rgb24 -".split()
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def is_like(image, colour, tolerance=12) -> bool:
    return bool(np.abs(image.astype(int) - colour).max() <= tolerance)


def test_a_webp_shows_the_photo_then_every_stage_and_rests_on_the_painting():
    frames = webp_frames(moving("webp", plain(RED), plain(GREEN), plain(BLUE)).data)
    resting = [image for image, milliseconds in frames if milliseconds >= 500]

    assert len(resting) == 3
    assert all(is_like(image, colour) for image, colour in zip(resting, (RED, GREEN, BLUE), strict=True))
    assert is_like(frames[0][0], RED) and is_like(frames[-1][0], BLUE)
    assert frames[-1][1] == max(milliseconds for _, milliseconds in frames)


def test_it_fades_so_that_no_two_frames_are_further_apart_than_a_part_of_the_way():
    frames = [image.astype(int).mean((0, 1)) for image, _ in webp_frames(moving("webp", plain(RED), plain(BLUE)).data)]
    whole = np.abs(frames[-1] - frames[0]).max()

    assert all(np.abs(after - before).max() < 0.4 * whole for before, after in itertools.pairwise(frames))


def test_photo_and_stages_of_any_size_become_frames_of_the_painting_s():
    small, large = plain(RED, 640, 480), plain(GREEN, 32, 24)
    frames = webp_frames(moving("webp", small, large, plain(BLUE)).data)

    assert {image.shape for image, _ in frames} == {(48, 64, 3)}


@pytest.mark.parametrize(("size", "expected"), [((4000, 3000), (960, 720)), ((65, 49), (64, 48)), ((1, 1), (2, 2))])
def test_frames_are_of_a_size_that_a_page_shows_and_that_every_codec_takes(size, expected):
    width, height = size
    painting = plain(BLUE, width, height)
    frames = webp_frames(moving("webp", plain(RED), painting, width=width, height=height).data)

    assert frames[0][0].shape[1::-1] == expected


def test_an_mp4_shows_the_same_in_the_same_colours_and_time(tmp_path):
    made = moving("mp4", plain(RED), plain(GREEN), plain(BLUE))
    frames = mp4_frames(made.data, tmp_path, 64, 48)
    seconds = sum(milliseconds for _, milliseconds in webp_frames(moving("webp", *map(plain, (RED, GREEN, BLUE))).data))

    assert (made.suffix, made.remark) == (".mp4", "")
    assert is_like(frames[0], RED) and is_like(frames[-1], BLUE)
    assert any(is_like(frame, GREEN) for frame in frames)
    assert len(frames) / 25 == pytest.approx(seconds / 1000, abs=0.3)


def test_without_ffmpeg_it_is_a_webp_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    made = moving("mp4", plain(RED), plain(BLUE))

    assert made.suffix == ".webp"
    assert is_like(webp_frames(made.data)[-1][0], BLUE)
    assert "ffmpeg did not make an MP4: it is not installed" in made.remark


def test_an_ffmpeg_that_fails_costs_the_mp4_and_its_words_are_told(monkeypatch, tmp_path):
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\necho 'Unknown encoder' >&2\nexit 1\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('sh')).parent}")
    made = moving("mp4", *[plain(RED, 640, 480)] * 9, width=640, height=480)

    assert made.suffix == ".webp"
    assert "Unknown encoder" in made.remark


@pytest.mark.parametrize("kind", ["webp", "mp4"])
def test_the_same_frames_give_the_same_bytes(kind):
    first, second = (moving(kind, plain(RED), plain(BLUE)).data for _ in range(2))

    assert first == second


def test_none_is_made_where_none_is_wanted():
    birth = Birth("none", 64, 48)
    birth.add(plain(RED))

    assert birth.moving_picture() is None
