#!/usr/bin/python3
"""Runs every golden case and compares what comes out with the reference.

A case that the program refuses in its plan (codes 300 to 400) must stand in golden_unsupported.txt, and a case that stands
there must be refused; one whose entry begins with ~ is known to differ and must still do so: neither a regression nor progress
goes unnoticed. With names as arguments only those cases run.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import harness

HERE = pathlib.Path(__file__).resolve().parent
DECEMBER_2025 = ["--format-2025-12"]  # asks for the forms of that release


def roots():
    """Trees that hold cases, without doubles: the fuller tree, where there is one, contains the repository's own."""
    extra = os.environ.get("MODELSLIM_GOLDEN")
    if extra and (pathlib.Path(extra) / "llm" / "cases").is_dir():
        return [pathlib.Path(extra) / "llm"]
    return [harness.BUILD / "golden" / "llm"]


def unsupported():
    """{case or model prefix ending in *: reason}"""
    found = {}
    for line in (HERE / "golden_unsupported.txt").read_text(encoding="utf-8").splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            found[name.strip()] = reason.strip()
    return found


def is_listed(name, table):
    return any(name == entry or (entry.endswith("*") and name.startswith(entry[:-1])) for entry in table)


def run_case(case_dir, listed, differs):
    """(outcome, text): outcome is pass, refused, differs, or a failure."""
    root = case_dir.parent.parent
    case = json.loads((case_dir / "case.json").read_text(encoding="utf-8"))
    out = pathlib.Path(tempfile.mkdtemp(prefix=case_dir.name + "-", dir=harness.SCRATCH)) / "out"
    command = [str(out) if word == "OUT" else word for word in case["command"]]
    try:
        if case["tag"] == "S":
            if listed:  # would run, with numbers of today: nothing refuses it
                return "refused", ""
            command += DECEMBER_2025
        done = harness.run(*command, "--threads", "1", cwd=root, timeout=1200)
        if done.returncode != 0:
            code = harness.code_of(done)
            if done.returncode == 1 and code is not None and 300 <= code <= 400:
                leftovers = list(out.glob("quant_model*")) if out.exists() else []
                if leftovers:
                    return "FAILED", f"refused, but only after writing {leftovers}"
                return ("refused", "") if listed else ("FAILED", "refused, and not in the list:\n" + done.stderr[-1500:])
            return "FAILED", f"status {done.returncode}\n{done.stderr[-3000:]}"
        compare = [sys.executable, str(root / "compare.py"), str(case_dir), str(out)]
        compared = subprocess.run(compare, capture_output=True, text=True, timeout=600)
        if compared.returncode != 0:
            if differs:
                return "differs", ""
            wanted = [line for line in compared.stdout.splitlines() if not line.startswith("PASS")]
            return "FAILED", "\n".join(wanted)[-4000:] + compared.stderr[-2000:]
        if listed or differs:
            return "FAILED", "passes, but stands in golden_unsupported.txt: take it out"
        return "pass", ""
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return "FAILED", str(error)
    finally:
        shutil.rmtree(out.parent, ignore_errors=True)


def main():
    table = unsupported()
    cases = [case for root in roots() for case in sorted((root / "cases").iterdir()) if (case / "case.json").exists()]
    if sys.argv[1:]:
        cases = [case for case in cases if case.name in sys.argv[1:]]
    counts = {"pass": 0, "refused": 0, "differs": 0, "FAILED": 0}
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        futures = {case: pool.submit(run_case, case, is_listed(case.name, table), "~" + case.name in table) for case in cases}
        for case, future in futures.items():
            outcome, text = future.result()
            counts[outcome] += 1
            print(f"{outcome:8} {case.name}", *(["\n" + text] if text else []), flush=True)
    if not sys.argv[1:]:
        for entry in table:  # the models of the repository's own tree are fewer, so only exact names can be stale
            if not entry.endswith("*") and harness.BUILD / "golden" / "llm" not in roots():
                if not any(case.name == entry.lstrip("~") for case in cases):
                    counts["FAILED"] += 1
                    print(f"FAILED   {entry}: golden_unsupported.txt names a case that does not exist")
    print(f"{counts['pass']} pass, {counts['refused']} refused and {counts['differs']} different as listed, {counts['FAILED']} failed; {time.monotonic() - start:.0f} s")
    return 1 if counts["FAILED"] or not cases else 0


if __name__ == "__main__":
    try:
        status = main()
    finally:
        shutil.rmtree(harness.SCRATCH, ignore_errors=True)
    sys.exit(status)
