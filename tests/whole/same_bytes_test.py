#!/usr/bin/python3
"""Same input, same bytes: whatever the number of threads, the memory limit and the length of the source's headers."""

import re
import shutil
import struct

import examples_test
import harness


class SameBytesTest(harness.WholeTest):
    def check(self, text, **model):
        harness.write_calibration(self.dir / "calib.jsonl", samples=5, repeat=4)
        source = self.model(**model)
        recipe = self.recipe(text)
        reference = self.dir / "reference"
        self.quantized(source, recipe, "--threads", "1", out=reference)
        ways = [["--threads", str(count)] for count in (2, 3, 5)]
        least = harness.least_memory("quant", *self.arguments(source, recipe, self.dir / "least"), cwd=self.dir)
        limits = [least, f"{float(least[:-3]) + 1:.1f}MiB", f"{float(least[:-3]) * 1.3:.0f}MiB", "64GiB"]
        ways += [["--memory", limit] for limit in limits]
        # Each thread takes memory of its own.
        least_of_three = harness.least_memory("quant", *self.arguments(source, recipe, self.dir / "least"), "--threads", "3", cwd=self.dir)
        ways += [["--memory", least_of_three, "--threads", "3"], ["--no-verify"]]
        for number, way in enumerate(ways):
            with self.subTest(" ".join(way)):
                out = self.dir / f"way-{number}"
                self.quantized(source, recipe, *way, out=out)
                self.assertSameProducts(reference, out)

    def test_static(self):
        self.check(harness.recipe(harness.STATIC), hidden_size=192, intermediate_size=416, num_attention_heads=3, num_key_value_heads=1)

    def test_smoothing_on_qwen3(self):
        self.check(harness.recipe(harness.STATIC, harness.SMOOTH), family="qwen3", hidden_size=136, intermediate_size=264, head_dim=40)

    def test_histogram(self):
        act = harness.STATIC.replace("method: minmax}", "method: histogram}", 1)
        self.check(harness.recipe(act), family="llama", hidden_size=128, intermediate_size=200)

    def test_data_free(self):
        self.check(harness.recipe(harness.DYNAMIC), family="llama", vocab_size=3000, tie_word_embeddings=True)

    def test_a_hopeless_memory_limit_is_refused_with_the_need(self):
        done = self.quant(self.model(), self.recipe(), "--memory", "1KiB")
        self.assertRefused(done, "memory", "needs about", codes={200})
        self.assertNothingComplete()


class HeaderLengthsTest(harness.WholeTest):
    """A header may have any length, so the tensors behind it may lie at any address; the output must not tell.

    Every recipe of the documentation, on every model that it is for, in all widths of numbers. Meant for the sanitizers too:
    MODELSLIM=build/asan+ubsan/modelslim /usr/bin/python3 tests/whole/same_bytes_test.py HeaderLengthsTest
    """

    DTYPES = {"qwen3": "float32", "qwen2": "bfloat16", "llama": "float16"}

    def lengthened(self, model, by):
        """A copy of `model` with `by` more blanks at the end of every header."""
        copy = self.dir / f"{model.name}-{by}"
        shutil.copytree(model, copy)
        for path in copy.glob("*.safetensors"):
            data = path.read_bytes()
            size = struct.unpack("<Q", data[:8])[0]
            path.write_bytes(struct.pack("<Q", size + by) + data[8 : 8 + size] + b" " * by + data[8 + size :])
        return copy

    def check(self, family, recipes, lengths):
        how = {"dtype": self.DTYPES[family]} if family in self.DTYPES else {"fp8": True}
        models = [self.model(family, family=family, **how, **examples_test.PagesTest.SIZES)]
        models += [self.lengthened(models[0], by) for by in lengths]
        for recipe in recipes:
            path = self.recipe(recipe.text)
            outs = [self.dir / f"out-{number}" for number in range(len(models))]
            with self.subTest(recipe.name, family=family):
                for model, out in zip(models, outs):
                    self.quantized(model, path, "--no-verify", out=out, model_type=examples_test.PagesTest.TYPES[family])
                    with self.subTest(model.name):
                        self.assertSameProducts(outs[0], out)
            for out in outs:
                shutil.rmtree(out, ignore_errors=True)

    def test_every_recipe(self):
        harness.write_calibration(self.dir / "mix_calib.jsonl", samples=2)
        recipes = examples_test.page_recipes()
        for family in examples_test.PagesTest.TYPES:
            chosen = [recipe for recipe in recipes if family in recipe.families]
            self.assertTrue(chosen)
            # Tensors of four bytes have the most addresses to lie at; those of two are odd or even.
            self.check(family, chosen, range(1, 8) if self.DTYPES.get(family) == "float32" else (1, 6))


if __name__ == "__main__":
    harness.main()
