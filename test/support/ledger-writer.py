"""Writes to a ledger as fast as it can, one line with the number of its last commit after each. Ends with its input.

Arguments: database, name of this writer, pause after each commit in milliseconds.
"""
import os
import random
import select
import sqlite3
import sys
import time

path, name, pause_ms = sys.argv[1], sys.argv[2], float(sys.argv[3])
connection = sqlite3.connect(path, timeout=30, isolation_level=None)
connection.execute("PRAGMA synchronous=NORMAL")
number = connection.execute("SELECT coalesce(max(number), 0) FROM entry WHERE writer = ?", (name,)).fetchone()[0]

while True:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    if ready:
        break
    number += 1
    amount = random.randint(1, 100)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE checking SET balance = balance - ? WHERE id = ?", (amount, random.randint(1, 50)))
    connection.execute("UPDATE savings SET balance = balance + ? WHERE id = ?", (amount, random.randint(1, 50)))
    connection.execute("UPDATE counter SET value = value + 1")
    connection.execute(
        "INSERT INTO entry (writer, number, note) VALUES (?, ?, ?)",
        (name, number, os.urandom(random.randint(10, 400))),
    )
    connection.execute("COMMIT")
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()
    if pause_ms > 0:
        time.sleep(pause_ms / 1000)
connection.close()
