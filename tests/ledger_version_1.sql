BEGIN TRANSACTION;
PRAGMA application_id = 1297043031;
PRAGMA user_version = 1;
CREATE TABLE attempts (
                job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
                number INTEGER NOT NULL,
                worker TEXT NOT NULL,
                started_at REAL NOT NULL,
                ended_at REAL,
                outcome TEXT NOT NULL DEFAULT '',
                detail TEXT NOT NULL DEFAULT '',
                PRIMARY KEY (job_id, number)
            );
INSERT INTO "attempts" VALUES(6,1,'cpu',1700000013.0,NULL,'','');
INSERT INTO "attempts" VALUES(7,1,'cpu',1700000016.0,1700000017.0,'done','');
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
            );
INSERT INTO "jobs" VALUES(1,X'686F6C696461792F632E6A7067','queued',1,1000,'5','photo c','key','c',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'','','','',1700000002.0,1700000001.0,NULL,NULL);
INSERT INTO "jobs" VALUES(2,X'686F6C696461792F612E6A7067','queued',2,1000,'5','photo a','key','a',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'','','','',1700000004.0,1700000003.0,NULL,NULL);
INSERT INTO "jobs" VALUES(3,X'686F6C696461792F622E6A7067','queued',3,1000,'5','photo b','key','b',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'','','','',1700000006.0,1700000005.0,NULL,NULL);
INSERT INTO "jobs" VALUES(4,X'746F702E6A7067','queued',4,1000,'5','photo t','key','t',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'','','','',1700000008.0,1700000007.0,NULL,NULL);
INSERT INTO "jobs" VALUES(5,X'686F6C696461792F636166E92F646565702E6A7067','queued',5,1000,'5','photo d','key','d',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'','','','',1700000010.0,1700000009.0,NULL,NULL);
INSERT INTO "jobs" VALUES(6,X'686F6C696461792F72756E732E6A7067','running',6,1000,'5','photo r','key','r',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,1,0,400,NULL,NULL,NULL,NULL,'','','','cpu',1700000012.0,1700000011.0,1700000013.0,NULL);
INSERT INTO "jobs" VALUES(7,X'686F6C696461792F646F6E652E6A7067','done',7,1000,'5','photo x','key','x',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',X'686F6C696461792F646F6E652D78',X'686F6C696461792F646F6E652D78',1,0,400,NULL,NULL,NULL,NULL,'','','','cpu',1700000015.0,1700000014.0,1700000016.0,1700000018.0);
INSERT INTO "jobs" VALUES(8,X'62726F6B656E2E6A7067','problem',8,1000,'5','photo p','key','p',X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2',NULL,NULL,0,0,400,NULL,NULL,NULL,NULL,'NotAPhotoError','It is text.','Replace it.','',1700000020.0,1700000019.0,NULL,1700000022.0);
INSERT INTO "jobs" VALUES(9,X'686F6C696461792F6C6174652E6A7067','waiting',9,10,'1',NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,NULL,NULL,'','It is on its way.','','',1700000023.0,NULL,NULL,NULL);
CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "notes" VALUES('heartbeat','0');
CREATE TABLE plans (digest BLOB PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO "plans" VALUES(X'3E41B1699F4482620570219E46425991B18E043821A9B7640075AD88CCE543D2','{"steps": 400}');
CREATE UNIQUE INDEX job_of_identity ON jobs (path, identity);
CREATE UNIQUE INDEX one_unfinished_of_path ON jobs (path) WHERE state IN ('waiting', 'queued', 'problem');
CREATE UNIQUE INDEX one_running_of_path ON jobs (path) WHERE state = 'running';
CREATE UNIQUE INDEX one_running_of_identity ON jobs (identity) WHERE state = 'running';
CREATE INDEX jobs_of_path ON jobs (path, turn, finished_at);
CREATE INDEX jobs_by_turn ON jobs (turn);
CREATE INDEX jobs_in_queue ON jobs (state, queued_at);
CREATE INDEX jobs_seen ON jobs (state, seen_at);
CREATE INDEX jobs_ended ON jobs (state, finished_at);
CREATE INDEX jobs_of_identity ON jobs (identity, state, finished_at);
CREATE INDEX jobs_of_folder ON jobs (folder_key);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',9);
COMMIT;
