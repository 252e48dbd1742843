"""Count tests over everything from TAP, and say it in one line.

    tally.py FILE.tap…          count, name what failed, end with "N passed, N failed, N skipped"
    tally.py --meson LOG.json   print what meson's test programs said as one TAP stream

A result counts when it is a leaf: a node suite's own line sums up the lines indented under it. What
fails without a line of its own counts too: a program that crashed, a plan that was not kept, a stage
that ended with an error although every line says ok.
"""
import json
import re
import sys

RESULT = re.compile(r"^( *)(not ok|ok)\b(?: +\d+)?(?: *-)? *(.*?)(?: *# *(skip|todo)\b.*)?$", re.I)
PLAN = re.compile(r"^( *)1\.\.(\d+)")
EXIT = re.compile(r"^# exit (\d+)$")


class Count:
    def __init__(self):
        self.passed = self.skipped = 0
        self.failed = []  # titles

    def add(self, is_ok, title, mark):
        if mark == "skip":
            self.skipped += 1
        elif is_ok or mark == "todo":
            self.passed += 1
        else:
            self.failed.append(title)


def count_tap(lines, source, count):
    """Add a stream's leaves to count."""
    below = {}  # indent -> (results deeper than this since the last one here, failures among them)
    top, planned, code, failed_before = 0, None, 0, len(count.failed)
    in_yaml = None
    for line in lines:
        if in_yaml is not None:  # a block of details under a result
            if line == in_yaml + "...":
                in_yaml = None
            continue
        if line.strip() == "---":
            in_yaml = line[: len(line) - 3]
            continue
        if match := EXIT.match(line):
            code = int(match.group(1))
        elif (match := PLAN.match(line)) and not match.group(1):
            planned = int(match.group(2))
        elif match := RESULT.match(line):
            indent, is_ok = len(match.group(1)), match.group(2).lower() == "ok"
            title, mark = f"{source}: {match.group(3)}", (match.group(4) or "").lower()
            top += indent == 0
            children, bad_children = 0, 0
            for depth in [d for d in below if d > indent]:
                children += below[depth][0]
                bad_children += below[depth][1]
                del below[depth]
            here = below.setdefault(indent, [0, 0])
            here[0] += 1
            here[1] += not is_ok and mark != "todo"
            if children == 0 or (not is_ok and bad_children == 0):
                count.add(is_ok, title, mark)
    if planned is not None and planned != top and code == 0:
        count.failed.append(f"{source}: {top} results where {planned} were planned")
    elif code != 0 and len(count.failed) == failed_before:
        count.failed.append(f"{source}: ended with code {code}")
    elif top == 0 and planned is None:
        count.failed.append(f"{source}: no results")


def number_streams(streams):
    """Join TAP streams into one."""
    number = 0
    for name, text, code in streams:
        one = Count()
        count_tap(text.splitlines() + [f"# exit {code}"], name, one)
        said = ""  # the last comment: where a test says why it skips
        for line in text.splitlines():
            match = RESULT.match(line)
            if match and not match.group(1):
                number += 1
                title = re.sub(r"^(not ok|ok)(?: +\d+)?(?: *-)? *", "", line)
                reason = f" {said}" if title.upper().endswith("# SKIP") else ""
                print(f"{match.group(2).lower()} {number} - {name}: {title}{reason}")
                said = ""
            elif line.startswith("# "):
                said = line[2:]
        lines_failed = sum(1 for line in text.splitlines() if line.startswith("not ok"))
        if len(one.failed) > lines_failed:
            number += 1
            print(f"not ok {number} - {one.failed[-1]}")
    print(f"1..{number}")


def meson_streams(path):
    with open(path) as f:
        for line in f:
            test = json.loads(line)
            code = test["returncode"]
            if test["result"] in ("TIMEOUT", "INTERRUPT"):
                code = 124
            yield test["name"], test.get("stdout", ""), code


def main():
    if sys.argv[1:2] == ["--meson"]:
        number_streams(meson_streams(sys.argv[2]))
        return 0
    count = Count()
    for path in sys.argv[1:]:
        with open(path, errors="replace") as f:
            count_tap(f.read().splitlines(), path.rsplit("/", 1)[-1].removesuffix(".tap"), count)
    for title in count.failed:
        print(f"FAILED {title}")
    print(f"{count.passed} passed, {len(count.failed)} failed, {count.skipped} skipped")
    return 1 if count.failed else 0


sys.exit(main())
