"""Files called style.yaml by people who mean harm, or hit the wrong keys: made here, the same ones each time."""

import random
from collections.abc import Callable, Iterator

__all__ = ["VALID", "generated", "written"]

VALID = (
    b"steps: 30\n",
    b"recipe: classic\nimage_size: 384\nsteps: 120\nstyle_weight: 1e6\n",
    b"# A quiet sea.\nstyle: sea\nsave_every: 10\ntv_weight: 1.0e-6\n",
    b"style:\n  - sea\n  - sea.jpg\nstyle_layers: [conv1_1, conv2_1, conv3_1]\ncontent_layers: [conv4_2]\n",
    b"{recipe: swift, enlarge: true, initial_image: photo, seed: 7}\n",
    "style: 'sée'\r\nsteps: 3\r\n".encode(),
)

_NASTY = (
    b"&a", b"*a", b"<<: *a", b"<<", b"!!python/object/apply:os.system [id]", b"!!int", b"!<tag:x>", b"\0", b"\x1b[2J",
    b"\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "\u202e".encode(), "\u2028".encode(), b"\x85",
    "🎨".encode(), b"---\n", b"...\n", b"%YAML 9.9\n", b"%TAG ! !\n", b"{", b"}", b"[", b"]", b"- ", b"? ", b": ", b"|",
    b">", b"|9", b"'", b'"', b"\\x41", b"\\ud800", b"\\UFFFFFFFF", b"#", b"@", b"`", b"~", b".inf", b"-.nan",
    b"0x" + b"f" * 90,
    b"9" * 99, b"9" * 5000, b"1e999", b"-1", b"0o7", b"1:30", b"2024-05-01", b"\r", b"\n", b"\n\n  ", b" " * 40, b"yes",
    b"null", b"../sea.jpg", b"/etc/passwd", b"/dev/zero", b"/proc/self/environ", b"~root/x.jpg", b"C:\\x.png",
    b"\\\\server\\x.png", b"$(id)", b"`id`", b"<script>alert(1)</script>", b"[red]x[/red]", b"steps: ", b"style: ",
)  # fmt: skip


def generated(count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` files: valid ones cut, doubled, flipped and sprinkled with what YAML has of dangers."""
    dice = random.Random(seed)
    for _ in range(count):
        data = dice.choice(VALID)
        for _ in range(dice.choice((1, 1, 1, 1, 2, 3, 12))):
            data = dice.choice(_MUTATIONS)(data, dice)
        yield data


def _sprinkled(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(_NASTY) + data[at:]


def _with_a_value(data: bytes, dice: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = dice.randrange(len(lines)) if lines else 0
    key = lines[at].split(b":")[0] if lines else b"steps"
    return b"".join((*lines[:at], key, b": ", dice.choice(_NASTY), b"\n", *lines[at + 1 :]))


def _flipped(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _cut(data: bytes, dice: random.Random) -> bytes:
    first, last = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
    return data[:first] + data[last:]


def _doubled(data: bytes, dice: random.Random) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    dice.shuffle(lines)
    return b"".join(lines * dice.choice((1, 2)))[:100_000]


def _joined(data: bytes, dice: random.Random) -> bytes:
    return data + dice.choice((b"", b"\n", b"---\n")) + dice.choice(VALID)


_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _sprinkled, _sprinkled, _sprinkled, _with_a_value, _with_a_value, _flipped, _cut, _doubled, _joined,
)  # fmt: skip


def written() -> Iterator[bytes]:
    """Files written to take long, take much, or get past: as large as a file may be, or larger."""
    full = 64 * 1024
    yield from (b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a, *a, *a]\n" % (n, n) for n in range(20)), b"a: &a [*a]\n")
    yield from (b"a: " + bracket * (full - 3) for bracket in (b"[", b"{", b"- ", b"? ", b"{a: ", b"[[],"))
    yield from (
        b"steps: " + each * (full // len(each) - 4) for each in (b"9", b" ", b"x ", b"\n", b"\\", b"'", "🎨".encode())
    )
    yield from (b'style: "' + each * (full // len(each) - 8) + b'"' for each in (b"x", b"\\n", b"\\u202e", b"\n", b"/"))
    yield from (
        line * (full // len(line)) for line in (b"steps: 1\n", b"? a\n", b"- \n", b"#\n", b"[]: 1\n", b"---\n", b"a:")
    )
    yield b"".join(b"k%d: 1\n" % number for number in range(8000))[:full]
    yield b"a: [" + b"1," * 32_000 + b"]"
    yield b"style: [" + b"../x.jpg, " * 6000 + b"]"
    yield b"style: [" + b"seas.jpg, " * 16 + b"]"
    yield from (b"style: |\n" + b" x\n" * 21_000, b"steps: x\n" + b" x\n" * 21_000)
    yield from (b"#" * full, b"#" * (full + 1), b"steps: 3 #" + b"x" * 2**20, b"\0" * full, b"\xff" * full)
    yield from (b"", b"\xef\xbb\xbf", b"\xef\xbb\xbfsteps: 3", "steps: 3".encode("utf-16"), "steps: 3".encode("utf-32"))
