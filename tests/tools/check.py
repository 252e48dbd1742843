"""What ./dev check looks at, each in one function: format, floors, words that must not appear, secrets
in logs, static analysis, file lengths. Prints FILE:LINE: what; ends with an error if anything is wrong.

Needs no build. Long files are only warned about: see the house rules on sizes.
"""
import os
import re
import subprocess
import sys

LINES_MAX = 600
C_FOLDERS = ("src", "tests", "bench")
# words of machines and notes outside the repository: a reader of the tree has none of them
OUTSIDE = re.compile(r"\bshared/|settled\.md|/work/")
OUTSIDE_FOLDERS = ("src", "docs")
OUTSIDE_FINE = re.compile(r"\.\./shared/vectors")
SECRET = re.compile(r"token|secret|passw|plaintext|\bbody\b|private_key|\bpin\b|otp|\bcaption\b", re.I)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')

problems = []


def complain(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def files(folder, *suffixes):
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in ("node_modules", "corpus"))
        for name in sorted(names):
            if name.endswith(suffixes):
                yield os.path.join(base, name)


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def check_format():
    paths = [p for folder in C_FOLDERS for p in files(folder, ".c", ".h")]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], text=True,
                          capture_output=True)
    seen = set()
    for line in done.stderr.splitlines():
        match = re.match(r"(.+):(\d+):\d+: error:", line)
        if match and match.group(1) not in seen: # once a file
            seen.add(match.group(1))
            complain(match.group(1), match.group(2), "run clang-format -i on this file")


def floor_rows():
    """The table of src/meson.build: module -> modules it may include."""
    rows = re.findall(r"^\s*\['(\w+)',\s*\[([^\]]*)\]\]", text_of("src/meson.build"), re.M)
    return {name: set(re.findall(r"\w+", uses)) | {name} for name, uses in rows}


def check_floors():
    rows = floor_rows()
    for path in files("src", ".c", ".h"):
        module = path.split(os.sep)[1]
        for number, line in enumerate(text_of(path).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1).split("/")[0]
            if match.group(1).endswith(".pb-c.h") and "/" not in match.group(1):
                continue # generated, found beside the module's own
            if ".." in match.group(1) or "/" not in match.group(1):
                complain(path, number, "an include names its module: \"module/file.h\"")
            elif module in rows and target in rows and target not in rows[module]:
                complain(path, number, f"{module} must not see {target} (src/meson.build)")
            elif module in rows and target not in rows:
                complain(path, number, f"{target} is no module")


def check_outside():
    for folder in OUTSIDE_FOLDERS:
        for path in files(folder, ""):
            for number, line in enumerate(text_of(path).splitlines(), 1):
                if OUTSIDE.search(OUTSIDE_FINE.sub("", line)):
                    complain(path, number, "speaks of a place outside the repository")


def log_fields(text):
    """(offset, arguments) of each field that prints bytes or text in a call of log_event."""
    for call in re.finditer(r"\blog_event\s*\(", text):
        depth, at = 1, call.end()
        while depth and at < len(text):
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        statement = text[call.start():at]
        for field in re.finditer(r"\bLOG_(?:STR|HEX)\s*\(([^;]*?)\)(?=\s*[,)])", statement):
            yield call.start() + field.start(), field.group(1)


def check_logs():
    for path in files("src", ".c"):
        text = text_of(path)
        for offset, arguments in log_fields(text):
            if match := SECRET.search(arguments):
                complain(path, text.count("\n", 0, offset) + 1, f"logs \"{match.group(0)}\"")


def check_lengths():
    for folder in C_FOLDERS:
        for path in files(folder, ".c", ".h"):
            lines = text_of(path).count("\n")
            if lines > LINES_MAX:
                print(f"{path}:1: warning: {lines} lines, more than {LINES_MAX}: two files?")


def check_locks():
    """Lock files name packages and hashes, never the registry that one machine used."""
    for path in files("tests", "package-lock.json"):
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if re.search(r'"resolved":\s*"https?:', line):
                complain(path, number, "names a registry (.npmrc: omit-lockfile-registry-resolved=true)")
                break


def check_static():
    os.makedirs("build/cppcheck", exist_ok=True) # unchanged files are not looked at again
    done = subprocess.run(
        ["cppcheck", "-j2", "-q", "--std=c11", "--enable=warning,portability", "--max-configs=1",
         "--cppcheck-build-dir=build/cppcheck", "--inline-suppr", "--suppress=missingInclude",
         "--suppress=unknownMacro",
         # these two see faults in correct loops; gcc's own warnings cover the first
         "--suppress=uninitvar", "--suppress=arrayIndexThenCheck", "--template={file}:{line}: cppcheck: {message} ({id})",
         "-D_GNU_SOURCE", "--include=tests/tools/cppcheck.h", "-Isrc", "src"], text=True, capture_output=True)
    problems.extend(line for line in done.stderr.splitlines() if ": cppcheck: " in line)


CHECKS = {"format": check_format, "floors": check_floors, "outside": check_outside,
          "logs": check_logs, "lengths": check_lengths, "locks": check_locks, "static": check_static}


def main():
    wanted = sys.argv[1:] or list(CHECKS)
    for name in wanted:
        if name not in CHECKS:
            sys.exit(f"check: no such check: {name}; there are {', '.join(CHECKS)}")
        CHECKS[name]()
    print("\n".join(problems + [f"check: {len(problems)} problems"]))
    return 1 if problems else 0


sys.exit(main())
