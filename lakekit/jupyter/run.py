"""Executes notebooks in order, each in a fresh kernel, and writes the executed
copies and their HTML pages into a folder.

    run.py --out out -p Records=20000 notebooks/01_*.ipynb notebooks/02_*.ipynb

A failing cell ends the run with exit status 1, after its source, its error and
the log files to read have been shown.
"""

import argparse
import glob
import json
import os
import re
import signal
import statistics
import sys
import textwrap
import time
from html.parser import HTMLParser

import nbformat
from jupyter_client.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import parameters
from pages import title_of, write_page

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# A program that fails by its own exit status fails its cell, but one started
# with ! in a cell only leaves this line behind.
FAILED_COMMAND = re.compile(r"^(exit status [1-9]|signal:)", re.MULTILINE)
NO_REASON = re.compile(r"\s*exit status \d+\s*")
SHOWN_LINES = 40
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """A cell failed; the text says how."""


def main():
    options = parse_arguments()
    signal.signal(signal.SIGTERM, interrupted)
    notebooks = [nbformat.read(path, as_version=4) for path in options.notebooks]
    try:
        parameters.inject(notebooks, options.parameters)
    except ValueError as error:
        sys.exit(f"run.py: {error}")
    names = [os.path.splitext(os.path.basename(path))[0] for path in options.notebooks]
    lessons = [(name, title_of(notebook) or name) for name, notebook in zip(names, notebooks)]
    os.makedirs(options.out, exist_ok=True)

    runs = []
    for path, (name, title), notebook in zip(options.notebooks, lessons, notebooks):
        print(f"{name}: {title}", flush=True)
        folder = os.path.dirname(os.path.abspath(path))
        started = time.monotonic()
        cells = []
        failure = None
        try:
            for seconds in execute(notebook, folder, options.timeout):
                cells.append(round(seconds, 3))
        except CellFailed as error:
            failure = error
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(130)
        finally:
            runs.append({"notebook": name, "seconds": round(time.monotonic() - started, 1), "cells": cells,
                         "failed": failure is not None})
            save(notebook, name, lessons, folder, runs, options)
        if failure:
            sys.exit(f"\n{path} failed.\n{failure}\n{logs_to_read()}")
    count = sum(len(run["cells"]) for run in runs)
    median = statistics.median([s for run in runs for s in run["cells"]] or [0])
    print(f"{len(runs)} notebooks, {count} cells in {sum(run['seconds'] for run in runs):.1f} s, "
          f"median {median:.2f} s a cell")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", metavar="NOTEBOOK")
    parser.add_argument("--out", default="out", help="folder for executed notebooks, pages and run.json (default: out)")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
                        help="value for a constant of the cells tagged 'parameters'")
    parser.add_argument("--timeout", type=int, default=300, help="seconds a cell may take (default: 300)")
    parser.add_argument("--no-html", dest="html", action="store_false", help="write no pages")
    return parser.parse_args()


def interrupted(*_):
    raise KeyboardInterrupt


def execute(notebook, folder, timeout):
    """Runs all code cells; yields the seconds each took. Raises CellFailed."""
    client = NotebookClient(notebook, timeout=timeout, shutdown_kernel="immediate",
                            resources={"metadata": {"path": folder}})
    titles = cell_titles(notebook)
    try:
        with client.setup_kernel():
            for number, (index, title) in enumerate(titles.items(), 1):
                print(f"  {number:3}/{len(titles):<3} {title:58.58}", end=" ", flush=True)
                started = time.monotonic()
                try:
                    run_cell(client, index, f"{number} ({title})")
                except BaseException:
                    # GoNB ends the cell's program and removes its folder; what it leaves is killed with it.
                    print()
                    end_kernel(client)
                    raise
                seconds = time.monotonic() - started
                print(f"{seconds:6.1f} s", flush=True)
                yield seconds
            end_kernel(client)
    except (RuntimeError, DeadKernelError) as error:
        raise CellFailed(f"The Go kernel did not start, or died: {error}") from None


def run_cell(client, index, label):
    cell = client.nb.cells[index]
    try:
        client.execute_cell(cell, index)
        stderr = "".join(output.text for output in cell.outputs
                         if output.output_type == "stream" and output.name == "stderr")
        if not FAILED_COMMAND.search(stderr):
            return
        reason = stderr
    except CellTimeoutError:
        reason = f"It took longer than the {client.timeout} s a cell may take."
    except CellExecutionError:
        reason = error_text(cell.outputs)
    if NO_REASON.fullmatch(reason):
        reason = f"{last_text(cell.outputs)}\n{reason.strip()}"
    raise CellFailed(f"Cell {label}:\n\n{numbered(cell.source)}\n\nError:\n\n"
                     f"{textwrap.indent(ANSI.sub('', reason).strip(), '    ')}\n")


def end_kernel(client):
    run_sync(client.km.interrupt_kernel)()
    run_sync(client.km.shutdown_kernel)(now=False)


def numbered(source):
    return "\n".join(f"{number:4}  {line}" for number, line in enumerate(source.splitlines(), 1))


def cell_titles(notebook):
    """Maps the index of each code cell to the heading above it, or to its own
    first line where an earlier cell has taken the heading."""
    titles = {}
    heading = None
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            headings = re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)
            heading = headings[-1] if headings else heading
        elif cell.cell_type == "code" and cell.source.strip():
            body = cell.source.rpartition("%%\n")[2].strip()
            titles[index] = heading or body.splitlines()[0].lstrip("/ ")
            heading = None
    return titles


def error_text(outputs):
    """What a failed cell wrote to stderr; GoNB shows compile errors as HTML only."""
    stderr = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stderr")
    pages = [output.data["text/html"] for output in outputs
             if output.output_type == "display_data" and "gonb-err-location" in output.data.get("text/html", "")]
    if stderr.strip() or not pages:
        return stderr or "\n".join(output.evalue for output in outputs if output.output_type == "error")
    reader = ErrorReader()
    for page in pages:
        reader.feed(page)
    return re.sub(r"\n\s*\n+", "\n", "".join(reader.text))


def last_text(outputs):
    """The end of what a cell showed last, such as the checks that failed it."""
    texts = [output.data.get("text/plain", "") for output in outputs
             if output.output_type in ("display_data", "execute_result")]
    lines = next((text for text in reversed(texts) if text.strip()), "").strip().splitlines()
    return "\n".join((["..."] if len(lines) > SHOWN_LINES else []) + lines[-SHOWN_LINES:])


class ErrorReader(HTMLParser):
    """Collects the text of GoNB's error display, without styles and the source
    around the line that is shown on hovering."""

    def __init__(self):
        super().__init__()
        self.text = []
        self.hidden = []

    def handle_starttag(self, tag, attributes):
        if self.hidden or tag == "style" or ("class", "gonb-err-context") in attributes:
            self.hidden.append(tag)

    def handle_endtag(self, _):
        if self.hidden:
            self.hidden.pop()

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)


def save(notebook, name, lessons, folder, runs, options):
    nbformat.write(notebook, os.path.join(options.out, name + ".ipynb"))
    if options.html:
        write_page(notebook, name, lessons, folder, options.out, os.path.join(ROOT, ".jupyter", "echarts.js"))
    with open(os.path.join(options.out, "run.json"), "w", encoding="utf-8") as file:
        json.dump(runs, file, indent=1)


def logs_to_read():
    state = os.environ.get("LAKEKIT_STATE") or os.path.join(ROOT, ".lakekit")
    logs = sorted(glob.glob(os.path.join(state, "log", "*.log"))) + [os.path.join(ROOT, ".jupyter", "gonb.log")]
    return "Logs to read:\n" + "\n".join("    " + os.path.relpath(log) for log in logs)


if __name__ == "__main__":
    main()
