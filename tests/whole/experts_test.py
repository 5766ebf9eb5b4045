#!/usr/bin/python3
"""Mixture-of-experts layers: which experts the calibration reaches, and what --idle-experts makes of the others."""

import json
import re
import resource

import numpy

import harness

EXPERTS = 12
NAME = "Qwen3-30B-A3B"


def range_of(tensors, linear):
    """[lowest, highest] that a static int8 input can stand for, and its step."""
    scale, offset = float(tensors[f"{linear}.input_scale"][0]), float(tensors[f"{linear}.input_offset"][0])
    return (-128 - offset) * scale, (127 - offset) * scale, scale


class ExpertsTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        harness.write_calibration(self.dir / "calib.jsonl", samples=1)
        # Layer 0 is dense, layer 1 has more experts than the few tokens can reach.
        self.source = self.model(
            family="qwen3_moe", num_hidden_layers=3, mlp_only_layers=[0], hidden_size=128, num_experts=EXPERTS, num_experts_per_tok=1)  # fmt: skip

    def moe(self, recipe, *more, out=None):
        return self.quant(self.source, recipe, *more, out=out, model_type=NAME)

    def moe_done(self, recipe, *more, out=None):
        done = self.moe(recipe, *more, out=out)
        self.assertSucceeded(done)
        folder = out or self.out
        return harness.tensors_of(folder), json.loads((folder / "quant_model_ledger.json").read_text()), done

    def idle(self, ledger):
        idle = [f"{layer['name']}.{expert}" for layer in ledger["experts"] for expert in layer["idle"]]
        self.assertTrue(idle, "the test wants experts without tokens")
        return idle

    def test_reject_lists_them_and_the_same_run_goes_on_with_pool(self):
        recipe = self.recipe()
        done = self.moe(recipe)
        self.assertRefused(done, "no calibration token reached", "model.layers.1.mlp.experts.", "--idle-experts", "per_token", codes={302})
        self.assertNothingComplete()
        resumed = self.moe(recipe, "--idle-experts", "pool")
        self.assertSucceeded(resumed)
        self.assertIn("going on after 1 of 4", resumed.stdout + resumed.stderr)
        fresh = self.dir / "fresh"
        self.moe_done(recipe, "--idle-experts", "pool", out=fresh)
        self.assertSameProducts(self.out, fresh)

    def test_pool_is_the_range_over_the_other_experts(self):
        tensors, ledger, done = self.moe_done(self.recipe(), "--idle-experts", "pool")
        self.assertRegex(done.stdout, r"idle experts +\d+: model\.layers\.")
        kinds = {entry["name"]: entry for entry in ledger["tensors"]}
        idle = self.idle(ledger)
        for expert in idle:
            layer = expert.rsplit(".", 1)[0]
            others = [f"{layer}.{other}" for other in range(EXPERTS) if f"{layer}.{other}" not in idle]
            for role in ("gate_proj", "up_proj", "down_proj"):
                self.assertEqual(kinds[f"{expert}.{role}"]["range_from"], "pool")
                low, high, step = range_of(tensors, f"{expert}.{role}")
                ranges = [range_of(tensors, f"{other}.{role}") for other in others]
                self.assertAlmostEqual(low, min(r[0] for r in ranges), delta=1.5 * step)
                self.assertAlmostEqual(high, max(r[1] for r in ranges), delta=1.5 * step)
        for name, entry in kinds.items():
            self.assertEqual("range_from" in entry, any(name.startswith(expert + ".") for expert in idle), name)

    def test_all_tokens_pass_through_them(self):
        """What enters gate_proj of one or another expert is all tokens together, so there both ways agree; down_proj's input is its own."""
        pool, ledger, _ = self.moe_done(self.recipe(), "--idle-experts", "pool", out=self.dir / "pool")
        every, _, _ = self.moe_done(self.recipe(), "--idle-experts", "all-tokens")
        differs = 0
        for expert in self.idle(ledger):
            if not expert.startswith("model.layers.1."):  # layer 2 reads what the experts of layer 1 gave
                continue
            for role in ("gate_proj", "up_proj"):
                self.assertEqual(range_of(pool, f"{expert}.{role}"), range_of(every, f"{expert}.{role}"))
            differs += range_of(pool, f"{expert}.down_proj") != range_of(every, f"{expert}.down_proj")
        self.assertGreater(differs, 0)
        for name in pool:
            if ".1.mlp" not in name and ".2." not in name:
                numpy.testing.assert_array_equal(pool[name], every[name], name)

    def test_the_bytes_depend_on_neither_threads_nor_memory(self):
        harness.write_calibration(self.dir / "calib.jsonl", samples=2)
        for mode in ("pool", "all-tokens"):
            reference = self.dir / mode
            self.moe_done(self.recipe(), "--idle-experts", mode, "--threads", "1", out=reference)
            arguments = self.arguments(self.source, self.recipe(), self.dir / "least", NAME)
            least = harness.least_memory("quant", *arguments, "--idle-experts", mode, cwd=self.dir)
            for number, way in enumerate((["--threads", "3"], ["--memory", least])):
                out = self.dir / f"{mode}-{number}"
                self.moe_done(self.recipe(), "--idle-experts", mode, *way, out=out)
                self.assertSameProducts(reference, out)

    def test_gptq_takes_the_sum_of_the_others(self):
        gptq = harness.DYNAMIC.replace("symmetric: true, method: minmax}", "symmetric: true, method: gptq}").replace(
            "symmetric: true, method: gptq}", "symmetric: true, method: minmax}", 1)  # fmt: skip
        recipe = self.recipe(harness.recipe(gptq))
        self.assertRefused(self.moe(recipe), "no calibration token reached")
        for mode in ("pool", "all-tokens"):
            tensors, _, _ = self.moe_done(recipe, "--idle-experts", mode, out=self.dir / mode)
            self.assertTrue(all(numpy.isfinite(value).all() for name, value in tensors.items() if name.endswith("weight_scale")))
        # Neither the chunks nor how many files a shell lets a program open make a difference: each expert keeps two.
        out = self.dir / "short"
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))  # noqa: E731
        arguments = self.arguments(self.source, recipe, out, NAME)
        least = harness.least_memory("quant", *arguments, cwd=self.dir)
        done = harness.run("quant", *arguments, "--idle-experts", "pool", "--memory", least, cwd=self.dir, preexec_fn=limit)
        self.assertSucceeded(done)
        self.assertSameProducts(self.dir / "pool", out)

    def test_the_ledger_counts_every_choice(self):
        _, ledger, done = self.moe_done(self.recipe(harness.recipe(harness.STATIC, more='      exclude: ["*experts*"]\n')))
        tokens = int(re.search(r"(\d+) tokens", done.stdout).group(1))
        self.assertEqual([layer["name"] for layer in ledger["experts"]], [f"model.layers.{i}.mlp.experts" for i in (1, 2)])
        for layer in ledger["experts"]:
            self.assertEqual(sum(layer["tokens"]), tokens)
            self.assertEqual(layer["idle"], [e for e, count in enumerate(layer["tokens"]) if count == 0])
        self.assertRegex(done.stdout, rf"experts +{EXPERTS} in each of 2 layers, 1 for a token")

    def test_another_way_does_not_go_on_where_it_mattered(self):
        self.poison(self.source / "model.safetensors", "model.layers.2.self_attn.q_proj.weight")
        recipe = self.recipe()
        self.assertRefused(self.moe(recipe, "--idle-experts", "pool"), "model.layers.2.self_attn.q_proj")
        done = self.moe(recipe, "--idle-experts", "all-tokens")
        self.assertRefused(done, "model.layers.2.self_attn.q_proj")
        self.assertIn("--idle-experts was pool before", done.stdout + done.stderr)

    def poison(self, path, name):
        """NaN into the first element of a bf16 tensor."""
        header, begin = harness.header_of(path)
        with open(path, "r+b") as file:
            file.seek(begin + header[name]["data_offsets"][0])
            file.write(b"\xc0\x7f")


class OutputErrorTest(harness.WholeTest):
    def ledger(self, recipe, *more):
        self.quantized(self.source, recipe, *more)
        return {entry["name"]: entry for entry in json.loads((self.out / "quant_model_ledger.json").read_text())["tensors"]}

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=128, num_hidden_layers=2)

    def test_is_there_where_a_forward_ran(self):
        entries = self.ledger(self.recipe())
        self.assertTrue(entries)
        for name, entry in entries.items():
            self.assertGreater(entry["output_error"], 1e-4, name)
            self.assertLess(entry["output_error"], 0.2, name)

    def test_is_absent_without_one(self):
        for name, entry in self.ledger(self.recipe(harness.recipe(harness.DYNAMIC))).items():
            self.assertNotIn("output_error", entry, name)
            self.assertGreater(entry["weight_error"], 0)

    def test_four_bits_are_worse_than_eight(self):
        static = self.ledger(self.recipe(harness.recipe(harness.STATIC)))
        self.out = self.dir / "four"
        four = self.ledger(self.recipe(harness.recipe(harness.STATIC.replace("dtype: int8, symmetric: true", "dtype: int4, symmetric: true").replace(
            "scope: per_tensor, dtype: int8, symmetric: false", "scope: per_token, dtype: int8, symmetric: true"), before=harness.SMOOTH)))  # fmt: skip
        for name in static:
            if "output_error" in four[name]:
                self.assertGreater(four[name]["output_error"], static[name]["output_error"], name)


if __name__ == "__main__":
    harness.main()
