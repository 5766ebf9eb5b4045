#!/usr/bin/python3
"""kill -9 at any moment, then the same command again: the output is the one of an uninterrupted run, to the byte."""

import random
import shutil
import signal
import subprocess
import time
import unittest

import harness

MOMENTS = 20


class KillTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        harness.write_calibration(self.dir / "calib.jsonl", samples=8, repeat=6)
        self.source = self.model(
            hidden_size=384, intermediate_size=1152, num_hidden_layers=8, num_attention_heads=6, num_key_value_heads=2,
            vocab_size=8192, shard_bytes=12 << 20, dtype="float32",
        )  # fmt: skip
        self.random = random.Random(20251222)

    def start(self, recipe, out):
        arguments = self.arguments(self.source, recipe, out)
        command = [str(harness.PROGRAM), "quant", *map(str, arguments)]
        return subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def killed_after(self, recipe, out, seconds):
        """Runs for `seconds`, then kill -9. True where the run was still going on."""
        process = self.start(recipe, out)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        self.assertEqual(process.returncode, 0)
        return False

    def check(self, text):
        recipe = self.recipe(text)
        sources = harness.digests(self.source)
        whole = self.dir / "whole"
        begin = time.monotonic()
        self.quantized(self.source, recipe, out=whole)
        length = time.monotonic() - begin
        kills, resumed = 0, 0
        while kills < MOMENTS:
            out = self.dir / f"killed-{kills}"
            rounds = self.random.choice([1, 1, 1, 3])  # some runs are hit again and again
            for _ in range(rounds):
                if not self.killed_after(recipe, out, self.random.uniform(0.01, 1.0) * length):
                    break
                kills += 1
                description = out / "quant_model_description.json"
                if description.exists():  # published: then it has to be whole
                    self.assertSucceeded(harness.run("verify", out))
            else:
                done = self.quantized(self.source, recipe, out=out)
                resumed += "were there already" in done.stdout
            self.assertSameProducts(whole, out)
            self.assertEqual(harness.digests(self.source), sources)
            shutil.rmtree(out)
        self.assertGreater(resumed, 0, "no run found anything of the one before: the test tests nothing, or resuming is broken")

    def test_static_activations_in_one_file(self):
        self.check(harness.recipe(harness.STATIC, harness.SMOOTH))

    def test_data_free_in_shards(self):
        self.check(harness.recipe(harness.DYNAMIC, part_file_size=4))


class ResumeTest(harness.WholeTest):
    """What else has to hold when a run goes on after an interruption."""

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=256, num_hidden_layers=6, vocab_size=4096)

    def interrupted(self, recipe):
        for part in (0.5, 0.35, 0.65, 0.2, 0.8):
            begin = time.monotonic()
            self.quantized(self.source, recipe, out=self.dir / "timing", env={})
            length = time.monotonic() - begin
            shutil.rmtree(self.dir / "timing")
            command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(self.source, recipe))]
            process = subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(length * part)
            process.kill()
            process.wait()
            if self.out.exists() and not (self.out / "quant_model_description.json").exists():
                return
            shutil.rmtree(self.out, ignore_errors=True)
        self.skipTest("could not catch the program in the middle of a run")

    def test_another_recipe_does_not_reuse_the_old_work(self):
        self.interrupted(self.recipe(harness.recipe(harness.STATIC), "first.yaml"))
        second = self.recipe(harness.recipe(harness.DYNAMIC), "second.yaml")
        self.quantized(self.source, second)
        self.quantized(self.source, second, out=self.dir / "clean")
        self.assertSameProducts(self.dir / "clean", self.out)

    def test_another_source_does_not_reuse_the_old_work(self):
        recipe = self.recipe()
        self.interrupted(recipe)
        shutil.rmtree(self.source)
        self.source = self.model(hidden_size=256, num_hidden_layers=6, vocab_size=4096, seed=1)
        self.quantized(self.source, recipe)
        self.quantized(self.source, recipe, out=self.dir / "clean")
        self.assertSameProducts(self.dir / "clean", self.out)

    def test_another_calibration_file_does_not_reuse_the_old_work(self):
        recipe = self.recipe()
        self.interrupted(recipe)
        harness.write_calibration(self.dir / "calib.jsonl", samples=3, repeat=2)
        self.quantized(self.source, recipe)
        self.quantized(self.source, recipe, out=self.dir / "clean")
        self.assertSameProducts(self.dir / "clean", self.out)

    def test_fresh_starts_again(self):
        recipe = self.recipe()
        self.interrupted(recipe)
        self.quantized(self.source, recipe, "--fresh")
        self.quantized(self.source, recipe, out=self.dir / "clean")
        self.assertSameProducts(self.dir / "clean", self.out)

    def test_a_spoilt_journal_does_not_spoil_the_output(self):
        recipe = self.recipe()
        self.interrupted(recipe)
        self.quantized(self.source, recipe, out=self.dir / "clean")
        for path in self.out.rglob("*"):
            if path.is_file() and "journal" in path.name:
                text = path.read_bytes()
                path.write_bytes(text[: len(text) // 2] + b"\x00garbage{\n")
        self.quantized(self.source, recipe)
        self.assertSameProducts(self.dir / "clean", self.out)

    def test_a_run_over_a_finished_output_gives_the_same(self):
        recipe = self.recipe()
        self.quantized(self.source, recipe)
        before = harness.products(self.out)
        self.quantized(self.source, recipe)
        self.assertEqual(harness.products(self.out), before)


if __name__ == "__main__":
    harness.main()
