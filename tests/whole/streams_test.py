#!/usr/bin/python3
"""Standard input, output and error: closed, full, and with text in them that a terminal would obey."""

import json
import os
import pathlib
import pty
import re
import struct
import subprocess

import harness

# What no terminal may get: control characters but newline and tab, C1, marks and overrides of the direction.
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
EVIL = ["\x1b[31mRED", "a\x07", "\x9b31m", "\u202egnp", "\u2066x", "cr\rlf", "\x7f"]


class ClosedTest(harness.WholeTest):
    def test_closed_descriptors(self):
        """The first files that the program opens must not become its standard output."""
        model, path = self.model(hidden_size=64, num_hidden_layers=2), self.recipe()
        self.quantized(model, path)
        command = [harness.PROGRAM, "quant", "--model_path", model, "--config_path", path, "--save_path"]
        for number, closed in enumerate(([0], [1], [2], [0, 1], [1, 2], [0, 1, 2])):
            with self.subTest(closed=closed):
                out = self.dir / f"out-{number}"

                def close(closed=closed):
                    for descriptor in closed:
                        os.close(descriptor)

                done = subprocess.run([*command, out], cwd=self.dir, preexec_fn=close, close_fds=False)
                self.assertEqual(done.returncode, 0)
                self.assertSameProducts(self.out, out)


class FullTest(harness.WholeTest):
    def printing(self, *arguments, stdout):
        return subprocess.run([harness.PROGRAM, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=self.dir)

    def test_what_cannot_be_printed_is_an_error(self):
        model, path = self.model(hidden_size=64, num_hidden_layers=1), self.recipe()
        self.quantized(model, path)
        commands = [["plan", "--model_path", model, "--config_path", path], ["plan", "--model_path", model, "--config_path", path, "--json"],
                    ["recipe", "schema"], ["recipe", "explain", path], ["recipe", "check", path], ["completion", "bash"],
                    ["models"], ["processors"], ["practices"], ["--help"], ["--version"], ["quant", "--help"],
                    ["verify", self.out]]  # fmt: skip
        for command in commands:
            with self.subTest(command[:2]), open("/dev/full", "w") as full:
                done = self.printing(*command, stdout=full)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("standard output: No space left on device", done.stderr)
                self.assertEqual(done.stderr.count("Code: "), 1)

    def test_the_plan_cannot_be_printed(self):
        """Found out before the work."""
        model, path = self.model(hidden_size=64, num_hidden_layers=1), self.recipe()
        with open("/dev/full", "w") as full:
            done = self.printing("quant", "--model_path", model, "--config_path", path, "--save_path", self.out, stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertFalse(self.out.exists())

    def test_nobody_reads(self):
        read, write = os.pipe()
        os.close(read)
        done = self.printing("recipe", "schema", stdout=write)
        os.close(write)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Broken pipe", done.stderr)


class PrintableTest(harness.WholeTest):
    def shown(self, *arguments):
        done = subprocess.run([harness.PROGRAM, *map(str, arguments)], capture_output=True, cwd=self.dir)
        self.assertIn(done.returncode, (0, 1))
        text = (done.stdout + done.stderr).decode("utf-8")  # an error here: bytes that are no UTF-8
        self.assertEqual(RAW.findall(text), [], text[-2000:])
        return text

    def test_recipes(self):
        recipe = harness.recipe(harness.DYNAMIC)
        for evil in EVIL:
            quoted = json.dumps(evil)
            for place in ("modelslim_v1", "calib.jsonl", "linear_quant", "ascendv1_saver", "per_token", "per_channel"):
                for value in (quoted, evil):
                    path = self.recipe(recipe.replace(place, value), "evil.yaml")
                    with self.subTest(place=place, value=value):
                        self.shown("recipe", "check", path)
                        self.shown("recipe", "explain", path)

    def test_models(self):
        model, path = self.model(hidden_size=64, num_hidden_layers=1, tie_word_embeddings=True), self.recipe(harness.recipe(harness.DYNAMIC))
        plan = ["plan", "--model_path", model, "--config_path", path]
        config = json.loads((model / "config.json").read_text())
        for evil in EVIL:
            for key in ("model_type", "torch_dtype", "hidden_act", "hidden_size", "architectures"):
                (model / "config.json").write_text(json.dumps({**config, key: evil}, ensure_ascii=False))
                with self.subTest(key, evil=evil):
                    self.shown(*plan)
        (model / "config.json").write_text(json.dumps(config))
        weights = (model / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", weights[:8])[0]
        header, data = json.loads(weights[8 : 8 + size]), weights[8 + size :]
        for evil in EVIL:
            header[evil] = {"dtype": "F32", "shape": [0], "data_offsets": [len(data)] * 2}
        text = json.dumps(header, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        (model / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        self.assertIn("--drop", self.shown(*plan))  # the error lists them
        plan += ["--drop", "*"]
        self.shown(*plan, "--tensors")
        listed = subprocess.run([harness.PROGRAM, *map(str, plan), "--json"], capture_output=True, cwd=self.dir)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertEqual(RAW.findall(listed.stdout.decode("utf-8")), [])
        self.assertLessEqual(set(EVIL), {tensor["name"] for tensor in json.loads(listed.stdout)["unused_tensors"]})  # still what they are, for programs
        self.shown("quant", *plan[1:], "--save_path", self.out)
        description = self.out / "quant_model_description.json"
        listed = json.loads(description.read_text())
        for evil in EVIL:
            listed[evil] = "FLOAT"
            listed["model.norm.weight"] = evil
            description.write_text(json.dumps(listed, ensure_ascii=False))
            self.assertIn("problem", self.shown("verify", self.out))

    def test_paths_and_arguments(self):
        for evil in (*EVIL, os.fsdecode(b"\x9b31m")):
            with self.subTest(evil):
                self.shown_or_usage("plan", "--model_path", evil)
                self.shown_or_usage("verify", evil)
                self.shown_or_usage("recipe", "check", evil)
                self.shown_or_usage(evil)
                self.shown_or_usage("plan", "--" + evil)

    def shown_or_usage(self, *arguments):
        done = subprocess.run([harness.PROGRAM, *arguments], capture_output=True, cwd=self.dir)
        self.assertIn(done.returncode, (1, 2))
        self.assertEqual(RAW.findall((done.stdout + done.stderr).decode("utf-8")), [])

    def test_colours_are_still_ours(self):
        """On a terminal mistakes in a recipe are red, and the recipe's own colours are not."""
        path = self.recipe("apiversion: modelslim_v1 # \x1b[1;31m \x1b[5m\nspec: {runner: wrong}\n")
        leader, follower = pty.openpty()
        done = subprocess.Popen([harness.PROGRAM, "recipe", "check", path], stdout=follower, stderr=follower)
        os.close(follower)
        text = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            text += piece
        done.wait()
        os.close(leader)
        self.assertEqual(set(re.findall(rb"\x1b\[[^m]*m", text)), {b"\x1b[0m", b"\x1b[1m", b"\x1b[1;31m"})
        self.assertNotIn(b"\x1b[5m", text)


if __name__ == "__main__":
    harness.main()
