"""Memory beyond a bound is refused in the process that asks for it, as a lack of memory that can be dealt with."""

import subprocess
import sys
from pathlib import Path

import pytest

from monet_watch.workers.limits import address_space_bytes, private_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux keeps these bounds")

ROOT = Path(__file__).parents[2]


def said(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_process_knows_its_address_space_and_what_of_it_is_its_own():
    address_space, private = address_space_bytes(), private_bytes()
    assert address_space is not None and private is not None and 2**20 < private < address_space


ASKING = """
import sys
from monet_watch.workers import limits
limit, at_rest = getattr(limits, sys.argv[1]), getattr(limits, sys.argv[2])()
def asked(mebibytes):
    try:
        return len(bytearray(mebibytes * 2**20)) // 2**20
    except MemoryError:
        return "refused"
limit(at_rest + 100 * 2**20)
first = asked(50), asked(200)
limit(at_rest + 400 * 2**20)
print(*first, asked(200))
"""


@pytest.mark.parametrize(
    ("limit", "at_rest"),
    [("limit_address_space", "address_space_bytes"), ("limit_private_memory", "private_bytes")],
)
def test_what_goes_beyond_is_refused_and_a_bound_can_be_raised_again(limit, at_rest):
    assert said(ASKING, limit, at_rest) == "50 refused 200"


PAINTING = """
import sys
from pathlib import Path
import torch
from monet_watch.engine.evaluator import is_out_of_memory
from monet_watch.engine.paint import Painter
from monet_watch.engine.vgg import load_vgg19
from monet_watch.recipes import Recipe
from monet_watch.workers.base import Allowance, PaintJob, PictureFile
from monet_watch.workers.memory import tiny_png
from monet_watch.workers.worker import _Server, painting_events
network = load_vgg19(Path(sys.argv[1]), sys.argv[2], "cpu")
server = _Server(None, None, Painter(network), Allowance(), None)
server._limit_memory(256 * 2**20)
try:
    torch.ones(2**31, dtype=torch.uint8)
except Exception as error:
    print("refused" if is_out_of_memory(error) else error)
picture = PictureFile("a.png", open(sys.argv[3], "rb").read())
job = PaintJob(1, "id", picture, (picture,), Recipe(image_size=128, steps=2, save_every=0), 10**6)
print([type(event).__name__ for event in painting_events(job, server.painter, lambda: False, 256 * 2**20)][-1])
"""


def test_a_worker_on_the_processor_is_refused_what_is_far_beyond_its_allowance_and_paints(
    tmp_path, tiny_weights, make_photo
):
    (tmp_path / "a.png").write_bytes(make_photo(128, 128))
    told = said(PAINTING, tiny_weights.path, tiny_weights.sha256, tmp_path / "a.png")
    assert told.split() == ["refused", "JobFinished"]
