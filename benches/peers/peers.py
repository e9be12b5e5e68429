#!/usr/bin/env python3
"""What holdline's load client costs beside wrk, ab, hey, oha and k6, how exactly those with an open loop keep their rate, and
what each says of losses that are planted: `peers.py [--holdline PROGRAM] [--rounds N] [costs|rates|losses…]`.

A connection for each request, always. Each runs in a network namespace of its own, against a server of its own that does
nothing else; what is not installed is left out, and said to be. Prints Markdown.
"""

import argparse
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import tools  # noqa: E402
from planted import KINDS, SLOW  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 7100
NGINX = """daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log stderr error;
events { worker_connections 4096; }
http { access_log off; keepalive_timeout 0; server { listen 127.0.0.1:{port} backlog=1024; location / { return 200 "ok\\n"; } } }
"""
# Connections of a round, and how many at a time.
CONNECTIONS, AT_A_TIME = 20_000, 32
# Arrivals a second, and for how many seconds.
RATE, RATE_S = 1_000, 3
# Attempts of a client that meets with planted losses, one at a time, and which of them do.
ATTEMPTS, EVERY = 100, 10


class Place:
    """A folder, and whatever runs there."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="peers-")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)


def in_namespace(arguments):
    """Runs this program again where the only network is a loopback device of its own."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    done = subprocess.run([*unshare, sys.executable, os.path.abspath(__file__), "--inside", *arguments], stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"peers.py: {' '.join(arguments)} ended with status {done.returncode}, as said above")
    return json.loads(done.stdout)


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS: IFF_UP and IFF_RUNNING.
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


def until_it_listens(port):
    wanted = f"0100007F:{port:04X} "
    for _ in range(1000):
        with open("/proc/net/tcp") as table:
            if any(wanted in line and " 0A " in line for line in table):
                return
        time.sleep(0.01)
    sys.exit("peers.py: the server does not listen")


class Memory(threading.Thread):
    """The most memory of a process and of those below it that are not the server (VmHWM of each, summed), looked at every
    20 ms: rusage would also count what this program had when it forked."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peaks, self.is_over = pid, {}, threading.Event()

    def run(self):
        while not self.is_over.wait(0.02):
            self.look(self.pid)

    def look(self, pid):
        try:
            with open(f"/proc/{pid}/status") as file:
                status = dict(line.split(":\t", 1) for line in file)
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = file.read().split()
        except OSError:
            return  # It has ended.
        if status["Name"].strip() not in ("nginx", "python3") and "VmHWM" in status:
            self.peaks[pid] = max(self.peaks.get(pid, 0), int(status["VmHWM"].split()[0]))
        for child in children:
            self.look(int(child))


def run(command, folder):
    """What a program says, how it ended, for how long it ran, and which processor time and memory it took."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    memory = Memory(process.pid)
    memory.start()
    said, _ = process.communicate()
    memory.is_over.set()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"said": said, "status": process.returncode, "took_s": time.monotonic() - began, "cpu_s": cpu_s,
            "peak_kib": sum(memory.peaks.values())}


def cost_inside(name, holdline):
    """One round: a server, and a program that makes all connections."""
    with Place() as place:
        tool = tools.ALL[name]
        if name == "holdline":
            place.write("nginx.conf.in", NGINX)
            place.write("supervisor.toml", tools.SERVER.format(name="nginx", start='["nginx", "-c", "{dir}/nginx.conf"]')
                        + '[files."nginx.conf"]\ntemplate = "nginx.conf.in"\n')
            place.write("load.toml", tools.CLOSED.format(clients=AT_A_TIME, attempts=CONNECTIONS))
            found = run([holdline, "run", "./load.toml", "-s", "./supervisor.toml", "--out", "out"], place.folder)
            if found["status"] != 0:
                sys.exit(f"peers.py: holdline: {found['said']}")
            connections, server_s = tool.cost(place.folder)
            return {**found, "connections": connections, "cpu_s": found["cpu_s"] - server_s}
        place.write("nginx.conf", NGINX.replace("{dir}", place.folder).replace("{port}", str(PORT)))
        server = subprocess.Popen(["nginx", "-c", place.path("nginx.conf")])
        try:
            until_it_listens(PORT)
            found = run(tool.closed(PORT, AT_A_TIME, CONNECTIONS), place.folder)
        finally:
            server.kill()
        return {**found, "connections": tool.connections(found["said"], CONNECTIONS)}


def met_inside(name, holdline, kind, load):
    """What a program says of a server of this kind, and what that knows itself."""
    with Place() as place:
        tool, truth = tools.ALL[name], place.path("truth.json")
        server = [sys.executable, os.path.join(HERE, "planted.py")]
        if name == "holdline":
            start = json.dumps([*server, "{port}", kind, str(EVERY), truth])
            place.write("supervisor.toml", tools.SERVER.format(name="planted", start=start))
            place.write("load.toml", tools.SEQUENTIAL.format(attempts=ATTEMPTS) if load == "losses"
                        else tools.CONSTANT.format(rate=RATE, seconds=RATE_S))
            found = run([holdline, "run", "./load.toml", "-s", "./supervisor.toml", "--out", "out"], place.folder)
            if found["status"] not in (0, 1):
                sys.exit(f"peers.py: holdline: {found['said']}")
            found["said"] = tool.says(place.folder, found["said"])
        else:
            running = subprocess.Popen([*server, str(PORT), kind, str(EVERY), truth])
            until_it_listens(PORT)
            # One with whom a connection never ends shall not go on for ever.
            command = tool.sequential(PORT, ATTEMPTS, kind in SLOW) if load == "losses" else tool.open(PORT, RATE, RATE_S)
            found = run(["timeout", "90", *command], place.folder)
            running.send_signal(signal.SIGTERM)
            running.wait()
            if load == "losses":
                found["said"] = tool.says(found["said"])
        with open(truth) as file:
            return {**found, "truth": json.load(file)}


def costs(names, options):
    rounds = {name: [] for name in names}
    for number in range(options.rounds + 1):
        # Each in turn, so that all see the same machine; the first round warms up.
        for name in names:
            found = in_namespace(["cost", name, options.holdline])
            if number > 0:
                rounds[name].append(found)
    print(f"| {CONNECTIONS} connections, {AT_A_TIME} at a time | per second | processor time for each | beside wrk | peak memory |")
    print("|---|---|---|---|---|")
    each = {name: [found["cpu_s"] / found["connections"] * 1e6 for found in all_found] for name, all_found in rounds.items()}
    for name in names:
        rate = statistics.median(found["connections"] / found["took_s"] for found in rounds[name])
        beside = [one / peer for one, peer in zip(each[name], each.get("wrk", []))]
        ratio = f"{statistics.median(beside):.2f} ({min(beside):.2f} to {max(beside):.2f})" if beside else "–"
        peak = statistics.median(found["peak_kib"] for found in rounds[name]) / 1024
        print(f"| {name} | {rate:.0f} | {statistics.median(each[name]):.1f} µs | {ratio} | {peak:.0f} MiB |")


def rates(names, options):
    print(f"| {RATE} a second, {RATE_S} s | came | off by, median | 99th percentile | at most |")
    print("|---|---|---|---|---|")
    for name in names:
        if name != "holdline" and not tools.ALL[name].has_open_loop:
            print(f"| {name} | has no open loop | | | |")
            continue
        came = in_namespace(["met", name, options.holdline, "none", "rates"])["truth"]["came_ns"]
        # Beside the schedule that fits best.
        offsets = [at_ns - number * 10**9 / RATE for number, at_ns in enumerate(came)]
        middle = statistics.median(offsets)
        off = sorted(abs(offset - middle) / 1000 for offset in offsets)
        print(f"| {name} | {len(came)} | {statistics.median(off):.0f} µs | {off[len(off) * 99 // 100]:.0f} µs | {off[-1]:.0f} µs |")


def losses(names, options):
    print("| planted | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for kind in KINDS[1:]:
        cells = []
        for name in names:
            found = in_namespace(["met", name, options.holdline, kind, "losses"])
            truth = found["truth"]
            cells.append(f"**{truth['met']}**: {found['said']}")
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)


def main():
    if sys.argv[1:2] == ["--inside"]:
        loopback_up()
        what, *arguments = sys.argv[2:]
        json.dump({"cost": cost_inside, "met": met_inside}[what](*arguments), sys.stdout)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holdline", default="target/release/holdline", help="the program (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of costs, each with every program in turn (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this program; may be repeated")
    parser.add_argument("what", nargs="*", default=["costs", "rates", "losses"], help="costs, rates, losses (default: all)")
    options = parser.parse_args()
    options.holdline = os.path.abspath(options.holdline)
    parts = {"costs": costs, "rates": rates, "losses": losses}
    if unknown := [what for what in options.what if what not in parts]:
        parser.error(f"nothing is named {unknown[0]}; there are: {', '.join(parts)}")
    if unknown := [name for name in options.only or [] if name not in tools.ALL]:
        parser.error(f"no program is named {unknown[0]}; there are: {', '.join(tools.ALL)}")
    needed = ["unshare", options.holdline, *(["nginx"] if "costs" in options.what else [])]
    if missing := [program for program in needed if not shutil.which(program)]:
        sys.exit(f"peers.py: {missing[0]} is missing")
    names = []
    for name in options.only or tools.ALL:
        if name == "holdline" or shutil.which(name):
            names.append(name)
        else:
            print(f"{name} is not installed: {tools.ALL[name].install}", file=sys.stderr)
    for what in options.what:
        parts[what](names, options)
        print(flush=True)


if __name__ == "__main__":
    main()
