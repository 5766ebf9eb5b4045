#!/usr/bin/python3
"""Calibration sets at the edge: no sample, samples without a token, a single token; and recipes that need none."""

import numpy

import harness

INT8 = "scope: per_channel, dtype: int8, symmetric: true, method: minmax"
INT4 = "scope: per_channel, dtype: int4, symmetric: true, method: ssz, ext: {step: 4}"
TOKEN = "scope: per_token, dtype: int8, symmetric: true, method: minmax"

# Every step that looks at data, in front of a linear_quant or as one.
STEPS = {
    "smooth_quant": "    - {type: smooth_quant, symmetric: false}\n",
    "iter_smooth": "    - {type: iter_smooth, alpha: 0.9, symmetric: false}\n",
    "flex_smooth_quant": "    - {type: flex_smooth_quant}\n",
    "flex_awq_ssz": "    - {type: flex_awq_ssz, qconfig: {act: {%s}, weight: {%s}}}\n" % (TOKEN, INT4),
    "awq": "    - {type: awq, n_grid: 4, weight_qconfig: {%s}}\n" % INT4,
    "kv": "    - {type: kv_smooth, smooth_factor: 1.0}\n    - {type: dynamic_cache, qconfig: {%s}}\n" % INT8,
    "quarot": "    - {type: quarot, online: true, max_tp_size: 2}\n",
    "float_sparse": "    - {type: float_sparse, sparse_ratio: 0.3, include: ['*down_proj']}\n",
}
GPTQ = """
        act: {%s}
        weight: {scope: per_channel, dtype: int8, symmetric: true, method: gptq}""" % TOKEN
HISTOGRAM = """
        act: {scope: per_tensor, dtype: int8, symmetric: false, method: histogram}
        weight: {%s}""" % INT8
PD_MIX = """
        act: {scope: pd_mix, dtype: int8, symmetric: false, method: minmax}
        weight: {%s}""" % INT8
QCONFIGS = {"static": harness.STATIC, "histogram": HISTOGRAM, "pd_mix": PD_MIX, "gptq": GPTQ, "descent": GPTQ.replace("gptq", "descent")}


class CalibrationTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(num_hidden_layers=2, dtype="float32")

    def dataset(self, *texts):
        lines = [harness.json.dumps({"inputs_pretokenized": text}) + "\n" for text in texts]
        (self.dir / "calib.jsonl").write_text("".join(lines))

    def cases(self):
        for name, steps in STEPS.items():
            yield name, harness.recipe(harness.STATIC if name != "float_sparse" else harness.DYNAMIC, before=steps)
        for name, qconfig in QCONFIGS.items():
            yield name, harness.recipe(qconfig)

    def test_one_token(self):
        self.dataset("a")
        for name, recipe in self.cases():
            with self.subTest(name):
                out = self.dir / name
                done = self.quantized(self.source, self.recipe(recipe), out=out)
                self.assertIn("1 token", done.stdout)
                for tensor, values in harness.tensors_of(out).items():
                    if values.dtype.kind == "f":
                        self.assertTrue(numpy.isfinite(values).all(), tensor)
                    if tensor.endswith("scale"):
                        self.assertTrue((values > 0).all(), tensor)

    def test_no_sample(self):
        self.dataset()
        for name, recipe in self.cases():
            with self.subTest(name):
                done = self.quant(self.source, self.recipe(recipe))
                self.assertRefused(done, "calib.jsonl", "no samples", "spec.dataset", codes=[202])
                self.assertNothingComplete()

    def test_a_sample_without_tokens_is_named(self):
        self.dataset("The kettle sang.", "", "A river.")
        for name, recipe in self.cases():
            with self.subTest(name):
                done = self.quant(self.source, self.recipe(recipe))
                self.assertRefused(done, "calib.jsonl:2", "no tokens", "remove the line", codes=[202])
                self.assertNothingComplete()

    def test_without_need_of_data_the_dataset_may_be_empty(self):
        self.dataset()
        self.quantized(self.source, self.recipe(harness.recipe(harness.DYNAMIC)))


if __name__ == "__main__":
    harness.main()
