"""Reads a ledger in a loop, and checks in every snapshot what holds in all of them. Ends with its input.

Argument: database. Prints a line of JSON for the first read that is wrong, and one with the number of reads at the end.
"""
import json
import select
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
reads = 0
last = -1


def fail(what):
    print(json.dumps({"wrong": what, "reads": reads}), flush=True)
    sys.exit(1)


while True:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    if ready:
        break
    try:
        connection.execute("BEGIN")
        counter = connection.execute("SELECT value FROM counter").fetchone()[0]
        checking = connection.execute("SELECT sum(balance) FROM checking").fetchone()[0]
        savings = connection.execute("SELECT sum(balance) FROM savings").fetchone()[0]
        entries = connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()[0]
        again = connection.execute("SELECT value FROM counter").fetchone()[0]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        fail(f"error: {error}")
    if checking + savings != 0:
        fail(f"torn: {checking} and {savings} are not 0 together")
    if counter != entries:
        fail(f"torn: counter {counter}, entries {entries}")
    if again != counter:
        fail(f"moved within a snapshot: {counter}, then {again}")
    if counter < last:
        fail(f"step back: {last}, then {counter}")
    last = counter
    reads += 1
print(json.dumps({"reads": reads, "last": last}), flush=True)
