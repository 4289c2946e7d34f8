"""The ledger's tables, and how those of earlier versions become them: each step is one migration, none is ever changed.

What a row of ``jobs`` means is told in `monet_watch.ledger`.
"""

from monet_watch.database import Schema

__all__ = ["SCHEMA", "TO_BE_PAINTED", "UNFINISHED"]

UNFINISHED = "state IN ('waiting', 'queued', 'problem')"
"""The condition that a row tells what is to become of the photo that lies at its path: it neither runs nor is done."""

TO_BE_PAINTED = "state IN ('waiting', 'queued', 'running')"
"""The condition that a row's painting is still to come."""

_ONE_MORE = "INSERT INTO counts VALUES (NEW.state, 1) ON CONFLICT DO UPDATE SET number = number + 1;"
_ONE_LESS = "UPDATE counts SET number = number - 1 WHERE state = OLD.state;"

_ONE_MORE_QUEUED = (
    "INSERT INTO queued_plans SELECT NEW.plan, 1 WHERE NEW.state = 'queued' AND NEW.plan IS NOT NULL"
    " ON CONFLICT DO UPDATE SET number = number + 1;"
)
_ONE_LESS_QUEUED = "UPDATE queued_plans SET number = number - 1 WHERE plan = OLD.plan AND OLD.state = 'queued';"

SCHEMA = Schema(
    application_id=0x4D4F4E57,  # "MONW"
    migrations=(
        (
            # Plans are a few KiB each and the same for all photos of a folder, so they are kept once.
            "CREATE TABLE plans (digest BLOB PRIMARY KEY, text TEXT NOT NULL)",
            # Paths are what the file system has, which need not be UTF-8. A time of modification far in the future
            # has more than 64 bits of nanoseconds, so it is text. Ids are never used twice: a late word about a
            # forgotten job must not meet another.
            """
            CREATE TABLE jobs (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                path BLOB NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('waiting', 'queued', 'running', 'done', 'problem')),
                turn INTEGER NOT NULL,
                size INTEGER NOT NULL,
                mtime_ns TEXT NOT NULL,
                photo_sha256 TEXT,
                settings_key TEXT,
                identity TEXT,
                plan BLOB REFERENCES plans (digest),
                folder BLOB,
                folder_key BLOB,
                attempts INTEGER NOT NULL DEFAULT 0,
                step INTEGER NOT NULL DEFAULT 0,
                steps INTEGER NOT NULL DEFAULT 0,
                loss REAL,
                seconds_per_step REAL,
                width INTEGER,
                height INTEGER,
                kind TEXT NOT NULL DEFAULT '',
                reason TEXT NOT NULL DEFAULT '',
                remedy TEXT NOT NULL DEFAULT '',
                worker TEXT NOT NULL DEFAULT '',
                seen_at REAL NOT NULL,
                queued_at REAL,
                started_at REAL,
                finished_at REAL,
                CHECK (identity IS NOT NULL OR state IN ('waiting', 'problem'))
            )
            """,
            "CREATE UNIQUE INDEX job_of_identity ON jobs (path, identity)",
            f"CREATE UNIQUE INDEX one_unfinished_of_path ON jobs (path) WHERE {UNFINISHED}",
            "CREATE UNIQUE INDEX one_running_of_path ON jobs (path) WHERE state = 'running'",
            "CREATE UNIQUE INDEX one_running_of_identity ON jobs (identity) WHERE state = 'running'",
            "CREATE INDEX jobs_of_path ON jobs (path, turn, finished_at)",
            "CREATE INDEX jobs_by_turn ON jobs (turn)",
            "CREATE INDEX jobs_in_queue ON jobs (state, queued_at)",
            "CREATE INDEX jobs_seen ON jobs (state, seen_at)",
            "CREATE INDEX jobs_ended ON jobs (state, finished_at)",
            "CREATE INDEX jobs_of_identity ON jobs (identity, state, finished_at)",
            "CREATE INDEX jobs_of_folder ON jobs (folder_key)",
            """
            CREATE TABLE attempts (
                job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
                number INTEGER NOT NULL,
                worker TEXT NOT NULL,
                started_at REAL NOT NULL,
                ended_at REAL,
                outcome TEXT NOT NULL DEFAULT '',
                detail TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (job_id, number)
            )
            """,
            "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        ),
        (
            # lane: the photo's folder in the inbox. round: when the job's turn comes, opened: when its batch's first
            # turn came. What was queued by an earlier version is one batch of each folder.
            "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN lane BLOB",
            "ALTER TABLE jobs ADD COLUMN round INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN opened INTEGER NOT NULL DEFAULT 0",
            # All that follows the last slash is cut off, then that.
            """
            UPDATE jobs SET lane =
                CAST(ifnull(nullif(rtrim(rtrim(path, replace(path, '/', '')), '/'), ''), '.') AS BLOB)
            """,
            """
            UPDATE jobs SET opened = 1, round = counted.number
            FROM (
                SELECT id, row_number() OVER (PARTITION BY lane ORDER BY queued_at, id) AS number
                FROM jobs WHERE state IN ('queued', 'running')
            ) AS counted WHERE counted.id = jobs.id
            """,
            "DROP INDEX jobs_in_queue",
            "CREATE INDEX jobs_in_turn ON jobs (state, priority DESC, round, queued_at)",
            "CREATE INDEX last_of_lane ON jobs (lane, priority, queued_at) WHERE state = 'queued'",
        ),
        (
            # How often in a row, and until when, a job was put off because of something that passes.
            "ALTER TABLE jobs ADD COLUMN put_off INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN retry_at REAL",
            "CREATE INDEX jobs_put_off ON jobs (retry_at) WHERE retry_at IS NOT NULL",
        ),
        (
            # In a round, the batches that began last come first: they are at their first photos.
            "DROP INDEX jobs_in_turn",
            "CREATE INDEX jobs_in_turn ON jobs (state, priority DESC, round, opened DESC, queued_at)",
            # How many jobs are in each state is asked for all the time, and to count a million takes a tenth of a
            # second.
            "CREATE TABLE counts (state TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
            "INSERT INTO counts SELECT state, count(*) FROM jobs GROUP BY state",
            f"CREATE TRIGGER job_made AFTER INSERT ON jobs BEGIN {_ONE_MORE} END",
            f"CREATE TRIGGER job_removed AFTER DELETE ON jobs BEGIN {_ONE_LESS} END",
            "CREATE TRIGGER job_moved AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state"
            f" BEGIN {_ONE_LESS} {_ONE_MORE} END",
        ),
        (
            # Every index costs time with each photo of a bulk, so each holds only what is looked for in it. Those that
            # begin with the path serve for its order as well, and the latest turn is remembered.
            "DROP INDEX jobs_of_path",
            "DROP INDEX jobs_by_turn",
            "DROP INDEX jobs_seen",
            "DROP INDEX jobs_ended",
            "DROP INDEX jobs_of_identity",
            "DROP INDEX jobs_of_folder",
            "DROP INDEX jobs_in_turn",
            "CREATE INDEX jobs_waiting ON jobs (seen_at) WHERE state = 'waiting'",
            "CREATE INDEX jobs_done ON jobs (finished_at) WHERE state = 'done'",
            "CREATE INDEX problems ON jobs (finished_at) WHERE state = 'problem'",
            "CREATE INDEX jobs_of_identity ON jobs (identity, state, finished_at) WHERE identity IS NOT NULL",
            "CREATE INDEX jobs_of_folder ON jobs (folder_key) WHERE folder_key IS NOT NULL",
            "CREATE INDEX jobs_in_turn ON jobs (priority DESC, round, opened DESC, queued_at) WHERE state = 'queued'",
        ),
        (
            # What remaining times are reckoned from: the steps of paintings under way, and what those that are done
            # took. And which settings wait, so that nobody has to count a long queue.
            """
            CREATE TABLE steps (
                job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
                number INTEGER NOT NULL,
                attempt INTEGER NOT NULL,
                loss REAL,
                seconds REAL NOT NULL,
                PRIMARY KEY (job_id, number)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE measures (
                job_id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
                device TEXT NOT NULL,
                last_step INTEGER NOT NULL,
                paces TEXT NOT NULL,
                other_seconds REAL NOT NULL,
                measured_at REAL NOT NULL
            )
            """,
            "CREATE INDEX measures_in_time ON measures (measured_at)",
            "CREATE TABLE queued_plans (plan BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
            "INSERT INTO queued_plans SELECT plan, count(*) FROM jobs WHERE state = 'queued' AND plan IS NOT NULL"
            " GROUP BY plan",
            f"CREATE TRIGGER plan_queued AFTER INSERT ON jobs BEGIN {_ONE_MORE_QUEUED} END",
            f"CREATE TRIGGER plan_removed AFTER DELETE ON jobs BEGIN {_ONE_LESS_QUEUED} END",
            "CREATE TRIGGER plan_moved AFTER UPDATE OF state, plan ON jobs"
            f" BEGIN {_ONE_LESS_QUEUED} {_ONE_MORE_QUEUED} END",
        ),
        (
            # What paintings under way look like, for a terminal.
            """
            CREATE TABLE sketches (
                job_id INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
                width INTEGER NOT NULL,
                height INTEGER NOT NULL,
                rgb BLOB NOT NULL
            )
            """,
        ),
        (
            # An identity falls anywhere among the others, which costs a photo of a bulk more than all else that is
            # written of it; so until it is painted its beginning has to do.
            "DROP INDEX job_of_identity",
            "DROP INDEX jobs_of_identity",
            "CREATE INDEX jobs_of_path ON jobs (path)",
            "CREATE UNIQUE INDEX one_painting_of_path ON jobs (path, identity) WHERE state = 'done'",
            "CREATE INDEX paintings_of_identity ON jobs (identity, finished_at) WHERE state = 'done'",
            f"CREATE INDEX jobs_to_be_painted ON jobs (substr(identity, 1, 16)) WHERE {TO_BE_PAINTED}",
        ),
    ),
)
