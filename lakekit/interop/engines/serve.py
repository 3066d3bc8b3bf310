"""Serves one engine over pipes: a request is a line {"op": ..., its arguments},
the answer a line {"result": ...} or {"error": ...}. Ends with the input."""

import json
import os
import sys
import time

os.environ["TZ"] = "UTC"
time.tzset()
# What libraries and the JVM print goes to the log and not between the answers.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import pyarrow


def save(table, into):
    """Writes an Arrow table where the test reads it."""
    with pyarrow.OSFile(into, "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def load(path):
    with pyarrow.OSFile(path, "rb") as file:
        return pyarrow.ipc.open_file(file).read_all()


def serve(engine):
    print(json.dumps({"result": engine.version}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(engine, request.pop("op"))(**request)}
        except Exception as e:
            lines = [line for line in str(e).splitlines() if not line.startswith("\tat ")]
            answer = {"error": f"{type(e).__name__}: " + "\n".join(lines)}
        print(json.dumps(answer), file=answers, flush=True)
