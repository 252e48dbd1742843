"""A forbidden #include is "not found": the relay's own compiler call refuses it.

Takes the compile commands that the build really uses, puts a one-line file in place of the module's
source, and lets the compiler check it. Each refusal has a twin that must be accepted, so that the
test cannot pass because the compiler refuses everything.
"""
import json
import os
import re
import shlex
import subprocess
import sys

CASES = [  # module, header, may the module see it?
    ("relay", "content/content.h", False),
    ("relay", "session/session.h", False),
    ("relay", "gateway/", False),
    ("relay", "wire/", True),
    ("gateway", "content/content.h", True),
    ("gateway", "session/session.h", True),
    ("gateway", "relay/", False),
    ("manager", "content/content.h", False),
    ("manager", "session/session.h", False),
    ("manager", "gateway/", False),
    ("manager", "store/", True),
    ("wire", "content/content.h", False),
    ("content", "session/session.h", False),
    ("cloud", "session/session.h", False),
    ("cloud", "content/content.h", True),
]


def source_root(build):
    path = os.path.join(build, "meson-info", "intro-projectinfo.json")
    with open(os.path.join(build, "meson-info", "meson-info.json")) as f:
        return json.load(f)["directories"]["source"] if os.path.exists(path) else None


def commands(build):
    """Module -> the compile command of one of its own sources."""
    found = {}
    with open(os.path.join(build, "compile_commands.json")) as f:
        for entry in json.load(f):
            match = re.search(r"src/([a-z0-9]+)/[a-z0-9_]+\.c$", entry["file"])
            library = re.match(r"src/libparley-([a-z0-9]+)\.a\.p/", entry["output"])
            if match and library and match.group(1) == library.group(1):
                found.setdefault(match.group(1), entry)
    return found


def header_of(root, header):
    """A folder stands for the first header in it."""
    if not header.endswith("/"):
        return header if os.path.exists(os.path.join(root, "src", header)) else None
    names = sorted(n for n in os.listdir(os.path.join(root, "src", header)) if n.endswith(".h"))
    return header + names[0] if names else None


def compiles(entry, header):
    """(accepted, what the compiler said) for a file of the module that includes the header."""
    words = shlex.split(entry["command"])
    keep, skip = [], False
    for word in words:
        if skip or word in ("-MD", "-c", "-Winvalid-pch"):
            skip = False
        elif word in ("-o", "-MQ", "-MF"):
            skip = True
        elif word != entry["file"]:
            keep.append(word)
    text = f'#include "{header}"\nint floor_probe(void);\nint floor_probe(void) {{ return 0; }}\n'
    done = subprocess.run(keep + ["-fsyntax-only", "-x", "c", "-"], input=text, text=True,
                          cwd=entry["directory"], capture_output=True)
    return done.returncode == 0, done.stderr.replace("\x1b", "")


def main():
    build = sys.argv[1]
    root, by_module = source_root(build), commands(build)
    print(f"1..{len(CASES)}")
    failed = False
    for number, (module, header, allowed) in enumerate(CASES, 1):
        name = f"{number} - {module} {'may' if allowed else 'must not'} include {header}"
        real = header_of(root, header)
        if module not in by_module or real is None:
            print(f"ok {name} # SKIP {'no source in ' + module if real else header + ' not there'} yet")
            continue
        accepted, said = compiles(by_module[module], real)
        not_found = "No such file" in said or "file not found" in said
        good = accepted if allowed else (not accepted and not_found)
        failed |= not good
        print(f"{'ok' if good else 'not ok'} {name}")
        if not good:
            print("# " + "\n# ".join(said.splitlines()[:6] or ["the compiler accepted it"]))
    sys.exit(failed)


main()
