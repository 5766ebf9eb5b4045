#!/usr/bin/python3
"""`modelslim eval`: what was written, measured as a server computes it."""

import json
import math
import re
import shutil
import subprocess
import time

import numpy

import harness

INT4 = harness.DYNAMIC.replace("dtype: int8, symmetric: true, method: minmax}", "dtype: int4, symmetric: true, method: ssz}")
MX = """
        act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}
        weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}"""
W4A8 = harness.DYNAMIC.replace("weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}",
                               "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz}")  # fmt: skip
CACHE = """    - type: dynamic_cache
      qconfig: {scope: per_channel, dtype: int8, symmetric: false, method: minmax}
"""
QUAROT = """    - type: quarot
      online: %s
      export_extra_info: %s
"""


class EvalTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.data = self.dir / "held.jsonl"
        with open(self.data, "w", encoding="utf-8") as out:
            for text in (harness.TEXTS[2], harness.TEXTS[4]):
                out.write(json.dumps({"text": " ".join([text, harness.TEXTS[5]] * 12)}) + "\n")

    def evaluate(self, *arguments, **how):
        return harness.run("eval", *arguments, "--data", self.data, "--window", "48", cwd=self.dir, **how)

    def scores(self, *arguments, **how):
        done = self.evaluate(*arguments, "--json", **how)
        self.assertSucceeded(done)
        return json.loads(done.stdout)

    def quantized_model(self, recipe=None, **model):
        source = self.model(**model)
        self.quantized(source, self.recipe(recipe or harness.recipe(harness.DYNAMIC)))
        return source

    def rewrite(self, name, change, out=None):
        """Changes the numbers of one tensor of the output in place."""
        for path in sorted((out or self.out).glob("quant_model_weights*.safetensors")):
            header, begin = harness.header_of(path)
            if name not in header:
                continue
            first, last = header[name]["data_offsets"]
            kind = {"F32": "<f4", "I8": "i1", "BF16": "<u2"}[header[name]["dtype"]]
            data = bytearray(path.read_bytes())
            values = numpy.frombuffer(bytes(data[begin + first : begin + last]), dtype=kind).reshape(header[name]["shape"]).copy()
            data[begin + first : begin + last] = change(values).astype(kind).tobytes()
            path.chmod(0o600)
            path.write_bytes(data)
            return
        self.fail(f"{name} is in no file")

    def copy(self, name="spoilt"):
        target = self.dir / name
        shutil.copytree(self.out, target)
        return target

    def test_float_against_itself(self):
        source = self.model(family="qwen3", hidden_size=72, head_dim=20, num_key_value_heads=1)
        found = self.scores(source, "--reference", source, "--per-layer")["scores"]
        self.assertEqual(found["perplexity"], found["reference_perplexity"])
        self.assertAlmostEqual(found["kl"]["max"], 0, delta=1e-9)
        self.assertEqual(found["top1_agreement"], 1)

    def test_every_type_is_near_its_source_and_not_equal(self):
        kinds = {"static": harness.recipe(harness.STATIC), "dynamic": harness.recipe(harness.DYNAMIC), "w4a8": harness.recipe(W4A8), "mx": harness.recipe(MX),
                 "cache": harness.recipe(harness.STATIC, CACHE), "mix": harness.recipe(harness.STATIC.replace("per_tensor", "pd_mix")),
                 "rotated": harness.recipe(harness.DYNAMIC, QUAROT % ("true", "true"))}  # fmt: skip
        source = self.model(family="qwen3", hidden_size=96, intermediate_size=192, head_dim=24, num_attention_heads=4, num_key_value_heads=1, dtype="float32")
        divergences = {}
        for kind, recipe in kinds.items():
            with self.subTest(kind):
                out = self.dir / kind
                self.quantized(source, self.recipe(recipe), out=out)
                scores = self.scores(out, "--reference", source)["scores"]
                divergences[kind] = scores["kl"]["mean"]
                self.assertGreater(scores["kl"]["mean"], 1e-9)
                self.assertLess(abs(math.log(scores["ratio"])), 0.2)
                self.assertGreater(scores["top1_agreement"], 0.4)
        self.assertGreater(divergences["w4a8"], 3 * divergences["dynamic"])
        self.assertGreater(divergences["cache"], divergences["static"] * 0.99)
        decode = self.scores(self.dir / "mix", "--reference", source, "--decode")["scores"]
        self.assertNotEqual(decode["kl"]["mean"], divergences["mix"])

    def test_damage_shows_and_is_found(self):
        source = self.quantized_model(num_hidden_layers=4)
        good = self.scores(self.out, "--reference", source, "--per-layer")
        pristine = self.copy("pristine")
        name = "model.layers.2.mlp.down_proj"

        def doubled(out):
            self.rewrite(name + ".weight_scale", lambda values: 2 * values, out)

        def zeroed(out):
            def change(values):
                values[3:9] = 0
                return values

            self.rewrite(name + ".weight", change, out)

        def swapped(out):
            tensors = harness.tensors_of(out)
            for suffix in ("weight", "weight_scale"):
                one, other = (f"model.layers.{i}.mlp.down_proj.{suffix}" for i in (1, 2))
                self.rewrite(one, lambda _: tensors[other], out)
                self.rewrite(other, lambda _: tensors[one], out)

        for change, layers in ((doubled, [2]), (zeroed, [2]), (swapped, [1, 2])):
            with self.subTest(change.__name__):
                out = self.dir / change.__name__
                shutil.copytree(pristine, out)
                change(out)
                bad = self.scores(out, "--reference", source, "--per-layer")
                self.assertGreater(bad["scores"]["kl"]["mean"], 2 * good["scores"]["kl"]["mean"])
                worse = [i for i, (a, b) in enumerate(zip(bad["layers"], good["layers"])) if a["forced"] > 1.5 * b["forced"]]
                self.assertEqual(worse, layers)

    def test_rotated_layers_are_compared_where_the_rotation_is_known(self):
        source = self.model(family="qwen3", hidden_size=64, dtype="float32")
        for known in ("true", "false"):
            out = self.dir / known
            self.quantized(source, self.recipe(harness.recipe(harness.DYNAMIC, QUAROT % ("false", known))), out=out)
            found = self.scores(out, "--reference", source, "--per-layer")
            if known == "true":
                self.assertLess(found["layers"][0]["forced"], 0.1)
            else:
                self.assertEqual(found["layers"], [])
                self.assertIn("rotated", found["no_layers"])

    def test_same_numbers_at_any_threads_and_memory(self):
        source = self.quantized_model(harness.recipe(harness.STATIC, CACHE))
        reference = self.scores(self.out, "--reference", source, "--per-layer", "--threads", "1")
        least = harness.least_memory("eval", self.out, "--reference", source, "--data", self.data, "--window", "48", cwd=self.dir)
        for way in (["--threads", "2"], ["--threads", "3"], ["--memory", least], ["--memory", "8GiB"]):
            with self.subTest(way):
                self.assertEqual(self.scores(self.out, "--reference", source, "--per-layer", *way), reference)

    def test_goes_on_where_it_was_stopped(self):
        source = self.quantized_model(num_hidden_layers=12, hidden_size=256, intermediate_size=768)
        more = ["--reference", source, "--per-layer"]
        reference = self.scores(self.out, *more)
        work = self.dir / "work"
        command = [harness.PROGRAM, "eval", self.out, *more, "--data", self.data, "--window", "48", "--threads", "1", "--work", work]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir)
        done = 0
        while process.poll() is None and done < 3:  # some blocks are finished
            try:
                done = json.loads((work / "state.json").read_text(encoding="utf-8"))["blocks"]
            except (OSError, ValueError):
                time.sleep(0.001)
        process.kill()
        process.wait()
        self.assertTrue((work / "state.json").exists(), "it was through before it could be killed")
        again = self.evaluate(self.out, *more, "--work", work, "--json")
        self.assertSucceeded(again)
        self.assertEqual(json.loads(again.stdout), reference)
        self.assertIn("goes on behind layer", again.stderr)
        self.assertFalse(work.exists(), "a finished evaluation leaves nothing")

    def test_clear_errors(self):
        source = self.quantized_model()
        short = self.dir / "short.jsonl"
        short.write_text('{"text": "too short"}\n', encoding="utf-8")
        empty = self.dir / "empty.jsonl"
        empty.write_text("", encoding="utf-8")
        run = lambda *more: harness.run("eval", *more, cwd=self.dir)  # noqa: E731
        self.assertRefused(run(self.out, "--data", short), "short.jsonl", "none is as long as a window of 512", "--window")
        self.assertRefused(run(self.out, "--data", empty), "empty.jsonl")
        self.assertRefused(run(self.out, "--data", "nowhere.jsonl"), "no such file")
        self.assertRefused(run(self.out, "--data", self.data, "--per-layer"), "--reference")
        self.assertRefused(run(self.dir / "nothing", "--data", self.data), "nothing")
        other = self.model("other", num_hidden_layers=3)
        self.assertRefused(self.evaluate(self.out, "--reference", other), "layers", "the output was made of")
        # A tokenizer that says something else.
        strange = self.copy("strange")
        tokenizer = strange / "tokenizer.json"
        content = json.loads(tokenizer.read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        vocabulary["e"], vocabulary["a"] = vocabulary["a"], vocabulary["e"]
        tokenizer.chmod(0o600)
        tokenizer.write_text(json.dumps(content), encoding="utf-8")
        self.assertRefused(self.evaluate(strange, "--reference", source), "by the tokenizer of")
        # A tensor that is gone.
        gone = self.copy("gone")
        description = gone / "quant_model_description.json"
        text = json.loads(description.read_text(encoding="utf-8"))
        text["model.layers.0.mlp.up_proj.weight"] = "W8A8"
        description.write_text(json.dumps(text), encoding="utf-8")
        self.assertRefused(self.evaluate(gone), "model.layers.0.mlp.up_proj")

    def test_the_table_and_after_quant(self):
        source = self.quantized_model()
        done = self.evaluate(self.out, "--reference", source, "--windows", "2")
        self.assertSucceeded(done)
        for phrase in ("perplexity", "KL divergence", "same likeliest", "W8A8_DYNAMIC"):
            self.assertIn(phrase, done.stdout)
        self.assertRegex(done.stdout, r"2 windows of 48 tokens, 94 predicted")
        after = self.quant(source, self.dir / "recipe.yaml", "--eval", "--eval-data", self.data, "--eval-window", "48", out=self.dir / "again")
        self.assertSucceeded(after)
        self.assertTrue(re.search(r"KL divergence", after.stdout), after.stdout[-2000:])


if __name__ == "__main__":
    harness.main()
