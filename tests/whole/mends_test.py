#!/usr/bin/python3
"""--mend: where msModelSlim 26.1.0 is wrong, its numbers are the default, with a warning, and the right ones an option."""

import numpy

import harness

AWQ = """    - type: awq
      n_grid: 4
      weight_qconfig: {scope: per_channel, dtype: int4, symmetric: true, method: minmax}
"""


class MendsTest(harness.WholeTest):
    def both(self, source, recipe, mend, **how):
        """The tensors without and with a mend; the first run has to warn of what the second does."""
        made = []
        for number, arguments in enumerate(([], ["--mend", mend])):
            out = self.dir / f"{mend}-{number}"
            done = self.quantized(source, recipe, *arguments, out=out, **how)
            self.assertEqual(f"--mend {mend}" in done.stdout + done.stderr, number == 0)
            made.append(harness.tensors_of(out))
        self.assertEqual(made[0].keys(), made[1].keys())
        return made

    def test_norms_that_are_stored_zero_centred(self):
        source = self.model(family="qwen3_next", dtype="float32")
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, before="    - {type: iter_smooth, alpha: 0.6}\n"))
        plain, mended = self.both(source, recipe, "zero-centred-norm", model_type="Qwen3-Next-80B-A3B-Instruct")
        shifted = [name for name in plain if not numpy.array_equal(plain[name], mended[name])]
        self.assertTrue(shifted)
        for name in shifted:
            self.assertTrue(name.endswith("input_layernorm.weight"), name)
            numpy.testing.assert_allclose(plain[name] - mended[name], 1, atol=1e-6)

    def test_shared_value_heads(self):
        source = self.model(family="qwen3", dtype="float32")
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, before=AWQ))
        plain, mended = self.both(source, recipe, "awq-gqa", model_type="Qwen3-8B")
        changed = {name.split(".")[-2] for name in plain if not numpy.array_equal(plain[name], mended[name])}
        self.assertIn("v_proj", changed)
        self.assertIn("o_proj", changed)

    def test_a_name_that_is_none(self):
        done = self.quant(self.model(), self.recipe(), "--mend", "everything")
        self.assertRefused(done, "'everything'", "awq-gqa", "zero-centred-norm")


if __name__ == "__main__":
    harness.main()
