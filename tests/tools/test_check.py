"""Tests of check.py: each kind of fault, planted in a small tree, is found; a clean tree is clean."""
import os
import subprocess
import sys
import tempfile

CHECK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")
ROWS = "rows = [\n  ['base', []],\n  ['content', ['base']],\n  ['relay',   ['base']],\n]\n"

CASES = [  # name, check, file, text, what must be said (None: clean)
    ("allowed include", "floors", "src/relay/a.c", '#include "base/b.h"\n', None),
    ("own include", "floors", "src/relay/a.c", '#include "relay/b.h"\n', None),
    ("generated header", "floors", "src/content/a.c", '#include "content.pb-c.h"\n', None),
    ("forbidden floor", "floors", "src/relay/a.c", '#include "content/c.h"\n', "must not see content"),
    ("forbidden, odd blanks", "floors", "src/relay/a.c", ' #  include "content/c.h"\n', "must not see"),
    ("around the corner", "floors", "src/relay/a.c", '#include "../content/c.h"\n', "names its module"),
    ("bare name", "floors", "src/relay/a.c", '#include "c.h"\n', "names its module"),
    ("no module", "floors", "src/relay/a.c", '#include "nowhere/c.h"\n', "is no module"),
    ("outside in code", "outside", "src/relay/a.c", "/* see shared" + "/x.md */\n", "outside"),
    ("outside in docs", "outside", "docs/a.md", "as settled" + ".md says\n", "outside"),
    ("vectors are fine", "outside", "docs/a.md", "found in ../shared" + "/vectors\n", None),
    ("token in a log", "logs", "src/relay/a.c",
     'log_event(log, LOG_INFO, "x",\n  LOG_STR("a", row->access_token));\n', "token"),
    ("secret by name", "logs", "src/relay/a.c", 'log_event(l, LOG_INFO, "x", LOG_HEX("secret", k));\n', "secret"),
    ("size of a body", "logs", "src/relay/a.c", 'log_event(l, LOG_INFO, "body.big", LOG_UINT("body", n));\n', None),
    ("lock with a host", "locks", "tests/package-lock.json", '"resolved": "https://r.example/x.tgz"\n', "registry"),
    ("lock without", "locks", "tests/package-lock.json", '"integrity": "sha512-x"\n', None),
    ("long line", "format", "src/relay/a.c", "int   x;\n", "clang-format"),
]


def main():
    print(f"1..{len(CASES)}")
    bad = False
    for number, (name, check, path, text, want) in enumerate(CASES, 1):
        title = f"{number} - {name}"
        with tempfile.TemporaryDirectory() as root:
            for folder in ("src/relay", "src/content", "docs", "tests"):
                os.makedirs(os.path.join(root, folder))
            for file, content in (("src/meson.build", ROWS), (path, text)):
                with open(os.path.join(root, file), "w") as f:
                    f.write(content)
            done = subprocess.run([sys.executable, CHECK, check], cwd=root, text=True, capture_output=True)
        if "No such file or directory: 'clang-format'" in done.stderr:
            print(f"ok {title} # SKIP clang-format is not installed")
            continue
        good = (done.returncode == 0) if want is None else (done.returncode == 1 and want in done.stdout)
        bad |= not good
        print(f"{'ok' if good else 'not ok'} {title}")
        if not good:
            print("# " + (done.stdout + done.stderr).replace("\n", "\n# "))
    sys.exit(bad)


main()
