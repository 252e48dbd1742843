"""The finished programs: who could read content at all?

Looks at every name in a program, its own and those it wants from libraries. The relay holds nothing
that could open a message, the manager nothing that knows messages. Each look has a control: a program
that must have such names shows that this test would find them.
"""
import os
import re
import subprocess
import sys

CONTENT = r"(content_|parley__content__)"
SESSION = r"(session_|signal_|ratchet_|sender_key)"
GATEWAY = r"gateway_"
CASES = [  # program, names, must it have them?
    ("parley-relay", CONTENT, False),
    ("parley-relay", SESSION, False),
    ("parley-relay", GATEWAY, False),
    ("parley-manager", CONTENT, False),
    ("parley-manager", SESSION, False),
    ("parley-manager", GATEWAY, False),
    ("parley-cloud", CONTENT, True),
    ("parley-cloud", SESSION, True),
    ("parley-cloud", GATEWAY, True),
    ("parley-phone", CONTENT, True),
    ("parley-phone", SESSION, True),
    ("parley-phone", GATEWAY, False),
]
WORDS = {CONTENT: "content", SESSION: "session", GATEWAY: "gateway"}


def program(build, name):
    for folder in ("", "src/cmd"):
        path = os.path.join(build, folder, name)
        if os.path.isfile(path):
            return path
    return None


def names(path):
    """Every symbol, defined or wanted, without versions and sanitizer decoration."""
    found = set()
    for flags in (["--no-sort"], ["--dynamic"]):
        done = subprocess.run(["nm", *flags, path], text=True, capture_output=True)
        for line in done.stdout.splitlines():
            found.add(line.split()[-1].split("@")[0])
    return found


def libraries(path):
    done = subprocess.run(["objdump", "-p", path], text=True, capture_output=True)
    return re.findall(r"NEEDED\s+(\S+)", done.stdout)


def main():
    build, failed = sys.argv[1], False
    print(f"1..{len(CASES) + 1}")
    for number, (name, pattern, wanted) in enumerate(CASES, 1):
        title = f"{number} - {name} {'has' if wanted else 'has no'} {WORDS[pattern]} names"
        path = program(build, name)
        if path is None:
            print(f"ok {title} # SKIP {name} is not built yet")
            continue
        hits = sorted(n for n in names(path) if re.match(r"(__odr_asan\.)?" + pattern, n))
        good = bool(hits) == wanted
        failed |= not good
        print(f"{'ok' if good else 'not ok'} {title}")
        if not good:
            print("# " + (" ".join(hits[:20]) or "none found"))
    title = f"{len(CASES) + 1} - parley-relay is not linked with the session library"
    path = program(build, "parley-relay")
    if path is None:
        print(f"ok {title} # SKIP parley-relay is not built yet")
    else:
        bad = [lib for lib in libraries(path) if "signal" in lib]
        failed |= bool(bad)
        print(f"{'not ok' if bad else 'ok'} {title}")
    sys.exit(failed)


main()
