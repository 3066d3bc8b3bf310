"""Fails for notebooks that hold results: outputs and execution counts belong
to the copies in out/, not into git."""

import json
import sys

problems = []
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        notebook = json.load(file)
    if notebook["metadata"].get("kernelspec", {}).get("name") != "gonb":
        problems.append(f"{path}: its kernel is not gonb")
    for number, cell in enumerate(notebook["cells"], 1):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            problems.append(f"{path}: cell {number} has outputs; in JupyterLab: Kernel, Restart Kernel and Clear Outputs")
if problems:
    sys.exit("\n".join(problems))
