#!/usr/bin/python3
"""What the plan says a run will take against what it takes: never less, and at most half as much more.

Measured is the peak of anonymous memory (RssAnon), as the program reports it and as it looks from outside, whichever is more. The
golden cases are tiny, so they test what every process takes; the random models have layers that outweigh it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

import harness

sys.path.insert(0, str(harness.SOURCE / "bench"))
import memory_cases  # noqa: E402

MEBI = 1 << 20
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def measured(arguments, cwd):
    """Runs the program; (result, peak bytes of anonymous memory)."""
    process = subprocess.Popen([str(harness.PROGRAM), *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0

    def sample():
        nonlocal peak
        while process.poll() is None:
            try:
                found = re.search(r"RssAnon:\s+(\d+) kB", pathlib.Path(f"/proc/{process.pid}/status").read_text())
            except OSError:
                break
            peak = max(peak, int(found.group(1)) << 10 if found else 0)
            time.sleep(0.001)

    sampler = threading.Thread(target=sample)
    sampler.start()
    out, err = process.communicate()
    sampler.join()
    said = re.search(r"peak memory +([\d.]+) (\w+) anonymous", out)
    if said:
        peak = max(peak, int(float(said.group(1)) * UNITS[said.group(2)]))
    return subprocess.CompletedProcess(arguments, process.returncode, out, err), peak


def planned(arguments, cwd):
    """peak_memory of `plan` for the arguments of `quant`, or None when it is refused."""
    words = list(map(str, arguments[1:]))
    if "--save_path" in words:
        at = words.index("--save_path")
        del words[at : at + 2]
    words = [word for word in words if word not in ("--no-verify",)]
    done = harness.run("plan", "--json", *words, cwd=cwd)
    return json.loads(done.stdout)["peak_memory"] if done.returncode == 0 else None


class MemoryTest(harness.WholeTest):
    def compare(self, name, arguments, cwd, may_be_refused=False):
        plan = planned(arguments, cwd)
        if plan is None:
            self.assertTrue(may_be_refused, f"{name} is refused")
            return
        done, peak = measured(arguments, cwd)
        self.assertSucceeded(done)
        ratio = plan / peak
        print(f"    {name:56} planned {plan / MEBI:8.1f} MiB, measured {peak / MEBI:8.1f} MiB, ratio {ratio:.2f}", flush=True)
        if os.environ.get("MODELSLIM_SANITIZED"):
            return  # a sanitizer has memory of its own
        with self.subTest(name):
            self.assertGreaterEqual(ratio, 1.0)
            self.assertLessEqual(ratio, 1.5)

    def test_golden_recipes(self):
        extra = os.environ.get("MODELSLIM_GOLDEN")
        root = pathlib.Path(extra) / "llm" if extra else harness.BUILD / "golden" / "llm"
        for folder in sorted((root / "cases").iterdir()):
            if not (folder / "case.json").exists():
                continue
            case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
            if case["tag"] == "S":
                continue
            command = [str(self.dir / folder.name) if word == "OUT" else word for word in case["command"]]
            self.compare(folder.name, command, root, may_be_refused=True)

    def models(self):
        yield "dense", self.model(
            "dense", family="qwen2", hidden_size=640, intermediate_size=2560, num_hidden_layers=3, num_attention_heads=10,
            num_key_value_heads=2, vocab_size=20000,
        ), "Qwen2.5-7B-Instruct"  # fmt: skip
        yield "moe", self.model(
            "moe", family="qwen3_moe", hidden_size=512, moe_intermediate_size=384, num_hidden_layers=2, num_attention_heads=8,
            num_experts=24, num_experts_per_tok=4, vocab_size=4000,
        ), "Qwen3-30B"  # fmt: skip
        yield "deepseek", self.model(
            "deepseek", family="deepseek_v3", hidden_size=640, intermediate_size=1536, moe_intermediate_size=384, num_hidden_layers=2,
            num_attention_heads=8, num_key_value_heads=8, n_routed_experts=16, q_lora_rank=192, kv_lora_rank=128, vocab_size=4000, fp8=True,
        ), "DeepSeek-V3"  # fmt: skip

    def test_random_models(self):
        harness.write_calibration(self.dir / "calib.jsonl", samples=12, repeat=8)
        for family, model, model_type in self.models():
            for name in memory_cases.RECIPES:
                if name in memory_cases.UNFIT.get(family, ()):
                    continue
                recipe = self.recipe(memory_cases.recipe(name, "calib.jsonl"))
                self.compare(f"{family}, {name}", ["quant", *self.arguments(model, recipe, self.dir / "out", model_type)], self.dir)

    def test_a_limit_is_kept(self):
        """With and without calibration data: what is measured stays below --memory, and less than the least is refused."""
        harness.write_calibration(self.dir / "calib.jsonl", samples=12, repeat=8)
        _, model, model_type = next(self.models())
        for name in ("int8 dynamic", "quarot, int8 dynamic", "iter_smooth, int8 static"):
            recipe = self.recipe(memory_cases.recipe(name, "calib.jsonl"))
            out = self.dir / name.replace(" ", "_")
            arguments = self.arguments(model, recipe, out, model_type)
            refused = harness.run("quant", *arguments, "--memory", "1MiB", cwd=self.dir)
            self.assertRefused(refused, "the memory limit is 1.00 MiB", "needs about", codes={200})
            self.assertFalse(out.exists() and list(out.iterdir()))
            least = float(re.search(r"needs about ([\d.]+) MiB", refused.stderr).group(1))
            for limit in (least * 1.02 + 0.2, least * 1.3):
                done, peak = measured(["quant", *arguments, "--memory", f"{limit:.1f}MiB"], self.dir)
                self.assertSucceeded(done)
                if not os.environ.get("MODELSLIM_SANITIZED"):
                    self.assertLessEqual(peak, limit * MEBI, name)


if __name__ == "__main__":
    harness.main()
