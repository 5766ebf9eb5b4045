#!/usr/bin/python3
"""Disks that are full, read-only or not ours: a clear error, nothing that looks complete, and a good run once there is room."""

import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import unittest

import harness

libc = ctypes.CDLL(None, use_errno=True)


def mount_small(folder, size, read_only=False):
    """A RAM disk of `size` bytes at `folder`; false where mounting is not allowed."""
    options = f"size={size}" + (",ro" if read_only else "")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    return done.returncode == 0


class DiskTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=256, num_hidden_layers=6, vocab_size=8192)
        self.mounted = None

    def tearDown(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.mounted], check=False)
        super().tearDown()

    def small_disk(self, size, **how):
        folder = self.dir / "disk"
        folder.mkdir()
        if os.geteuid() != 0 or not mount_small(folder, size, **how):
            self.skipTest("cannot mount a small disk here")
        self.mounted = folder
        return folder

    def test_full_disk(self):
        disk = self.small_disk(4 << 20)
        for text in (harness.recipe(harness.STATIC), harness.recipe(harness.DYNAMIC, part_file_size=4)):
            done = self.quant(self.source, self.recipe(text), out=disk / "out")
            self.assertRefused(done)
            self.assertRegex(done.stderr.lower(), "space|full")
            self.assertNothingComplete(disk / "out")

    def test_a_run_goes_on_once_there_is_room(self):
        disk = self.small_disk(4 << 20)
        recipe = self.recipe()
        self.assertRefused(self.quant(self.source, recipe, out=disk / "out"))
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        self.quantized(self.source, recipe, out=disk / "out")
        self.quantized(self.source, recipe)
        self.assertSameProducts(self.out, disk / "out")

    def test_room_that_ends_in_the_middle(self):
        """Where the file system cannot promise room beforehand, the error comes from a write."""

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = self.quant(self.source, self.recipe(), preexec_fn=limit)
        self.assertRefused(done)
        self.assertNothingComplete()
        self.quantized(self.source, self.recipe())

    def test_read_only_disk(self):
        disk = self.small_disk(4 << 20, read_only=True)
        done = self.quant(self.source, self.recipe(), out=disk / "out")
        self.assertRefused(done, str(disk / "out"))

    def test_output_below_a_file(self):
        (self.dir / "file").write_text("not a directory")
        done = self.quant(self.source, self.recipe(), out=self.dir / "file" / "out")
        self.assertRefused(done, "file")

    def test_output_is_a_file(self):
        self.out.write_text("not a directory")
        self.assertRefused(self.quant(self.source, self.recipe()), str(self.out))
        self.assertEqual(self.out.read_text(), "not a directory")

    def test_output_of_another_user(self):
        self.out.mkdir(mode=0o500)
        how = {}
        if os.geteuid() == 0:
            self.dir.chmod(0o755)
            harness.SCRATCH.chmod(0o755)
            how = {"user": 65534, "group": 65534, "extra_groups": []}
            try:
                subprocess.run([str(harness.PROGRAM), "--help"], capture_output=True, check=True, **how)
            except (PermissionError, subprocess.CalledProcessError):  # a build below a home that others cannot enter
                self.skipTest("another user cannot start the program here")
        done = self.quant(self.source, self.recipe(), **how)
        self.assertRefused(done, str(self.out))

    def test_too_many_open_files(self):
        source = self.model("shards", hidden_size=64, num_hidden_layers=12, shard_bytes=40000)

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        done = self.quant(source, self.recipe(), preexec_fn=limit)
        if done.returncode != 0:
            self.assertRefused(done)
            self.assertNothingComplete()


if __name__ == "__main__":
    harness.main()
