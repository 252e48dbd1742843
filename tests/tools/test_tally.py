"""Tests of tally.py: every way in which a failure could go uncounted."""
import os
import subprocess
import sys
import tempfile

TALLY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tally.py")

CASES = [  # name, TAP, closing line
    ("all good", "1..2\nok 1 - a\nok 2 - b\n# exit 0\n", "2 passed, 0 failed, 0 skipped"),
    ("one bad", "1..2\nok 1 - a\nnot ok 2 - b\n# exit 1\n", "1 passed, 1 failed, 0 skipped"),
    ("skipped", "1..2\nok 1 - a # SKIP no disk\nok 2 # skip\n# exit 0\n", "0 passed, 0 failed, 2 skipped"),
    ("title with a hash", "1..1\nok 1 - issue #5 skip\n# exit 0\n", "1 passed, 0 failed, 0 skipped"),
    ("todo", "1..1\nnot ok 1 - later # TODO\n# exit 0\n", "1 passed, 0 failed, 0 skipped"),
    ("crash before the end", "1..3\nok 1 - a\n# exit 139\n", "1 passed, 1 failed, 0 skipped"),
    ("leak after the end", "1..1\nok 1 - a\n# exit 1\n", "1 passed, 1 failed, 0 skipped"),
    ("plan not kept", "1..3\nok 1 - a\n# exit 0\n", "1 passed, 1 failed, 0 skipped"),
    ("nothing at all", "# exit 0\n", "0 passed, 1 failed, 0 skipped"),
    ("nothing, killed", "# exit 124\n", "0 passed, 1 failed, 0 skipped"),
    ("suite counts its leaves",
     "TAP version 13\n# Subtest: s\n    # Subtest: a\n    ok 1 - a\n      ---\n      duration_ms: 1\n"
     "      ...\n    ok 2 - b # SKIP\n    1..2\nok 1 - s\n  ---\n  type: 'suite'\n  ...\n1..1\n# pass 1\n# exit 0\n",
     "1 passed, 0 failed, 1 skipped"),
    ("suite with a bad leaf",
     "# Subtest: s\n    not ok 1 - a\n    ok 2 - b\n    1..2\nnot ok 1 - s\n1..1\n# exit 1\n",
     "1 passed, 1 failed, 0 skipped"),
    ("suite that fails by itself",
     "# Subtest: s\n    ok 1 - a\n    1..1\nnot ok 1 - s after hook\nok 2 - t\n1..2\n# exit 1\n",
     "2 passed, 1 failed, 0 skipped"),
    ("two levels",
     "    # Subtest: x\n        ok 1 - a\n        not ok 2 - b\n        1..2\n    not ok 1 - x\n"
     "    ok 2 - y\n    1..2\nnot ok 1 - s\n1..1\n# exit 1\n",
     "2 passed, 1 failed, 0 skipped"),
    ("details are no results",
     "1..1\nnot ok 1 - a\n  ---\n  stack: |-\n    ok 1 - no\n    not ok 2 - no\n  ...\n# exit 1\n",
     "0 passed, 1 failed, 0 skipped"),
    ("words that look like it", "1..1\nokay then\nnot okay\nok 1 - a\n# exit 0\n", "1 passed, 0 failed, 0 skipped"),
]


def tally(*paths):
    done = subprocess.run([sys.executable, TALLY, *paths], text=True, capture_output=True)
    return done.returncode, (done.stdout.splitlines() or [done.stderr])[-1]


def main():
    print(f"1..{len(CASES) + 1}")
    bad = False
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, text, want) in enumerate(CASES, 1):
            path = os.path.join(folder, f"{number}.tap")
            with open(path, "w") as f:
                f.write(text)
            code, last = tally(path)
            good = last == want and code == (0 if " 0 failed" in want else 1)
            bad |= not good
            print(f"{'ok' if good else 'not ok'} {number} - {name}")
            if not good:
                print(f"# code {code}: {last}")
        code, last = tally(os.path.join(folder, "1.tap"), os.path.join(folder, "2.tap"))
        good = code == 1 and last == "3 passed, 1 failed, 0 skipped"
        bad |= not good
        print(f"{'ok' if good else 'not ok'} {len(CASES) + 1} - over several files")
    sys.exit(bad)


main()
