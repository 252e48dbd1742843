"""The README's tour of sixty seconds, run as it stands on a platform of its own.

    readme.py ROOT BUILD    (TAP)

Only what a second platform on the same machine needs is exchanged: the data folder, the folder of the
programs, and the receiver's port. Every block must succeed, and the output must show what the page says.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

SECONDS = 60
EXPECTED = [  # what the page promises, in words of the tour's output
    ("the text is accepted", r'"messages":\[\{"id":"wamid\.'),
    ("the inbox shows the customer's first message", r"Hello!"),
    ("the inbox shows the text", r"from \d+ +Your tea is ready\."),
    ("the receiver is asked for the challenge", r"hub\.mode=subscribe&hub\.challenge=\d+"),
    ("the subscription is made", r'\{"success":true\}'),
    ("the answer arrives as a webhook", r'"type":"text","text":\{"body":"Thank you!"\}'),
    ("so does the read", r'"status":"read"'),
    ("the safety number has sixty digits", r"(?:\d{5}\s+){11}\d{5}"),
    ("and the label is honest", r"encrypted to your provider"),
]


def free_ports(count):
    """The first of so many free ports in a row."""
    for _ in range(200):
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            base = first.getsockname()[1]
        held = []
        try:
            for port in range(base, base + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for s in held:
                s.close()
    raise RuntimeError("no free ports in a row")


def blocks(readme):
    tour = readme.split("## Sixty seconds")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", tour, re.M | re.S)


def script_of(readme, folder, build, port):
    """One shell script: each block, then the wait until what it sets going has arrived."""
    parts = blocks(readme)
    parts[0] = f'set -a; . "{folder}/demo.env"; set +a\nPATH="{build}:$PATH"\n'  # the page's: the default folder
    text = "\nsleep 1\n".join(parts).replace("8000", str(port))
    return f"set -e\ncd {folder}/tour\n{text}\nsleep 2\nkill %1\n"


def run_tour(readme, folder, build):
    """Output of the tour, and why it failed or None."""
    base = free_ports(11)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_")}
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    parley = os.path.join(build, "parley")
    os.mkdir(os.path.join(folder, "tour"))
    up = subprocess.Popen([parley, "up", "--demo", "--data-dir", folder, "--base-port", str(base)], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        ready = subprocess.run([parley, "ready", "--wait", str(SECONDS), "--data-dir", folder], env=env)
        if ready.returncode != 0:
            up.terminate()
            return "", f"parley up is not ready: {up.communicate()[1]}"
        done = subprocess.run(["bash"], input=script_of(readme, folder, build, base + 10), env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
        return done.stdout, None if done.returncode == 0 else f"exit code {done.returncode}"
    finally:
        up.terminate()
        up.wait(SECONDS)


def main():
    root, build = sys.argv[1], os.path.abspath(sys.argv[2])
    with open(os.path.join(root, "README.md"), encoding="utf-8") as f:
        readme = f.read()
    if shutil.which("curl") is None:
        print("1..1\nok 1 - the tour # SKIP curl is not installed")
        return 0
    folder = tempfile.mkdtemp(prefix="parley-readme-")
    os.chmod(folder, 0o711)  # started as root, the programs' users must pass
    try:
        output, why = run_tour(readme, folder, build)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{len(EXPECTED) + 1}")
    failed = why is not None
    print(f"{'not ok' if failed else 'ok'} 1 - every command succeeds")
    for number, (name, pattern) in enumerate(EXPECTED, 2):
        good = re.search(pattern, output) is not None
        failed |= not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if failed:
        print("\n".join("# " + line[:300] for line in ((why or "") + "\n" + output).splitlines()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
