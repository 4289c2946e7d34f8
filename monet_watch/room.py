"""Whether there is room for a painting, asked before hours are spent on it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from monet_watch.errors import OutboxError
from monet_watch.recipes import Recipe

__all__ = ["NoRoomError", "Room", "Shortage", "free_bytes", "require_room", "room_for"]

_MEBI = 1 << 20
_PNG_BYTES_PER_PIXEL = 3  # brush strokes hardly compress
_VECTOR_BYTES_PER_PIXEL = 12  # of the picture as L-BFGS moves it, and of each vector that it remembers
_MOST_MEMORY_BYTES = 16 * _MEBI  # of a checkpoint, unless the picture alone is larger
_REST_BYTES = _MEBI  # plot, record, ledger
_USUAL_ASPECT = 1.5  # of a photo that nobody has opened yet


class NoRoomError(OutboxError):
    """A disk is too full for what a painting will write. It passes: somebody, or a painting that ends, makes room."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a painting takes at most, in bytes: in the outbox, and in the state folder while it is under way."""

    outbox_bytes: int
    state_bytes: int


def room_for(recipe: Recipe, size: tuple[int, int] | None = None) -> Room:
    """Return the room for a painting of this ``size`` (width, height); None: as the recipe has it, of a usual photo.

    A checkpoint counts twice, for the next one is written before the last one goes.
    """
    pixels = size[0] * size[1] if size else int(recipe.image_size**2 * _USUAL_ASPECT)
    pictures = 1 + len(recipe.stages(recipe.steps))
    checkpoint_bytes = _checkpoint_bytes(pixels, recipe.history_size)
    return Room(pixels * _PNG_BYTES_PER_PIXEL * pictures + _REST_BYTES, 2 * checkpoint_bytes + _REST_BYTES)


def _checkpoint_bytes(pixels: int, history_size: int) -> int:
    """The picture, and as much as is kept of what L-BFGS remembers: the last move, and pairs of vectors."""
    vector = pixels * _VECTOR_BYTES_PER_PIXEL
    return max(vector, min(_MOST_MEMORY_BYTES, vector * (3 + 2 * history_size)))


def require_room(outbox: Path, state: Path, room: Room) -> None:
    """Raise NoRoomError where there is less than ``room``. A disk that tells nothing of itself is trusted."""
    for name, folder, needed in (("outbox", outbox, room.outbox_bytes), ("state folder", state, room.state_bytes)):
        free = free_bytes(folder)
        if free is not None and free < needed:
            raise NoRoomError(
                f"There is too little room for the painting: it takes about {-(-needed // _MEBI)} MiB in {folder}.",
                f"Make room on the disk of the {name}; painting then goes on by itself.",
            )


class Shortage:
    """For which paintings there is too little room, by the keys of their settings: those that take less go on."""

    def __init__(self, outbox: Path, state: Path) -> None:
        self._outbox, self._state = outbox, state
        self._rooms: dict[str, Room] = {}
        self._text = ""

    def __bool__(self) -> bool:
        return bool(self._rooms)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the paintings that wait for room."""
        return frozenset(self._rooms)

    @property
    def text(self) -> str:
        """What they wait for, in words; empty where none waits."""
        return self._text if self else ""

    def require(self, key: str, room: Room) -> None:
        """Raise NoRoomError, and remember ``key``, where there is less than ``room``."""
        try:
            require_room(self._outbox, self._state, room)
        except NoRoomError as error:
            self._rooms[key], self._text = room, str(error)
            raise

    def look_again(self) -> bool:
        """Forget those for which there is room by this time; whether there was any such."""
        fitting = [key for key, room in self._rooms.items() if self._fits(room)]
        for key in fitting:
            del self._rooms[key]
        return bool(fitting)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._rooms.clear()

    def _fits(self, room: Room) -> bool:
        try:
            require_room(self._outbox, self._state, room)
        except NoRoomError:
            return False
        return True


def free_bytes(folder: Path) -> int | None:
    """Return what an ordinary account can write at ``folder``, or where it will be; None where nobody knows."""
    try:
        usage = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists()))
    except OSError:
        return None
    return usage.free if usage.total else None  # some network shares call themselves empty
