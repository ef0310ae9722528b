"""The whole first run of a reader, made inside a namespace without a route; one JSON object on standard output.

    python first_run.py DOCS STORE

Not a test: `test_offline.py` starts it and judges what it prints. It imports the standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
AWAY = ("192.0.2.1", 443)  # RFC 5737: an address of documentation, nobody's
QUESTIONS = {"en": "What does temperature 0 do?", "zh": "温度为 0 时会怎样？"}


def raise_loopback() -> None:
    """`ip link set lo up`, without the need for iproute2."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def away() -> str:
    """The name of the error that a connection to the world meets ("" when it meets none)."""
    with socket.socket() as probe:
        probe.settimeout(3)
        try:
            probe.connect(AWAY)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def refused_packets() -> int:
    """How often the kernel found no route in this namespace, for code of any language; 0 where it does not count."""
    try:
        rows = [line.split() for line in Path("/proc/self/net/snmp").read_text().splitlines() if line.startswith("Ip:")]
        return int(dict(zip(rows[0], rows[1], strict=True))["OutNoRoutes"])
    except (OSError, LookupError, ValueError):
        return 0


def command(*arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=240, check=False)
    lines = done.stdout.strip().splitlines()
    last = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    return {"code": done.returncode, "json": last, "stderr": done.stderr}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return bytes(reply.read()).decode()


def chat(store: str) -> dict[str, object]:
    """Start the chat, read its page and every script and style the page names, and stop it with Ctrl+C's signal."""
    base = f"http://127.0.0.1:{free_port()}"
    line = [sys.executable, "-m", "app", "--store", store, "--port", base.rpartition(":")[2]]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found: dict[str, object] = {"page": "", "assets": {}}
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None and not found["page"]:
            try:
                found["page"] = fetch(base)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.3)
        names = re.findall(r'(?:src|href)="([^"]+\.(?:js|css|svg|json))"', str(found["page"]))
        local = {name for name in names if "//" not in name}
        found["assets"] = {name: len(fetch(f"{base}/{name.lstrip('./')}")) for name in sorted(local)}
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        found["trouble"] = str(error)
    finally:
        process.send_signal(2)
        try:
            out, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
    return {**found, "code": process.returncode, "stdout": out, "stderr": err}


def main(docs: str, store: str, isolated: bool) -> None:
    found: dict[str, object] = {}
    if isolated:
        raise_loopback()
        found["away"] = away()
    before = refused_packets()
    found["ingest"] = command("ingest", docs, "--store", store, "--json")
    for language, question in QUESTIONS.items():
        found[language] = command("rag", "ask", question, "--store", store, "--json")
    found["chat"] = chat(store)
    found["refused_packets"] = refused_packets() - before if isolated else 0
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "isolated")
