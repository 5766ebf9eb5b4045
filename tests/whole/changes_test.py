#!/usr/bin/python3
"""What changes under a run, and what a run finds when it goes on: nothing wrong ever stands under a final name."""

import json
import os
import shutil
import signal
import subprocess
import time

import harness


class ChangesTest(harness.WholeTest):
    """Catches a run in its work: the journal tells how far it is."""

    def setUp(self):
        super().setUp()
        harness.write_calibration(self.dir / "calib.jsonl", samples=6, repeat=4)
        self.source = self.model(hidden_size=128, intermediate_size=384, num_hidden_layers=10, vocab_size=1024)
        self.weights = self.source / "model.safetensors"
        self.path = self.recipe()
        self.journal = self.out / ".modelslim" / "journal.jsonl"

    def caught(self, act, units=2, more=()):
        """Runs quant, calls `act` when `units` are finished, and returns the status and what was said."""
        for _ in range(10):
            shutil.rmtree(self.out, ignore_errors=True)
            command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(self.source, self.path)), "--threads", "1", *more]
            process = subprocess.Popen(
                command, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
            )
            in_time = False
            while process.poll() is None and not in_time:
                # Its first line is the run itself.
                if self.journal.exists() and self.journal.read_bytes().count(b"\n") > units:
                    process.send_signal(signal.SIGSTOP)  # so that it does not win the race against us
                    in_time = not (self.out / "quant_model_description.json").exists()
                    if in_time:
                        act(process)
                    process.send_signal(signal.SIGCONT)
                time.sleep(0.001)
            said = "".join(process.communicate(timeout=120))
            if in_time:
                return process.returncode, said
        self.skipTest("could not catch the program in the middle of a run")

    def interrupted(self, units=2):
        status, said = self.caught(lambda process: process.send_signal(signal.SIGINT), units)
        self.assertEqual(status, 130, said[-2000:])

    def assertStopped(self, result, *phrases):
        status, said = result
        self.assertEqual(status, 1, said[-3000:])
        for phrase in phrases:
            self.assertIn(phrase, said)
        self.assertNothingComplete()
        self.assertEqual([path.name for path in self.out.glob("*") if path.is_file() and path.suffix != ".partial"], [])

    def clean(self):
        out = self.dir / "clean"
        shutil.rmtree(out, ignore_errors=True)
        self.quantized(self.source, self.path, out=out)
        return out

    # ---- the source ----

    def test_weights_written_in_place(self):
        def spoil(_):
            with open(self.weights, "r+b") as file:
                file.seek(self.weights.stat().st_size // 2)
                file.write(bytes(4096))

        self.assertStopped(self.caught(spoil), self.weights.name, "changed meanwhile")
        # What was finished belongs to the weights as they were: none of it is used again.
        self.quantized(self.source, self.path)
        self.assertSameProducts(self.clean(), self.out)

    def test_weights_replaced(self):
        def replace(_):
            copy = self.weights.with_suffix(".new")
            shutil.copyfile(self.weights, copy)
            os.replace(copy, self.weights)

        self.assertStopped(self.caught(replace), self.weights.name, "changed meanwhile")

    def test_weights_cut_short(self):
        status, said = self.caught(lambda _: os.truncate(self.weights, 65536))
        self.assertStopped((status, said), self.weights.name, "Code: 201", "TIP: ")

    def test_files_that_are_copied(self):
        for name in ("config.json", "tokenizer.json"):
            whole = (self.source / name).read_bytes()
            with self.subTest(name):
                changed = lambda _, name=name, whole=whole: (self.source / name).write_bytes(whole + b" ")  # noqa: E731
                self.assertStopped(self.caught(changed), name, "changed meanwhile")
            (self.source / name).write_bytes(whole)

    # ---- what goes on ----

    def test_a_text_that_decides_starts_over(self):
        """Also where neither names nor shapes nor token ids tell."""

        def in_config(text):
            return json.dumps({**json.loads(text), "rms_norm_eps": 0.01})

        for name, change in (("config.json", in_config), ("tokenizer_config.json", lambda text: text + " ")):
            with self.subTest(name):
                self.interrupted()
                path = self.source / name
                whole = path.read_text()
                path.write_text(change(whole))
                done = self.quantized(self.source, self.path)
                self.assertNotIn("were there already", done.stdout)
                self.assertSameProducts(self.clean(), self.out)
                path.write_text(whole)

    def partial(self, tensor):
        """The unfinished shard and where in it `tensor` lies."""
        path = self.out / "quant_model_weights.safetensors.partial"
        header, begin = harness.header_of(path)
        return path, begin + header[tensor]["data_offsets"][0]

    def flip(self, tensor):
        path, at = self.partial(tensor)
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))

    def test_a_finished_tensor_that_changed(self):
        self.interrupted()
        self.flip("model.layers.0.mlp.up_proj.weight")
        done = self.quantized(self.source, self.path)
        self.assertIn("model.layers.0.mlp.up_proj.weight", done.stderr)
        self.assertIn("--fresh", done.stderr)
        self.assertSameProducts(self.clean(), self.out)

    def test_going_on_names_fresh(self):
        self.interrupted()
        done = self.quantized(self.source, self.path)
        self.assertIn("were there already", done.stdout)
        self.assertRegex(done.stderr, "going on .*--fresh")
        self.assertSameProducts(self.clean(), self.out)

    def test_numbers_of_the_journal(self):
        clean, left = self.clean(), self.dir / "left"
        self.interrupted()
        self.out.rename(left)
        for key, value in (
            ("unit", -1), ("unit", 2**31), ("unit", 1e300), ("unit", 10**40), ("unit", "0"), ("unit", 7), ("tensors", {}),
            ("tensors", {"model.layers.9.mlp.up_proj.weight": "0" * 32}), ("hidden", [{"file": "hidden-0", "dtype": "F64", "hash": ""}]),
            ("hidden", [{"file": "../../calib.jsonl", "dtype": "F32", "hash": ""}]), ("facts", "[]"),
            ("facts", '{"tensors":[],"experts":[{"name":"e","tokens":[1e300]}]}'),
        ):  # fmt: skip
            with self.subTest(key, value=value):
                shutil.copytree(left, self.out)
                lines = self.journal.read_text().splitlines()
                last = json.loads(lines[-1])
                last[key] = value
                self.journal.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
                self.quantized(self.source, self.path)
                self.assertSameProducts(clean, self.out)
                shutil.rmtree(self.out)

    # ---- reading back ----

    def test_what_does_not_read_back_gets_no_name(self):
        result = self.caught(lambda _: self.flip("model.layers.0.mlp.up_proj.weight"))
        self.assertStopped(result, "model.layers.0.mlp.up_proj.weight", "not published")
        self.quantized(self.source, self.path)
        self.assertSameProducts(self.clean(), self.out)

    def test_an_older_output_stays_until_the_new_one_was_read_back(self):
        first = self.recipe(harness.recipe(harness.DYNAMIC), "first.yaml")
        self.quantized(self.source, first)
        before = harness.products(self.out)
        command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(self.source, self.path)), "--threads", "1"]
        process = subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (self.journal.exists() and self.journal.read_bytes().count(b"\n") > 2):
            time.sleep(0.001)
        process.kill()
        process.wait()
        kept = {name: digest for name, digest in harness.products(self.out).items() if not name.endswith(".partial")}
        self.assertEqual(kept, before)
        self.assertSucceeded(harness.run("verify", self.out))
        self.quantized(self.source, self.path)
        self.assertSameProducts(self.clean(), self.out)
        self.assertEqual(list(self.out.glob("*.partial")), [])

    def test_another_run_takes_the_leavings_away(self):
        self.interrupted()
        other = self.recipe(harness.recipe(harness.STATIC, part_file_size=4), "other.yaml")
        self.quantized(self.source, other)
        self.assertEqual(list(self.out.glob("*.partial")), [])


if __name__ == "__main__":
    harness.main()
