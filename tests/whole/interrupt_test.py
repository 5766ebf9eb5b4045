#!/usr/bin/python3
"""Ctrl-C and a polite kill: the program stops soon, says how to go on, and goes on."""

import fcntl
import os
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

    def test_while_it_plans(self):
        """A full pipe holds the program where it prints its plan, before the work begins."""
        reader, writer = os.pipe()
        os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)))
        command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(self.source, self.path))]
        process = subprocess.Popen(command, cwd=self.dir, stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        os.close(writer)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        with open(reader, "rb") as stdout:
            stdout.read()
        said = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("goes on", said)
        self.assertNothingComplete()

    def test_analyze_keeps_nothing(self):
        command = [str(harness.PROGRAM), "analyze", "--model_type", "Qwen2.5-7B-Instruct", "--model_path", self.source]
        for wait in (0.2, 0.1, 0.4, 0.05, 0.8):
            process = subprocess.Popen(
                [*command, "--calib_dataset", "calib.jsonl"], cwd=self.dir, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
            if process.returncode == 130:
                break
        self.assertEqual(process.returncode, 130, said)
        self.assertTrue(said.endswith("Stopped.\n"), said)


if __name__ == "__main__":
    harness.main()
