#!/usr/bin/python3
"""Same input, same bytes: whatever the number of threads and the memory limit."""

import harness


class SameBytesTest(harness.WholeTest):
    def check(self, text, **model):
        harness.write_calibration(self.dir / "calib.jsonl", samples=5, repeat=4)
        source = self.model(**model)
        recipe = self.recipe(text)
        reference = self.dir / "reference"
        self.quantized(source, recipe, "--threads", "1", out=reference)
        ways = [["--threads", str(count)] for count in (2, 3, 5)]
        ways += [["--memory", limit] for limit in ("256MiB", "300MB", "1GiB", "64GiB")]
        ways += [["--memory", "256MiB", "--threads", "3"], ["--no-verify"]]
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
        self.assertRefused(done, "memory")
        self.assertNothingComplete()


if __name__ == "__main__":
    harness.main()
