"""Prints what a run of the course came to: summary.py FOLDER reads what
course.sh and run.py left there."""

import datetime
import json
import os
import statistics
import sys


def main(folder):
    verdict = read(folder, "verify.json")
    runs = read(folder, "run.json") or []
    with open(os.path.join(folder, "parts.tsv"), encoding="utf-8") as file:
        parts = [line.rstrip("\n").split("\t") for line in file]

    print("\n== Summary")
    for name, seconds in parts:
        row(name, f"{int(seconds):,} s")
        if name == "Lessons":
            for run in runs:
                row("  " + run["notebook"], f"{run['seconds']:,.1f} s")
    cells = [seconds for run in runs for seconds in run["cells"]]
    if cells:
        row("Cells", f"{len(cells)}, median {statistics.median(cells):.2f} s")

    for label, rate in rates(read(folder, "traffic.json") or [], read(folder, "history.json") or []):
        row(label, f"{rate:,.0f} records/s")
    for label, key in (("Records produced", "produced"), ("Rows in the table", "rows"),
                       ("Dead letters", "dead_letters"), ("Table version", "version")):
        if key in verdict:
            row(label, f"{verdict[key]:,}")
    for check in verdict.get("checks", []):
        row("ok" if check["ok"] else "FAILED", check["name"] + (f": {check['detail']}" if check.get("detail") else ""))
    row("Verdict", "every record arrived exactly once" if verdict.get("ok") else "FAILED")

    for service in read(folder, "status.json") or []:
        if service.get("resident_bytes"):
            row("Memory of " + service["service"], f"{service['resident_bytes'] / 2**20:,.0f} MiB")
    row("Pages", os.path.join(folder, "*.html"))
    row("Notebooks", os.path.join(folder, "*.ipynb"))


def rates(runs, history):
    """The pace of the largest run as fast as it goes, of the longest run at a
    given rate, and of the largest batch, from the commit before to its own."""
    def pace(run):
        return run["progress"]["acknowledged"] / run["progress"]["elapsedSeconds"]

    ended = [run for run in runs if run["progress"]["elapsedSeconds"] > 0 and not run.get("interrupted")]
    fast = [run for run in ended if run["request"]["rate"] == 0]
    if fast:
        yield "Backlog produced", pace(max(fast, key=lambda run: run["progress"]["acknowledged"]))
    batches = [(int(later["operationMetrics"]["numOutputRows"]), moment(later) - moment(earlier))
               for later, earlier in zip(history, history[1:]) if later["operation"] == "STREAMING UPDATE"]
    if batches:
        rows, seconds = max(batches)
        yield "Backlog streamed", rows / max(seconds, 0.001)
    live = [run for run in ended if run["request"]["rate"] > 0]
    if live:
        yield "Live traffic", pace(max(live, key=lambda run: run["progress"]["elapsedSeconds"]))


def moment(commit):
    # Not fromisoformat: before Python 3.11 it wants three or six digits after the point.
    whole, _, fraction = commit["timestamp"].rstrip("Z").partition(".")
    return datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").timestamp() + float("0." + (fraction or "0"))


def read(folder, name):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def row(label, value):
    print(f"  {label:24} {value}")


if __name__ == "__main__":
    main(sys.argv[1])
