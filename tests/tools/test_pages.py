"""Tests of links.py and invariants.py: a page that is wrong is found out, one that is right is not."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GOOD = {
    "README.md": "# Tea\n\n[house](ARCHITECTURE.md#the-house), [kiln](docs/kiln.md), [web](https://example.org/#x)\n",
    "ARCHITECTURE.md": "# House\n\n## The house\n\nSee `src/kiln.c`.\n\n```\n[not a link](nowhere.md)\n```\n",
    "docs/kiln.md": "# Kiln\n\n## 1. Firing it\n\n[up](../README.md)\n",
    "src/kiln.c": '/* kiln.c - see docs/kiln.md, "Firing\n * it". */\n',
    "tests/a/test_a.c": "static void\ntest_i2_fires(void **state)\n{\n}\n",
    "tests/b/b.test.js": "test('I3, I4: it cools', async () => {});\n",
}
CELLS = {2: "`test_i2_fires`", 3: "`tests/b/b.test.js`", 4: "`tests/b/b.test.js`"}


def page_of(cells):
    rows = [f"| I{n} | Promise. | {cells.get(n, 'not shown yet')} |" for n in range(1, 41)]
    return "| | Promise | Shown by |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


CASES = [  # name, script, changed files, words that it must say (None: all is well)
    ("good links", "links", {}, None),
    ("no such file", "links", {"README.md": "[a](b.md)"}, "b.md: no such file"),
    ("no such heading", "links", {"README.md": "[a](docs/kiln.md#cooling)"}, "no such heading"),
    ("heading of one's own", "links", {"README.md": "# Tea\n\n[a](#tea) [b](#coffee)"}, "#coffee: no such heading"),
    ("path in backticks", "links", {"README.md": "`src/oven.c`"}, "src/oven.c: no such file"),
    ("page that the code wants", "links", {"src/a.h": "/* docs/oven.md */"}, "src/a.h: no docs/oven.md"),
    ("heading that the code wants", "links", {"src/a.h": '/* docs/kiln.md, "Cooling" */'}, 'no "Cooling"'),
    ("good rows", "invariants", {"docs/delivery.md": page_of(CELLS)}, None),
    ("test that is gone", "invariants", {"docs/delivery.md": page_of({2: "`test_i2_gone`"})}, "no test test_i2_gone"),
    ("file that is gone", "invariants", {"docs/delivery.md": page_of({2: "`tests/x.py`"})}, "no file tests/x.py"),
    ("no title", "invariants", {"docs/delivery.md": page_of({2: "`tests/b/b.test.js`"})}, "no title with I2"),
    ("empty cell", "invariants", {"docs/delivery.md": page_of({2: "later"})}, "neither a test"),
    ("row that is gone", "invariants", {"docs/delivery.md": page_of({}).replace("| I7 |", "| 7 |")}, "no row"),
]


def run(script, files, *more):
    with tempfile.TemporaryDirectory() as root:
        for name, text in {**GOOD, **files}.items():
            os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(root, name), "w") as f:
                f.write(text)
        command = [sys.executable, os.path.join(HERE, script + ".py"), root]
        if more:
            subprocess.run(command + list(more), check=True)
        return subprocess.run(command, text=True, capture_output=True)


def main():
    failed = 0
    print(f"1..{len(CASES) + 1}")
    for number, (name, script, files, words) in enumerate(CASES, 1):
        done = run(script, files)
        good = done.returncode == 0 if words is None else done.returncode == 1 and words in done.stdout
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {script}: {name}")
        if not good:
            print("\n".join("# " + line for line in (done.stdout + done.stderr).splitlines()))
    done = run("invariants", {"docs/delivery.md": page_of({})}, "--write")
    good = done.returncode == 0 and "does not name yet" not in done.stdout
    print(f"{'ok' if good else 'not ok'} {len(CASES) + 1} - invariants: --write catches up")
    return 1 if failed or not good else 0


sys.exit(main())
