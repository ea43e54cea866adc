"""One SQLite connection that another process drives: a line of JSON {"sql", "parameters"} in, {"rows"} or {"error"} out.

Arguments: database, busy timeout in milliseconds.
"""
import json
import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]) / 1000, isolation_level=None)
for line in sys.stdin:
    request = json.loads(line)
    try:
        rows = connection.execute(request["sql"], request["parameters"]).fetchall()
        answer = {"rows": rows}
    except sqlite3.Error as error:
        answer = {"error": getattr(error, "sqlite_errorname", type(error).__name__), "message": str(error)}
    print(json.dumps(answer, default=lambda value: value.hex()), flush=True)
