"""Reads the output of `go test -bench` and prints the median of each
benchmark's measurements, unit by unit."""

import collections
import statistics
import sys

package = ""
measured = collections.defaultdict(lambda: collections.defaultdict(list))
for line in sys.stdin:
    words = line.split()
    if line.startswith("pkg: "):
        package = words[1]
    elif line.startswith("Benchmark") and len(words) > 3:
        for value, unit in zip(words[2::2], words[3::2]):
            measured[package, words[0]][unit].append(float(value))

shown = None
for (package, name), units in measured.items():
    if package != shown:
        print(package)
        shown = package
    medians = "  ".join(f"{statistics.median(values):14,.6g} {unit}" for unit, values in units.items())
    print(f"  {name[len('Benchmark'):]:44} {medians}")
