#!/usr/bin/python3
"""Threads that the system refuses: the run goes on with those that there are, and ends in the same bytes."""

import os
import resource
import shutil
import subprocess
import unittest

import harness


class ThreadsTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=2)
        self.path = self.recipe(harness.recipe(harness.STATIC, dataset=str(self.dir / "calib.jsonl")))
        self.quantized(self.source, self.path)

    def command(self, out, threads, program=harness.PROGRAM):
        return [program, "quant", "--model_path", self.source, "--config_path", self.path, "--save_path", out, "--threads", str(threads)]

    def test_more_than_any_machine_has(self):
        out = self.dir / "many"
        done = harness.run(*self.command(out, 100000)[1:])
        self.assertSucceeded(done)
        self.assertIn("--threads 100000", done.stderr)
        self.assertSameProducts(self.out, out)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become a user whose threads can be counted")
    def test_a_limit_on_processes(self):
        for path in (harness.SCRATCH, self.dir):
            path.chmod(0o755)
        own = self.dir / "modelslim"
        shutil.copy(harness.PROGRAM, own)
        (self.dir / "open").mkdir()
        (self.dir / "open").chmod(0o777)
        # 1: not even one beside the first; 2 and 3: one of the pool, and one more.
        for limit, threads in ((1, 1), (1, 4), (2, 2), (3, 2), (5, 40)):
            with self.subTest(limit=limit, threads=threads):
                out = self.dir / "open" / f"{limit}-{threads}"
                done = subprocess.run(
                    self.command(out, threads, own), user=65534, group=65534, extra_groups=[], cwd="/", timeout=120,
                    preexec_fn=lambda limit=limit: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit)),
                    capture_output=True, text=True,
                )  # fmt: skip
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertSameProducts(self.out, out)

    def test_a_limit_on_address_space(self):
        """Some stacks fit and some do not; what is left may be too little to work in, but that is said."""
        for size in (200 << 20, 300 << 20, 400 << 20, 600 << 20):
            with self.subTest(size=size):
                out = self.dir / str(size)
                done = subprocess.run(
                    self.command(out, 60), timeout=120, capture_output=True, text=True,
                    preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_AS, (size, size)),
                )  # fmt: skip
                self.assertIn(done.returncode, (0, 1), done.stderr)
                if done.returncode:
                    self.assertRefused(done)
                else:
                    self.assertSameProducts(self.out, out)


if __name__ == "__main__":
    harness.main()
