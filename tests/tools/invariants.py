"""docs/delivery.md names tests for I1 to I40: do they exist, and is any missing from the page?

    invariants.py ROOT            check (TAP)
    invariants.py ROOT --write    enter the tests that the page does not name yet

A named test is a C function test_…(void **state), or a file under tests/; a .test.js among them has a
title with the invariant in it. A test that carries an invariant in its name (test_i26_…, 'I26 …') and that
the page does not name is told as a comment: the page is then behind, not wrong.
"""
import os
import re
import sys

PAGE = "docs/delivery.md"
COUNT = 40
TITLE = re.compile(r"^\s*(?:test|it|describe)\(\s*['\"`]((?:I\d+[ ,:]+)+)", re.M)
ROW = re.compile(r"^\| I(\d+) \| (.*) \| ([^|]*) \|$")
NAMED = re.compile(r"`([^`]+)`")
DEFINED = re.compile(r"^(test_\w+)\(void \*\*", re.M)
NONE = "not shown yet"


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def all_tests(root):
    """name -> the invariants it carries. C: every test function; the compiler refuses one that nobody runs."""
    found = {}
    for base, folders, names in os.walk(os.path.join(root, "tests")):
        folders[:] = [f for f in folders if f != "node_modules"]
        for name in names:
            path = os.path.join(base, name)
            if name.endswith(".c"):
                for test in DEFINED.findall(read(path)):
                    found[test] = [int(part[1:]) for part in test.split("_") if re.fullmatch(r"i\d+", part)]
            elif name.endswith(".test.js"):
                titles = " ".join(TITLE.findall(read(path)))
                found[os.path.relpath(path, root)] = sorted({int(n) for n in re.findall(r"I(\d+)", titles)})
    return found


def rows(page):
    """number -> (promise, cell of tests)"""
    return {int(m.group(1)): m.groups()[1:] for m in map(ROW.match, page.splitlines()) if m}


def problem_of(root, number, cell, tests):
    """None, or what is wrong with a row's cell of tests."""
    if not NAMED.search(cell) and NONE not in cell:
        return f'neither a test nor "{NONE}"'
    for name in NAMED.findall(cell):
        if name.startswith("test_") and name not in tests:
            return f"there is no test {name}"
        if not name.startswith(("test_", "tests/")):
            return f"{name} is no test"
        if name.startswith("tests/") and not os.path.isfile(os.path.join(root, name)):
            return f"there is no file {name}"
        if name.endswith(".js") and number not in tests.get(name, []):
            return f"{name} has no title with I{number}"
    return None


def behind(page_rows, tests):
    """number -> tests that carry it in their name and are not in its row"""
    late = {}
    for test in sorted(tests):
        for number in tests[test]:
            if number in page_rows and f"`{test}`" not in page_rows[number][1]:
                late.setdefault(number, []).append(test)
    return late


def write(path, late):
    lines = read(path).splitlines()
    for i, line in enumerate(lines):
        match = ROW.match(line)
        if match and int(match.group(1)) in late:
            cell = match.group(3) if match.group(3) != NONE else ""
            names = ", ".join(f"`{t}`" for t in late[int(match.group(1))])
            cell = f"{cell}, {names}" if cell else names
            lines[i] = f"| I{match.group(1)} | {match.group(2)} | {cell} |"
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def main():
    root = sys.argv[1]
    path = os.path.join(root, PAGE)
    page_rows, tests = rows(read(path)), all_tests(root)
    late = behind(page_rows, tests)
    if sys.argv[2:] == ["--write"]:
        write(path, late)
        return 0
    failed = 0
    print(f"1..{COUNT}")
    for number in range(1, COUNT + 1):
        cell = page_rows.get(number, (None, None))[1]
        why = "no row" if cell is None else problem_of(root, number, cell, tests)
        print(f"{'ok' if why is None else 'not ok'} {number} - I{number}")
        if why is not None:
            failed += 1
            print(f"# {why}")
        if number in late:
            print(f"# {PAGE} does not name yet: {' '.join(late[number])}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
