#!/usr/bin/python3
"""Ctrl-C and a polite kill: the program stops soon, says how to go on, and goes on."""

import shutil
import signal
import subprocess
import time

import harness


class InterruptTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        harness.write_calibration(self.dir / "calib.jsonl", samples=16, repeat=12)
        self.source = self.model(hidden_size=512, intermediate_size=1536, num_hidden_layers=10, vocab_size=8192)
        self.path = self.recipe()
        self.whole = self.dir / "whole"
        begin = time.monotonic()
        self.quantized(self.source, self.path, out=self.whole)
        self.length = time.monotonic() - begin

    def stopped(self, which):
        """Sends `which` in the middle of a run; returns the status and what was said, or None when it came too late."""
        command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(self.source, self.path))]
        process = subprocess.Popen(
            command, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
        )
        time.sleep(self.length * 0.4)
        process.send_signal(which)
        sent = time.monotonic()
        stdout, stderr = process.communicate(timeout=60)
        self.assertLess(time.monotonic() - sent, 20)
        return process.returncode, stdout + stderr

    def check(self, which):
        for _ in range(5):
            status, said = self.stopped(which)
            if status != 0:
                break
            shutil.rmtree(self.out)
        self.assertIn(status, (130, 128 + which), said[-3000:])
        self.assertRegex(said.lower(), "again|resume|goes on|go on|continue")
        self.assertNothingComplete()
        self.quantized(self.source, self.path)
        self.assertSameProducts(self.whole, self.out)

    def test_interrupt(self):
        self.check(signal.SIGINT)

    def test_terminate(self):
        self.check(signal.SIGTERM)


if __name__ == "__main__":
    harness.main()
