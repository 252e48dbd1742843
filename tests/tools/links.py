"""Every link between the pages, and from the code to the pages, leads somewhere.

    links.py ROOT       (TAP, one line a page, one for the code)

Looks at [text](page.md#heading) in README.md, ARCHITECTURE.md and docs/; at `docs/….md`, `src/…` and `tests/…` that a
page names in backticks; and in the code's comments at docs/….md, with a heading in quotes behind it where
there is one: docs/operating.md, "Users and limits".
"""
import os
import re
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:docs|src|tests)/[a-z0-9_./-]+)`")  # src/MODULE/FILE.c is no file's name
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.M)
FROM_CODE = re.compile(r'(docs/[\w/-]+\.md)(?:, "([^"]+)")?')
LEADER = re.compile(r"\n[ \t]*(?:\*|//|#)[ \t]?")  # a comment goes on in the next line
CODE = (".c", ".h", ".proto", ".build", ".list")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


def pages(root):
    yield from ("README.md", "ARCHITECTURE.md")
    for base, folders, names in os.walk(os.path.join(root, "docs")):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(base, name), root)


def code_files(root):
    for base, folders, names in os.walk(os.path.join(root, "src")):
        folders.sort()
        for name in sorted(names):
            if name.endswith(CODE):
                yield os.path.relpath(os.path.join(base, name), root)


def headings(text):
    return HEADING.findall(FENCE.sub("", text))


def slug(heading):
    """As forges make anchors: lower case, spaces to hyphens, only letters, digits, hyphens, underscores."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def has_heading(path, wanted):
    """A heading that begins with the words, its number apart."""
    titles = [re.sub(r"^[\d.]+ +", "", h).lower() for h in headings(read(path))]
    return any(t.startswith(wanted.lower()) for t in titles)


def page_problems(root, page):
    text = read(os.path.join(root, page))
    prose = FENCE.sub("", text)
    for target in LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere
        name, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(root, os.path.dirname(page), name)) if name else os.path.join(root, page)
        if not os.path.exists(path):
            yield f"{target}: no such file"
        elif anchor and anchor not in map(slug, headings(read(path))):
            yield f"{target}: no such heading"
    for name in PATH.findall(prose):
        if not os.path.exists(os.path.join(root, name)):
            yield f"{name}: no such file"


def code_problems(root):
    for name in code_files(root):
        text = re.sub(r"\s+", " ", LEADER.sub(" ", read(os.path.join(root, name))))
        for page, heading in FROM_CODE.findall(text):
            path = os.path.join(root, page)
            if not os.path.isfile(path):
                yield f"{name}: no {page}"
            elif heading and not has_heading(path, heading):
                yield f'{name}: no "{heading}" in {page}'


def main():
    root, failed = sys.argv[1], 0
    cases = [(page, list(page_problems(root, page))) for page in pages(root)]
    cases.append(("from the code", list(code_problems(root))))
    print(f"1..{len(cases)}")
    for number, (name, problems) in enumerate(cases, 1):
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print(f"# {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
