"""Prints what a run of the course came to: summary.py FOLDER reads what
course.sh and run.py left there."""

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
