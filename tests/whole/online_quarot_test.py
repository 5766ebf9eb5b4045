#!/usr/bin/python3
"""online_quarot: the indexer of DeepSeek-V3.2 gets its rotations, and computes what it did before."""

import json

import numpy

import harness

STEP = "    - type: online_quarot\n"
SITES = [f"model.layers.{layer}.self_attn.indexer.{part}" for layer in range(3) for part in ("q_rot", "k_rot")]


class OnlineQuarotTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        # Fewer tokens are selected than the samples have, so that the scores matter. f32: no ties by rounding.
        self.source = self.model(family="deepseek_v3_2", num_hidden_layers=2, index_topk=5, dtype="float32")

    def done(self, before, name):
        out = self.dir / name
        text = harness.recipe(before=before, more='      include: ["*self_attn.o_proj"]\n')
        done = self.quantized(self.source, self.recipe(text), out=out, model_type="DeepSeek-V3.2-Exp")
        return harness.tensors_of(out), json.loads((out / "quant_model_description.json").read_text()), done

    def scales(self, tensors):
        return numpy.array([tensors[f"model.layers.{layer}.self_attn.o_proj.input_scale"][0] for layer in range(3)])

    def test_scores_stay_and_the_matrices_are_written(self):
        plain, without, _ = self.done("", "plain")
        rotated, description, done = self.done(STEP, "rotated")
        for site in SITES:
            self.assertEqual(description[site], "FLOAT")
            self.assertNotIn(site, without)
            matrix = rotated[site].astype(numpy.float64)
            numpy.testing.assert_allclose(matrix @ matrix.T, numpy.eye(128), atol=1e-6)
            numpy.testing.assert_array_equal(rotated[site], rotated[SITES[0]])
        numpy.testing.assert_allclose(self.scales(rotated), self.scales(plain), rtol=1e-4)
        self.assertNotIn("changes what it computes", done.stdout)

    def test_one_of_two_changes_the_scores_and_the_plan_says_so(self):
        plain, _, _ = self.done("", "plain")
        rotated, description, done = self.done(STEP + '      exclude: ["*k_rot"]\n', "half")
        self.assertNotIn(SITES[1], description)
        self.assertIn("changes what it computes", done.stdout)
        self.assertGreater(abs(self.scales(rotated) / self.scales(plain) - 1).max(), 1e-3)

    def test_blocks(self):
        rotated, _, _ = self.done(STEP + "      block_size: 32\n", "blocks")
        numpy.testing.assert_array_equal(rotated[SITES[0]][:32, 32:], 0)
        text = harness.recipe(before=STEP + "      block_size: 256\n")
        self.assertRefused(self.quant(self.source, self.recipe(text), model_type="DeepSeek-V3.2-Exp"), "block")

    def test_other_families_have_no_place_for_it(self):
        done = self.quant(self.model("dense"), self.recipe(harness.recipe(before=STEP)))
        self.assertRefused(done, "no place for a rotation at run time", "quarot", codes={301})
        self.assertNothingComplete()


if __name__ == "__main__":
    harness.main()
