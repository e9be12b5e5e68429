#!/usr/bin/env python3
"""What failed in a run directory, as annotations of GitHub: ten at most, which is what GitHub shows of a step."""

import json
import sys
from pathlib import Path

MOST = 10


def escaped(text, is_property=False):
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    if is_property:
        text = text.replace(":", "%3A").replace(",", "%2C")
    return text


def command(level, title, message):
    return f"::{level} title={escaped(title, True)}::{escaped(message)}"


def shown(value):
    """A count, or a time as a multiple of the reference's."""
    return f"{value:.3g} times the reference's" if isinstance(value, float) else str(value)


def of_gate(gate):
    for found in gate["regressions"]:
        change = f"{found['metric']}: {shown(found['baseline'])} in the baseline, now {shown(found['measured'])}"
        yield "error", f"{found['scenario']} x {found['supervisor']}", f"{change}\nrepeat: {found['repeat']}"
    for found in gate["undecided"]:
        what = " ".join(filter(None, (found["supervisor"], found.get("metric"))))
        yield "warning", f"{found['scenario']} x {what}", "the gate cannot tell; the report says why"


def of_fuzz(fuzz):
    for found in fuzz["failures"]:
        rate = found["rate"]
        title = f"fuzz: {found['invariant']}"
        yield "error", title, f"fails in {rate['failed']} of {rate['of']} trials\nrepeat: {found['repeat']}"


def of_run(run):
    """A line for each supervisor in a scenario, however often it was repeated."""
    kinds = {"fail": "error", "inconclusive": "warning"}
    rows = {}
    for trial in run["trials"]:
        required = set(run["manifest"].get("required", []))
        is_missing = trial["verdict"] == "unsupported" and required & {trial["supervisor"], "all"}
        level = "error" if is_missing else kinds.get(trial["verdict"])
        if level:
            rows.setdefault((level, trial["scenario"], trial["supervisor"]), []).append(trial)
    for (level, scenario, supervisor), trials in sorted(rows.items()):
        first = trials[0]
        said = first["violations"] + [first["reason"] or ""] + first.get("losses", [])
        of = f" in {len(trials)} trials" if len(trials) > 1 else ""
        yield level, f"{scenario} x {supervisor}: {first['grade']}{of}", "\n".join(filter(None, said))


def annotations(directory, code):
    for name, of in (("gate.json", of_gate), ("fuzz.json", of_fuzz), ("run.json", of_run)):
        if (directory / name).exists():
            found = list(of(json.loads((directory / name).read_text())))
            break
    else:
        found = [("error", "holdline", f"nothing was measured (exit code {code}): the log says why")]
    if len(found) > MOST:
        more = len(found) - (MOST - 1)
        found = found[: MOST - 1] + [("error", "holdline", f"and {more} more: the summary has them all")]
    return found


if __name__ == "__main__":
    for annotation in annotations(Path(sys.argv[1]), sys.argv[2]):
        print(command(*annotation))
