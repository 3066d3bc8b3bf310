"""Reads `go test -json` and prints a line for each package with its seconds
and counts, and the output of what failed. Ends with the counts, and appends
them to the file named by COUNTS. Tests and subtests count alike."""

import collections
import json
import os
import sys


def main():
    total = collections.Counter()
    counts = collections.defaultdict(collections.Counter)
    output = collections.defaultdict(list)
    skipped = []
    for line in sys.stdin:
        try:
            event = json.loads(line)
        except ValueError:
            print(line, end="")  # go itself, for example of a module that is missing
            continue
        package, test, action = event.get("Package", event.get("ImportPath", "")), event.get("Test"), event["Action"]
        if action in ("output", "build-output"):
            output[package, test].append(event["Output"])
        elif action == "build-fail":
            print("".join(output.pop((package, None), [])), end="")
        elif action not in ("pass", "fail", "skip"):
            continue
        elif test:
            counts[package][action] += 1
            total[action] += 1
            if action == "fail":
                print("".join(output[package, test]), end="")
            elif action == "skip":
                reason = [part for part in output[package, test] if not part.startswith(("===", "---"))]
                skipped.append(f"{package}.{test}: {''.join(reason).strip() or 'skipped'}")
            output.pop((package, test), None)
        else:
            count = counts[package]
            if action == "fail" and not count["fail"]:  # did not build, or ended before its tests did
                print("".join(output[package, None]), end="")
                count["fail"] += 1
                total["fail"] += 1
            if sum(count.values()):
                print(f"  {'ok    ' if action != 'fail' else 'FAILED'} {event.get('Elapsed', 0):7.1f} s"
                      f" {count['pass']:5} passed {count['fail']:3} failed {count['skip']:3} skipped  {package}",
                      flush=True)
    for test in skipped:
        print(f"  skipped {test}")

    passed, failed = total["pass"], total["fail"]
    if not passed + failed + total["skip"]:
        print("go test ran no test")
        failed = 1
    if "COUNTS" in os.environ:
        with open(os.environ["COUNTS"], "a", encoding="utf-8") as file:
            print(passed, failed, total["skip"], file=file)
    print(f"go test: {passed} passed, {failed} failed, {total['skip']} skipped")
    sys.exit(failed > 0)


main()
