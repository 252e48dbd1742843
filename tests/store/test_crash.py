"""The store's promises on a real program, killed, traced and starved.

I1  what was acknowledged is there after SIGKILL at any moment
I3  no acknowledgement before the flush that covers it has returned, however long that takes
I4  a flush or write that fails ends the program; nothing is acknowledged after it, nothing acked is missing
I6  a full disk is a refusal, before anything was accepted; the rest goes on; it recovers by itself

Each has a control: a build of the same store that acknowledges before the commit must be found out.
Usage: test_crash.py CHILD MUTANT [SEED]
"""
import concurrent.futures
import os
import random
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "campaign"))
import crash  # noqa: E402

KILLS = 30
ROWS, DEPTH = 12, 2  # of a traced run: half a dozen commits
CALLS = "fdatasync,fsync,write,pwrite64"
# what a failed call is, and how it may be answered
FATAL = [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("fdatasync", "ENOSPC")]


def numbers(lines, word):
    return [int(line.split()[1]) for line in lines if line.split()[0] == word]


def kept(child, path):
    """Every row the file holds, by the store's own word; the file must be sound, too."""
    done = subprocess.run([child, "list", path], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return set(numbers(done.stdout.splitlines(), "row"))


def kill_loop(child, seed, kills, together=1):
    """Kill writers at random moments, so many at work on one file at a time, each in a range of its own:
    (acknowledged, of these missing)."""
    rng, acked, firsts = random.Random(seed), set(), [k * 10**9 for k in range(together)]

    def kill_one(path, k, after_s):
        killed = crash.Killed([child, "write", path, str(firsts[k]), "1000000", "16"], after_s,
                              stderr=subprocess.DEVNULL)
        firsts[k] = max([firsts[k], *numbers(killed.lines, "try")]) + 1000
        return numbers(killed.lines, "ok")

    with crash.scratch() as folder, concurrent.futures.ThreadPoolExecutor(together) as pool:
        path = os.path.join(folder, "db")
        for _ in range(kills // together):
            under_way = [pool.submit(kill_one, path, k, rng.uniform(0.03, 0.3)) for k in range(together)]
            for each in under_way:
                acked.update(each.result())
        return len(acked), acked - kept(child, path)


def traced(child, folder, count, depth, *inject):
    """Run a writer on a fresh file under strace: (exit code, calls, said, file). Only the file, its log
    and what is said are looked at, and failures are injected only there."""
    path, trace, said_path = (os.path.join(folder, name) for name in ("db", "trace", "said"))
    assert kept(child, path) == set()
    command = crash.strace([child, "write", path, "0", str(count), str(depth)], CALLS, trace, inject,
                           [path, f"{path}-wal", said_path])
    with open(said_path, "w", encoding="ascii") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, env=crash.traced_env())
    with open(said_path, encoding="ascii") as lines:
        return done.returncode, crash.read_trace(trace), lines.read().splitlines(), path


def kill_points(child, call):
    """Kill at the k-th such call, for every k: (k of the last, what was acknowledged and missing)."""
    k, missing, was_killed = 0, [], True
    while was_killed:
        k += 1
        with crash.scratch() as folder:
            code, _, lines, path = traced(child, folder, ROWS, DEPTH, f"{call}:signal=KILL:when={k}")
            was_killed = code != 0
            missing += [(k, number) for number in set(numbers(lines, "ok")) - kept(child, path)]
    return k - 1, missing


def check_kill_points(tap, child, mutant):
    for call in ("pwrite64", "fdatasync"):
        places, missing = kill_points(child, call)
        tap.ok(not missing and places > 5, f"I1 killed at each {call}: none missing ({places} places)", missing[:10])
    with crash.scratch() as folder:
        _, _, lines, path = traced(mutant, folder, 12, 4, "pwrite64:delay_enter=50000", "write:signal=KILL:when=12")
        missing = set(numbers(lines, "ok")) - kept(child, path)
    tap.ok(len(missing) > 0, "I1 control: acknowledging before the commit is found out")


def said(calls, word):
    """id → the write that said it."""
    lines = [(c, c.written.split()) for c in calls if c.name == "write" and c.path.endswith("/said")]
    return {int(words[1]): c for c, words in lines if len(words) == 2 and words[0] == word}


def flushes(calls):
    return [c for c in calls if c.name in ("fdatasync", "fsync") and c.left is not None and not c.has_failed]


def said_too_early(calls, end=float("inf")):
    """Ids acknowledged without a flush that began after they were tried and ended before (and before
    `end`)."""
    tries, early = said(calls, "try"), []
    for number, ack in said(calls, "ok").items():
        last = min(ack.entered, end)
        if not any(tries[number].left < f.entered and f.left < last for f in flushes(calls)):
            early.append(number)
    return early


def check_order(tap, child, mutant):
    name = "I3 no acknowledgement before its flush"
    with crash.scratch() as folder:
        code, calls, lines, _ = traced(child, folder, 60, 1)
        early = said_too_early(calls)
        tap.ok(code == 0 and len(numbers(lines, "ok")) == 60 and not early, name, f"exit {code}, early {early}")
    with crash.scratch() as folder:
        code, calls, lines, _ = traced(child, folder, 200, 16)
        early = said_too_early(calls)
        tap.ok(code == 0 and len(numbers(lines, "ok")) == 200 and not early, f"{name}, 16 at a time",
               f"exit {code}, early {early}")
    with crash.scratch() as folder:
        _, calls, _, _ = traced(child, folder, 3, 1, "fdatasync:delay_exit=200000")
        tap.ok(len(said(calls, "ok")) == 3 and not said_too_early(calls), "I3 a slow flush delays its acknowledgement")
    with crash.scratch() as folder:
        _, calls, _, _ = traced(mutant, folder, 60, 1, "fdatasync:delay_exit=20000")
        tap.ok(len(said_too_early(calls)) > 0, "I3 control: acknowledging before the commit is found out")


def judge_failure(child, folder, inject):
    """One run with one call failing: (did it fail, what is wrong)."""
    code, calls, lines, path = traced(child, folder, ROWS, DEPTH, inject)
    failed = [c for c in calls if c.is_injected]
    if not failed:
        return False, "" if code == 0 else f"exit {code} without a failure"
    # what was flushed before the failure may still be said; nothing else
    after = [n for n in said_too_early(calls, failed[0].entered) if said(calls, "ok")[n].entered > failed[0].left]
    closing = [c for c in calls if c.name == "write" and c.written.startswith("closing")]
    matters = not (closing and closing[0].entered < failed[0].entered)  # then nothing is left to say
    missing = set(numbers(lines, "ok")) - kept(child, path)
    if missing:
        return True, f"acknowledged but missing: {sorted(missing)[:5]}"
    if matters and (after or code == 0):
        return True, f"went on after {failed[0].text}: exit {code}, said {after[:5]}"
    return True, ""


def check_failures(tap, child, mutant):
    for call, error in FATAL:
        k, wrong, has_failed = 0, [], True
        while has_failed:
            k += 1
            with crash.scratch() as folder:
                has_failed, why = judge_failure(child, folder, f"{call}:error={error}:when={k}")
            if why:
                wrong.append(f"k={k}: {why}")
        tap.ok(not wrong and k > 5, f"I4 {call} fails with {error}: nothing said after, nothing missing ({k - 1} places)",
               "\n".join(wrong))
    with crash.scratch() as folder:
        _, why = judge_failure(mutant, folder, "pwrite64:delay_enter=50000:error=EIO:when=5")
    tap.ok("missing" in why, "I4 control: acknowledging before the commit is found out")


def check_failing_start(tap, child):
    """The first start after a kill folds the log that was left: a failure there is not survived either."""
    for call, error in FATAL[:2]:
        k, wrong, has_failed = 0, [], True
        while has_failed:
            k += 1
            with crash.scratch() as folder:
                path, trace = os.path.join(folder, "db"), os.path.join(folder, "trace")
                killed = crash.Killed([child, "write", path, "0", "1000000", "8"], 0.15, stderr=subprocess.DEVNULL)
                command = crash.strace([child, "list", path], CALLS, trace, [f"{call}:error={error}:when={k}"],
                                       [path, f"{path}-wal"])
                done = subprocess.run(command, text=True, capture_output=True, env=crash.traced_env())
                calls = crash.read_trace(trace)
                has_failed = any(c.is_injected for c in calls)
                listed = "row" in done.stdout  # then it had started, and failed when closing
                missing = set(numbers(killed.lines, "ok")) - kept(child, path)
            if missing or (has_failed and not listed and done.returncode == 0):
                wrong.append(f"k={k}: exit {done.returncode}, missing {sorted(missing)[:5]}")
        tap.ok(not wrong and k > 2, f"I4 {call} fails when starting after a kill ({k - 1} places)", "\n".join(wrong))


def check_no_space(tap, child):
    """Writes fail with ENOSPC, one at a time: the program lives, and answers what is true."""
    k, wrong, has_failed = 0, [], True
    while has_failed:
        k += 1
        with crash.scratch() as folder:
            inject = f"pwrite64:error=ENOSPC:when={k}"
            code, calls, lines, path = traced(child, folder, ROWS, DEPTH, inject)
            has_failed = any(c.is_injected for c in calls)
            acked, refused = set(numbers(lines, "ok")), set(numbers(lines, "full"))
            rows = kept(child, path)
            if acked != rows or code != 0 or len(acked) + len(refused) != ROWS:
                wrong.append(f"k={k}: exit {code}, {len(acked)} ok, {len(refused)} full, {len(rows)} rows")
    tap.ok(not wrong and k > 5, f"I6 no space for one write: refused and alive, rows are what was said ({k - 1} places)",
           "\n".join(wrong))


class Server:
    """The child under command: one order, one answer."""

    def __init__(self, child, path):
        self.process = subprocess.Popen([child, "serve", path], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.acked = set()

    def ask(self, verb, number=0, size=0):
        self.process.stdin.write(f"{verb} {number} {size}\n")
        word, value = self.process.stdout.readline().split() or ("gone", "0")
        if word == "ok" and verb in ("grow", "put"):
            self.acked.add(number)
        if word == "ok" and verb == "drop":
            self.acked.discard(number)
        return int(value) if verb == "count" and word == "ok" else word

    def close(self):
        self.process.stdin.close()
        return self.process.wait(10)


def check_full_disk(tap, child):
    with crash.small_disk("56m") as (disk, reason):
        if disk is None:
            tap.skip("I6 a disk that fills up", reason)
            return
        path, ballast = os.path.join(disk, "db"), os.path.join(disk, "ballast")
        server, number = Server(child, path), 0
        while (answer := server.ask("grow", number, 60000)) == "ok" and number < 2000:
            number += 1
        tap.ok(answer == "full" and number > 20, "I6 growth is refused before the disk is full", f"{answer} at {number}")
        tap.ok(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > 16 << 20, "I6 the reserve is left alone")
        tap.ok(server.ask("drop", 0) == "ok" and server.ask("put", 5000, 100) == "ok",
               "I6 acknowledgements and expiry still work")
        crash.fill(ballast)
        answers = {server.ask("put", 6000 + i, 200000) for i in range(60)}  # more than the log can take
        tap.ok("full" in answers and answers <= {"ok", "full"}, "I6 not one byte left: refused", f"{answers}")
        tap.ok(server.ask("count") == len(server.acked), "I6 reading still works")
        os.unlink(ballast)
        for i in range(1, 100):
            server.ask("drop", i)
        # the file keeps its size: free pages are room for rows, but the disk must have the reserve again
        subprocess.run(["mount", "-o", "remount,size=120m", disk], check=True)
        tap.ok(crash.wait_until(lambda: server.ask("grow", 7000 + len(server.acked), 60000) == "ok"),
               "I6 recovers by itself when there is room")
        acked, code = server.acked, server.close()
        tap.ok(code == 0 and kept(child, path) == acked, "I6 the file holds exactly what was acknowledged", f"exit {code}")


def main():
    child, mutant = sys.argv[1], sys.argv[2]
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    with crash.Tap() as tap:
        tap.note(f"seed {seed}")
        count, missing = kill_loop(child, seed, KILLS)
        tap.ok(count > 0 and not missing, f"I1 {KILLS} kills, {count} acknowledged, none missing", sorted(missing)[:10])
        count, missing = kill_loop(child, seed, KILLS, together=3)
        tap.ok(count > 0 and not missing, f"I1 three programs on one file, {count} acknowledged, none missing",
               sorted(missing)[:10])
        check_full_disk(tap, child)
        reason = crash.why_no_strace()
        if reason is not None:
            tap.skip("I1, I3, I4, I6 under strace", reason)
            return
        check_kill_points(tap, child, mutant)
        check_order(tap, child, mutant)
        check_failures(tap, child, mutant)
        check_failing_start(tap, child)
        check_no_space(tap, child)


if __name__ == "__main__":
    main()
