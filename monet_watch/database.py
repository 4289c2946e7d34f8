"""SQLite as the ledger needs it: a file that is known to be ours, changes that hold together, errors told in words.

Everything that SQLite raises is translated here and nowhere else.

A change of a job's state is flushed to disk before it is reported (``synchronous = FULL``): after a power cut the
queue is as it was, and a photo is never moved away on the word of a commit that the disk has not seen. Changes that
may be lost, such as how far a painting is, are only handed to the operating system (``NORMAL``): they come with every
step, they survive a killed process, and nobody waits for the disk.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from monet_watch.errors import LedgerError, LedgerUnavailableError

__all__ = ["Database", "Schema"]

_BUSY_SECONDS = 5.0
_LARGEST_REST_BYTES = 16 << 20  # one batch of a whole inbox would leave its log at its largest size until the end
_CACHE_KIBI = 16 << 10  # a bulk's hashes fall anywhere in their index, which has 3 MiB for 100,000 photos
_ROWS_AT_ONCE = 100  # that one statement inserts
_LOG_PAGES = 4000  # of 4 KiB, after which the log goes into the file: the oftener, the more of a bulk's pages twice

_START_AFRESH = (
    "Move it away and start again: the finished paintings are read back from the outbox, and the inbox is scanned."
)
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: _START_AFRESH,
    sqlite3.SQLITE_CORRUPT: _START_AFRESH,
    sqlite3.SQLITE_FULL: "Free some space on its disk.",
    sqlite3.SQLITE_BUSY: "Another program holds it; close that one.",
    sqlite3.SQLITE_READONLY: "Check the permissions of the file and its folder.",
    sqlite3.SQLITE_CANTOPEN: "Check that its folder is there, and its permissions.",
    sqlite3.SQLITE_IOERR: "Check its disk; the state folder must lie on a local one.",
}
_UNAVAILABLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a database must be. ``migrations[n]`` are the statements that lead from version n to version n + 1."""

    application_id: int
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        """The version that all migrations lead to."""
        return len(self.migrations)


class Database:
    """An open database, used by one thread. Every method raises LedgerError where SQLite is not content,
    LedgerUnavailableError where that may pass.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._file: tuple[int, int] | None = None
        self._flushes: bool | None = None
        self._undoes_in_memory = False

    @classmethod
    def open(cls, path: Path, schema: Schema) -> "Database":
        """Open the file for changes; make it if it is not there, and lead it to the schema's version.

        Raises LedgerError if it is damaged, is not a database of this schema, or was written by a later version.
        """
        with _closed_on_error(cls(_connect(path, "mode=rwc"), path)) as database:
            database._recognise(schema)
            database._prepare()
            database._check()
            database._migrate(schema)
            database._remember_file()
        return database

    def _remember_file(self) -> None:
        with contextlib.suppress(OSError):
            facts = self._path.stat()
            self._file = (facts.st_dev, facts.st_ino)

    @classmethod
    def open_read_only(cls, path: Path, schema: Schema) -> "Database":
        """Open the file for reading, whether or not somebody changes it meanwhile.

        Raises LedgerError if it is not there, is not a database of this schema, or is of another version.
        """
        _require(path)
        try:
            database = cls._open_for_reading(path, "mode=ro", schema)
        except LedgerError as error:
            if not _is_at_rest(path, error):
                raise
            # The folder may not be written, so SQLite can't keep its shared index there; nobody writes, so none is
            # needed.
            database = cls._open_for_reading(path, "mode=ro&immutable=1", schema)
        return database

    @classmethod
    def _open_for_reading(cls, path: Path, how: str, schema: Schema) -> "Database":
        with _closed_on_error(cls(_connect(path, how), path)) as database:
            version = database._recognise(schema)
            if version == 0:
                raise _nothing_yet(path)
            if version < schema.version:
                raise LedgerError(
                    f"{path} was written by an earlier version of monet-watch.",
                    "Start the daemon of this version once: it brings the record up to date.",
                )
        return database

    def compact(self, least_bytes: int) -> bool:
        """Give the room of deleted rows back to the disk, where it is half of the file and at least ``least_bytes``.

        Returns whether it was done. It writes the file anew, which takes about a second for a hundred megabytes, and
        needs as much room again for that time.
        """
        free, pages = self._pragma("freelist_count"), self._pragma("page_count")
        if free * self._pragma("page_size") < least_bytes or free * 2 < pages:
            return False
        self._undo_in_memory(False)
        self.change("VACUUM")
        return True

    def is_in_place(self) -> bool:
        """Whether the file that is open is the one that lies at its path. Where nobody can say, it is."""
        try:
            facts = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return self._file in (None, (facts.st_dev, facts.st_ino))

    def close(self) -> None:
        """Close the file. A transaction under way is undone."""
        with _translated(self._path):
            self._connection.close()

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Return what a query finds."""
        # Not by a context manager: there are several of these for each photo, and that would cost more than they do.
        try:
            found: list[sqlite3.Row] = self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _in_words(self._path, error) from error
        return found

    def change(self, sql: str, *values: object) -> int:
        """Execute a change; return how many rows it met."""
        try:
            return self._connection.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise _in_words(self._path, error) from error

    def change_alone(self, sql: str, *values: object) -> int:
        """Execute a change that needs no others, and that a power cut may undo; return how many rows it met.

        In a transaction it is part of that one. Outside, SQLite makes one of it by itself, which takes a third of the
        time that `transaction` does.
        """
        if not self._connection.in_transaction:
            self._flush_at_commits(False)
        return self.change(sql, *values)

    def change_many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Execute a change once for each of the ``rows`` of values, in a transaction that is under way."""
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _in_words(self._path, error) from error

    def insert_many(
        self, table: str, common: Mapping[str, object], columns: Sequence[str], rows: Sequence[Sequence[object]]
    ) -> None:
        """Insert ``rows`` of ``columns``, in a transaction that is under way; ``common`` columns are the same in each.

        It takes half the time that one statement for each takes, and far less where another thread is at work: that
        one has Python's lock while SQLite executes a statement, and gives it back when it likes.
        """
        names = (*common, *columns)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            self.change(_insertion(table, names, len(common), len(some)), *common.values(), *chain.from_iterable(some))

    def insert(self, sql: str, *values: object) -> int:
        """Execute an INSERT of one row; return the row's id."""
        try:
            return self._connection.execute(sql, values).lastrowid or 0
        except sqlite3.Error as error:
            raise _in_words(self._path, error) from error

    @contextlib.contextmanager
    def transaction(self, durable: bool = True, is_bulk: bool = False) -> Iterator[None]:
        """Changes inside are kept together, or, if an exception leaves the block, undone together.

        Transactions may be nested; what an inner one kept is on disk when the outermost ends. Then it has been flushed
        to disk if the outermost is ``durable``; if not, a power cut (but no crash of this program) can undo it. An
        outermost one that ``is_bulk`` is quicker with very many small changes, and takes more memory for large ones.
        """
        if self._connection.in_transaction:
            bracket = self._bracket("SAVEPOINT inner", "RELEASE inner", "ROLLBACK TO inner", "RELEASE inner")
        else:
            self._flush_at_commits(durable)
            self._undo_in_memory(is_bulk)
            bracket = self._bracket("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
        with bracket:
            yield

    def bulk(self, durable: bool = True) -> contextlib.AbstractContextManager[None]:
        """A transaction for very many small changes, or a part of the one that is under way.

        An exception that leaves such a part must leave the whole, too, by which it is undone.
        """
        return contextlib.nullcontext() if self._connection.in_transaction else self.transaction(durable, is_bulk=True)

    def _undo_in_memory(self, in_memory: bool) -> None:
        """Say where SQLite keeps what it would undo a single statement, or an inner transaction, with.

        As a file, which large ones need, that costs dozens of writes for every row whose change has triggers.
        """
        if in_memory is not self._undoes_in_memory:
            self.change(f"PRAGMA temp_store = {'MEMORY' if in_memory else 'DEFAULT'}")
            self._undoes_in_memory = in_memory

    def _flush_at_commits(self, flush: bool) -> None:
        if flush is not self._flushes:
            self.change(f"PRAGMA synchronous = {'FULL' if flush else 'NORMAL'}")
            self._flushes = flush

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Queries inside see one state of the database, whatever is changed meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        with self._bracket("BEGIN", "COMMIT", "ROLLBACK"):
            yield

    @contextlib.contextmanager
    def _bracket(self, begin: str, keep: str, *undo: str) -> Iterator[None]:
        self.change(begin)
        try:
            yield
            self.change(keep)
        except BaseException:
            with contextlib.suppress(LedgerError):  # after a full disk, SQLite may have undone it by itself
                for step in undo:
                    self.change(step)
            raise

    def _recognise(self, schema: Schema) -> int:
        """Return the version of the file, 0 if there is nothing in it."""
        version: int = self._pragma("user_version")
        is_blank = version == 0 and not self.rows("SELECT 1 FROM sqlite_master LIMIT 1")
        if not is_blank and self._pragma("application_id") != schema.application_id:
            raise LedgerError(f"{self._path} belongs to another program.", "Choose another state folder.")
        if version > schema.version:
            raise LedgerError(
                f"{self._path} was written by a later version of monet-watch: its record has version {version},"
                f" this program knows versions up to {schema.version}.",
                f"Install the later version again. {_START_AFRESH.replace('Move it away', 'Or move the file away')}",
            )
        return version

    def _prepare(self) -> None:
        mode = self._pragma("journal_mode = WAL")
        if mode != "wal":
            raise LedgerError(
                f"The disk of {self._path} does not support SQLite's write-ahead log.",
                "Choose a state folder on a local disk (`state:` in the config).",
            )
        self._pragma(f"journal_size_limit = {_LARGEST_REST_BYTES}")
        self.change("PRAGMA foreign_keys = ON")
        self._pragma(f"wal_autocheckpoint = {_LOG_PAGES}")
        self.change(f"PRAGMA cache_size = -{_CACHE_KIBI}")

    def _check(self) -> None:
        verdict = self._pragma("quick_check(1)")
        if verdict != "ok":
            raise LedgerError(f"{self._path} is damaged: {verdict}.", _START_AFRESH)

    def _migrate(self, schema: Schema) -> None:
        with self.transaction():
            for version in range(self._pragma("user_version"), schema.version):
                for statement in schema.migrations[version]:
                    self.change(statement)
                self.change(f"PRAGMA application_id = {schema.application_id}")
                self.change(f"PRAGMA user_version = {version + 1}")

    def _pragma(self, words: str) -> Any:
        return self.rows(f"PRAGMA {words}")[0][0]


@lru_cache
def _insertion(table: str, names: Sequence[str], common: int, rows: int) -> str:
    """The statement that inserts so many ``rows``; the first values are those that are ``common`` to all of them."""
    own = len(names) - common
    shared = range(1, 1 + common)
    marks = (
        ", ".join(f"?{number}" for number in (*shared, *range(1 + common + row * own, 1 + common + (row + 1) * own)))
        for row in range(rows)
    )
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({'), ('.join(marks)})"


def _connect(path: Path, how: str) -> sqlite3.Connection:
    with _translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?{how}", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
        )
    connection.row_factory = sqlite3.Row
    return connection


@contextlib.contextmanager
def _closed_on_error(database: Database) -> Iterator[Database]:
    try:
        yield database
    except BaseException:
        database.close()
        raise


def _require(path: Path) -> None:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _nothing_yet(path) from error
    except OSError as error:
        remedy = "Check its permissions, or ask as the user whom the daemon runs as, or as root."
        raise LedgerError(f"{path} cannot be read: {error.strerror or error}.", remedy) from error


def _nothing_yet(path: Path) -> LedgerError:
    return LedgerError(
        f"Nothing has been painted yet: there is no record at {path}.",
        "Start `monet-watch run`, or name the config (or the inbox and outbox) that it was started with.",
    )


def _is_at_rest(path: Path, error: LedgerError) -> bool:
    """Whether ``error`` says that SQLite could not make the files of a log, and there is nothing to read in one."""
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error) or _code(cause) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return False
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size == 0
    except OSError:
        return True


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(path, error) from error


def _in_words(path: Path, error: sqlite3.Error) -> LedgerError:
    reason, code = str(error), _code(error)
    kind = LedgerUnavailableError if code in _UNAVAILABLE else LedgerError
    return kind(f"The record {path} cannot be used: {reason}.", _REMEDIES.get(code, ""))


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 for what Python's module raises by itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
