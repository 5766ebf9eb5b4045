#!/usr/bin/python3
"""tools/attack finds what it is meant to find, says how to see it again, and makes the same cases of the same seed."""

import pathlib
import subprocess
import sys

import harness

# The program with a fault: what it does wrong is named by FAULT.
FAULTY = f"""#!{sys.executable}
import os, pathlib, subprocess, sys, time
real, fault, words = {str(harness.PROGRAM)!r}, os.environ.get("FAULT", ""), sys.argv[1:]
def after(option):
    return pathlib.Path(words[words.index(option) + 1]) if option in words else None
source, out = after("--model_path"), after("--save_path")
quant = words[:1] == ["quant"]
resumed = out is not None and (out / ".modelslim").exists()
if fault == "crash" and quant:
    os.kill(os.getpid(), 11)
if fault == "hang" and quant:
    time.sleep(60)
if fault == "escape":
    print("\\x1b[31mred")
if fault == "sanitizer":
    print("x.cc:1: runtime error: shift exponent 64 is too large", file=sys.stderr)
if fault == "source" and quant:
    (source / "config.json").write_text("{{}}")
if fault in ("two codes", "our fault", "leaves") and quant:
    out.mkdir(parents=True, exist_ok=True)
    if fault == "leaves":
        (out / "config.json").write_text("{{}}")
    print("Code: 500, Message: x" + ("\\nTIP: please report this" if fault == "our fault" else ""), file=sys.stderr)
    if fault == "two codes":
        print("Code: 500, Message: y", file=sys.stderr)
    sys.exit(1)
if fault == "believes" and words[:1] == ["verify"]:
    sys.exit(0)
status = subprocess.call([real, *words])
if fault == "forgets" and resumed and status == 0 and (out / "generation_config.json").exists():
    (out / "generation_config.json").write_text("[]")
if fault == "exit":
    sys.exit(77)
sys.exit(status)
"""


class AttackTest(harness.WholeTest):
    def attack(self, *arguments, fault="", found="found"):
        program = self.dir / "modelslim"
        program.write_text(FAULTY)
        program.chmod(0o755)
        command = [sys.executable, harness.SOURCE / "tools" / "attack", "--program", program, "--found", self.dir / found, "--jobs", "1"]
        return subprocess.run(
            [*map(str, command), *map(str, arguments)], capture_output=True, text=True, env={**harness.os.environ, "FAULT": fault}, timeout=600
        )

    def test_every_fault_is_found(self):
        faults = {
            "crash": ("ways", "died of signal 11"), "hang": ("ways", "hangs"), "escape": ("ways", "control characters"), "sanitizer": ("ways", "sanitizer"),
            "source": ("ways", "the source was changed"), "two codes": ("out_of_the_model", "without exactly one code"),
            "our fault": ("out_of_the_model", "please report"), "leaves": ("out_of_the_model", "under final names after an error"),
            "believes": ("flips", "verify accepts"), "forgets": ("work_directory", ""), "exit": ("ways", "status 77"),
        }  # fmt: skip
        for fault, (attack, words) in faults.items():
            with self.subTest(fault):
                # Where a kill strikes decides whether there is anything to forget.
                for case in range(3, 15 if fault == "forgets" else 4):
                    done = self.attack("--seed", 5, "--case", case, "--attack", attack, "--timeout", 20 if fault != "hang" else 2, fault=fault)
                    if done.returncode == 1:
                        break
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("FOUND", done.stdout)
                self.assertIn(words, done.stdout)
                self.assertIn(f"repeat  tools/attack --seed 5 --case {case} --program {self.dir}/modelslim --attack {attack}", done.stdout)
                self.assertTrue((self.dir / "found" / f"seed-5-case-{case}" / "FINDING.txt").exists())

    def test_without_a_fault_nothing_is_found(self):
        for attack in ("ways", "out_of_the_model", "flips", "work_directory"):
            with self.subTest(attack):
                done = self.attack("--seed", 5, "--case", 3, "--attack", attack)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_same_seed_makes_the_same_case(self):
        def files(folder):
            return {name: digest for name, digest in harness.digests(folder).items() if pathlib.Path(name).parts[0] in ("model", "recipe.yaml", "calib.jsonl")}

        for case in range(4):
            for found in ("one", "other"):
                self.attack("--seed", 9, "--case", case, found=found)
            made = [files(self.dir / found / f"seed-9-case-{case}") for found in ("one", "other")]
            self.assertEqual(made[0], made[1])
            self.assertTrue(made[0])

    def test_wrong_command_lines(self):
        self.assertEqual(self.attack("--attack", "nothing").returncode, 2)
        done = subprocess.run([sys.executable, harness.SOURCE / "tools" / "attack", "--program", "/no/such"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("/no/such", done.stderr)


if __name__ == "__main__":
    harness.main()
