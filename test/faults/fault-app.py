"""The app that the fault runner's clients talk to, by themselves or through doors: HTTP in front of one table in app.db. Ends
with its node.

Arguments: port, and a file that gets a line with each value that it is asked to write, before it does. All times are
CLOCK_MONOTONIC in milliseconds, the same for all processes of the machine.

POST /write {"value", "holdMs"}: commits a row, after keeping its transaction open for so long. Answers its id, and when the
commit began and was done.
GET /read?id=1&id=2: the newest row of a snapshot, and the values that it has at the given ids, null for none.
"""
import json
import os
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

path = os.path.join(os.environ["SKEIN_DIR"], "app.db")
node = os.environ["FLY_MACHINE_ID"]
arrivals = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
local = threading.local()


def connection():
    if not hasattr(local, "connection"):
        # Not made by a reader: a file without a table says nothing.
        local.connection = sqlite3.connect(path, timeout=1, isolation_level=None)
    return local.connection


def milliseconds():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1e6


def write(asked):
    os.write(arrivals, (asked["value"] + "\n").encode())
    database = connection()
    if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        database.execute("PRAGMA journal_mode=WAL")
    database.execute("BEGIN IMMEDIATE")
    try:
        database.execute(
            "CREATE TABLE IF NOT EXISTS mark (id INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT, node TEXT, note BLOB)"
        )
        # Not a unique one: what comes twice is to be seen.
        database.execute("CREATE INDEX IF NOT EXISTS mark_value ON mark (value)")
        row = database.execute(
            "INSERT INTO mark (value, node, note) VALUES (?, ?, ?)", (asked["value"], node, os.urandom(100))
        )
        time.sleep(asked["holdMs"] / 1000)
        begun = milliseconds()
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return {"id": row.lastrowid, "begunMs": begun, "doneMs": milliseconds()}


def read(asked):
    ids = [int(id) for id in asked.get("id", [])]
    if not os.path.exists(path):
        return {"id": 0, "value": None, "known": [None for _ in ids], "pid": os.getpid()}
    database = connection()
    database.execute("BEGIN")
    try:
        if database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'mark'").fetchone()[0] == 0:
            return {"id": 0, "value": None, "known": [None for _ in ids], "pid": os.getpid()}
        last = database.execute("SELECT id, value FROM mark ORDER BY id DESC LIMIT 1").fetchone() or (0, None)
        rows = [database.execute("SELECT value FROM mark WHERE id = ?", (id,)).fetchone() for id in ids]
        return {"id": last[0], "value": last[1], "known": [row and row[0] for row in rows], "pid": os.getpid()}
    finally:
        database.execute("ROLLBACK")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body waits for the acknowledgement of the head.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        self.answer(read, parse_qs(urlsplit(self.path).query))

    def do_POST(self):
        self.answer(write, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, act, asked):
        try:
            status, answer = 200, act(asked)
        except sqlite3.Error as error:
            status, answer = 503, {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
