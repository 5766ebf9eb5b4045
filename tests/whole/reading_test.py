#!/usr/bin/python3
"""JSON as Python reads it, data sets of other shapes, tokenizer files that are copied, cannot be read or never end."""

import json
import os
import signal
import subprocess
import time
import unittest

import harness

HUGE = "1000000000000000019884624838656"
# What Python's json module reads and a stricter reader refuses.
ODD = (HUGE, "-" + HUGE, "NaN", "Infinity", "-Infinity", "1e999", r'"\ud800"', r'{"\udfff": 1}')


class JsonTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(num_hidden_layers=1)
        harness.write_calibration(self.dir / "calib.jsonl")

    def with_member(self, name, member):
        """The source's file of that name with one member more, which nothing reads."""
        path = self.source / name
        whole = path.read_text()
        path.write_text(f'{whole.rstrip()[:-1]}, "unread": {member}}}')
        return whole

    def test_what_is_not_used_is_no_reason_to_refuse(self):
        path = self.recipe()
        self.quantized(self.source, path, out=self.dir / "plain")
        for number, member in enumerate(ODD):
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
                with self.subTest(name, member=member):
                    whole = self.with_member(name, member)
                    out = self.dir / f"{name}-{number}"
                    self.quantized(self.source, path, out=out)
                    tokenized = harness.run("tokenize", "--model_path", self.source, self.dir / "calib.jsonl")
                    self.assertEqual(tokenized.returncode, 0, tokenized.stderr)
                    (self.source / name).write_text(whole)
            lines = (self.dir / "calib.jsonl").read_text()
            with self.subTest("calib.jsonl", member=member):
                odd = "".join(line[:-1] + f', "unread": {member}}}\n' for line in lines.splitlines())
                (self.dir / "calib.jsonl").write_text(odd)
                self.quantized(self.source, path, out=self.dir / f"data-{number}")
                self.assertSameTensors(self.dir / "plain", self.dir / f"data-{number}")
                (self.dir / "calib.jsonl").write_text(lines)

    def test_byte_order_marks(self):
        path = self.recipe()
        self.quantized(self.source, path, out=self.dir / "plain")
        for file in (*(self.source / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json")),
                     self.dir / "calib.jsonl"):  # fmt: skip
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        self.quantized(self.source, path, out=self.dir / "marked")
        self.assertSameTensors(self.dir / "plain", self.dir / "marked")

    def assertSameTensors(self, one, other):
        first, second = harness.tensors_of(one), harness.tensors_of(other)
        self.assertEqual(sorted(first), sorted(second))
        for name, values in first.items():
            self.assertEqual(values.tobytes(), second[name].tobytes(), name)


class DataSetTest(harness.WholeTest):
    KEYED = {
        "text": lambda text: {"text": text},
        "prompt": lambda text: {"id": 7, "prompt": text},
        "messages": lambda text: {"messages": [{"role": "user", "content": text}]},
        "conversations": lambda text: {"conversations": [{"from": "human", "value": text}]},
        "instruction,input,output": lambda text: {"instruction": text, "input": "", "output": ""},
    }

    def setUp(self):
        super().setUp()
        self.source = self.model(num_hidden_layers=1, max_position_embeddings=64)

    def write(self, name, make, texts=harness.TEXTS):
        path = self.dir / name
        path.write_text("".join(json.dumps(make(text)) + "\n" for text in texts))
        return path

    def tokens(self, path, *more):
        done = harness.run("tokenize", "--model_path", self.source, path, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [len(json.loads(line)["ids"]) for line in done.stdout.splitlines()], done.stderr

    def planned(self, *more):
        done = harness.run("plan", "--model_path", self.source, "--config_path", self.recipe(), *more, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_keys(self):
        expected, said = self.tokens(self.write("plain.jsonl", lambda text: {"inputs_pretokenized": text}))
        self.assertNotIn("warning", said)
        for keys, make in self.KEYED.items():
            with self.subTest(keys):
                path = self.write("calib.jsonl", make)
                found, said = self.tokens(path, "--text_key", keys)
                self.assertEqual(found, expected)
                self.assertNotIn("warning", said)
                plan = self.planned("--text_key", keys)
                self.assertIn(f"{len(expected)} samples, {sum(expected)} tokens", plan.stdout)
                # Without the option: the line as it stands, and a word about it that works.
                plan = self.planned()
                self.assertNotIn(f" {sum(expected)} tokens", plan.stdout)
                for part in ("warning", "calib.jsonl:1", "inputs_pretokenized", f"--text_key {keys}"):
                    self.assertIn(part, plan.stderr)
                raw, said = self.tokens(path)
                if keys != "text":
                    self.assertIn(f"{len(raw)} samples, {sum(raw)} tokens", plan.stdout)
                self.assertIn(f"--text_key {keys}", said)

    def test_a_key_that_is_not_there(self):
        self.write("calib.jsonl", lambda text: {"prompt": text})
        done = self.quant(self.source, self.recipe(), "--text_key", "text")
        self.assertRefused(done, "calib.jsonl:1", "'text'", "'prompt'", "--text_key prompt", codes=[202])
        self.assertNothingComplete()

    def test_longer_than_the_positions(self):
        self.write("calib.jsonl", lambda text: {"inputs_pretokenized": text}, ["short", "word " * 100, "long " * 99])
        for part in ("warning", "calib.jsonl:2", "64 positions", "max_position_embeddings", "2 of 3 samples"):
            self.assertIn(part, self.planned().stderr)
        self.write("calib.jsonl", lambda text: {"inputs_pretokenized": text}, ["short"])
        self.assertNotIn("max_position_embeddings", self.planned().stderr)


class TokenizerFilesTest(harness.WholeTest):
    def test_other_formats_are_copied(self):
        source = self.model(num_hidden_layers=1)
        (source / "tokenizer.json").unlink()
        for name in ("tokenizer.model", "tiktoken.model", "qwen.tiktoken", "tokenizer.model.v3"):
            (source / name).write_bytes(name.encode())
        self.quantized(source, self.recipe(harness.recipe(harness.DYNAMIC)))
        for name in ("tokenizer.model", "tiktoken.model", "qwen.tiktoken", "tokenizer.model.v3"):
            self.assertEqual((self.out / name).read_bytes(), name.encode())

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_what_cannot_be_read_is_told_first(self):
        source = self.model(num_hidden_layers=1)
        self.dir.chmod(0o755)
        harness.SCRATCH.chmod(0o755)
        self.out.mkdir()
        self.out.chmod(0o777)
        path = self.recipe(harness.recipe(harness.DYNAMIC))
        for name in ("tokenizer.json", "tokenizer_config.json"):
            with self.subTest(name):
                (source / name).chmod(0o600)
                done = self.quant(source, path, user=65534, group=65534, extra_groups=[], cwd="/")
                self.assertRefused(done, name, "Permission denied")
                self.assertNotIn("quantizing", done.stderr)
                self.assertEqual(list(self.out.iterdir()), [])
                (source / name).chmod(0o644)

    def test_a_stop_ends_tokenizing(self):
        source = self.model(num_hidden_layers=1)
        tokenizer = json.loads((source / "tokenizer.json").read_text())
        # Every match walks over the rest of the text, so the whole is quadratic.
        tokenizer["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "a(?=.*b)"}, "behavior": "Isolated"}
        (source / "tokenizer.json").write_text(json.dumps(tokenizer))
        (self.dir / "long.jsonl").write_text(json.dumps({"text": "a" * 3_000_000 + "b"}) + "\n")
        command = [str(harness.PROGRAM), "tokenize", "--model_path", str(source), str(self.dir / "long.jsonl")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        time.sleep(2)
        self.assertIsNone(process.poll(), "the text was not long enough for this test")
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        process.communicate(timeout=60)
        self.assertLess(time.monotonic() - sent, 10)
        self.assertEqual(process.returncode, 130)


if __name__ == "__main__":
    harness.main()
