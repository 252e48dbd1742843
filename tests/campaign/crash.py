"""What fault tests share: lines of TAP, children that are killed, strace that injects failures and tells
what was called in which order, and small file systems to fill. Each facility says why it is missing, so
that a test can skip with the reason and never passes silently.
"""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time


class Tap:
    """Results as they come; the plan last. `with Tap() as tap:` ends the program with the right code."""

    def __init__(self):
        self.count, self.failed = 0, 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and not isinstance(error, SystemExit):
            self.ok(False, "no exception", f"{kind.__name__}: {error}")
        print(f"1..{self.count}", flush=True)
        if error is None:
            sys.exit(1 if self.failed else 0)

    def ok(self, is_ok, name, why=""):
        self.count += 1
        self.failed += not is_ok
        print(f"{'ok' if is_ok else 'not ok'} {self.count} - {name}", flush=True)
        for line in str(why).splitlines() if not is_ok else ():
            print(f"# {line}", flush=True)
        return is_ok

    def skip(self, name, reason):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)

    def note(self, text):
        print(f"# {text}", flush=True)


@contextlib.contextmanager
def scratch():
    """A folder that is gone afterwards."""
    folder = tempfile.mkdtemp(prefix="parley-fault-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def why_no_strace():
    """None if strace can trace here, otherwise the reason."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], text=True, capture_output=True)
    return None if done.returncode == 0 else f"strace cannot trace: {done.stderr.strip()[:80]}"


def traced_env():
    """Leak checking and tracing exclude each other."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return dict(os.environ, ASAN_OPTIONS=f"{options}:detect_leaks=0")


def strace(command, calls, trace_file, inject=(), paths=()):
    """The command line that traces `calls` of `command` in all its threads, with descriptors' paths.
    `inject` are strace's own words: "fdatasync:error=EIO:when=3" (strace counts in each thread by
    itself); with `paths` only calls on these files are traced and counted."""
    line = ["strace", "-f", "-y", "-o", trace_file, "-e", f"trace={calls}"]
    for what in inject:
        line += ["-e", f"inject={what}"]
    for path in paths:
        line += ["-P", path]
    return line + command


class Call:
    """One system call of a trace. `entered` and `left` are places in the trace (line numbers): one call
    covers another when it was left before the other was entered."""

    def __init__(self, thread, name, entered):
        self.thread, self.name, self.entered, self.left = thread, name, entered, None
        self.text = ""

    @property
    def is_injected(self):
        return "(INJECTED)" in self.text

    @property
    def has_failed(self):
        return re.search(r"\) += -1 ", self.text) is not None

    @property
    def path(self):
        """Of the first argument, when it is a descriptor."""
        found = re.match(r"\w+\(\d+<([^>]*)>", self.text)
        return found.group(1) if found else ""

    @property
    def written(self):
        """The bytes of a write, as far as the trace shows them."""
        found = re.search(r'"((?:[^"\\]|\\.)*)"', self.text)
        return found.group(1).replace("\\n", "\n") if found else ""


def read_trace(path):
    """The calls of a trace in order of entry. A call that never returned has left None."""
    calls, open_calls = [], {}
    with open(path, encoding="utf-8", errors="replace") as lines:
        for place, line in enumerate(lines):
            found = re.match(r"(\d+) +(.*)", line)
            thread, rest = (found.group(1), found.group(2)) if found else ("0", line)
            resumed = re.match(r"<\.\.\. (\w+) resumed>(.*)", rest)
            started = re.match(r"(\w+)\(", rest)
            if resumed and thread in open_calls:
                call = open_calls.pop(thread)
                call.text += resumed.group(2)
                call.left = place
            elif started:
                call = Call(thread, started.group(1), place)
                calls.append(call)
                if rest.endswith("<unfinished ...>"):
                    call.text = rest[: -len("<unfinished ...>")]
                    open_calls[thread] = call
                else:
                    call.text, call.left = rest.rstrip(), place
    return calls


class Killed:
    """A child that is killed without warning after a while, and what it said until then."""

    def __init__(self, command, after_s, **options):
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(command, stdout=said, **options) as child:
                try:
                    self.code = child.wait(after_s)
                except subprocess.TimeoutExpired:
                    child.kill()
                    self.code = child.wait()
            said.seek(0)
            self.lines = said.read().decode().split("\n")[:-1]  # a line cut short was not said


@contextlib.contextmanager
def small_disk(size):
    """A file system of that size ("48m"), or None and the reason: yields (folder, reason)."""
    folder = tempfile.mkdtemp(prefix="parley-disk-")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "parley-test", folder],
                          text=True, capture_output=True)
    try:
        if done.returncode != 0:
            yield None, f"cannot mount: {done.stderr.strip()[:80]}"
        else:
            yield folder, None
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=False)
        os.rmdir(folder)


def fill(path, keep_bytes=0):
    """Write the file until its disk is full, then leave keep_bytes free."""
    with open(path, "wb", buffering=0) as out:
        for piece in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * piece)
    if keep_bytes:
        os.truncate(path, max(0, os.path.getsize(path) - keep_bytes))


def wait_until(is_so, limit_s=10.0):
    """Ask until it is so, or the limit is over: the answer of the last question."""
    end = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
