#!/usr/bin/python3
"""Every recipe of lab_practice/ plans on a small model of its family, or says what this version cannot do yet."""

import unittest

import harness

# pedigree -> (family of the random checkpoint, --model_type, sizes that the recipes' rotations can be made for)
FAMILIES = {
    "default": ("llama", "some-llama", {}),
    "qwen2": ("qwen2", "Qwen2-7B", {}),
    "qwen2_5": ("qwen2", "Qwen2.5-7B-Instruct", {}),
    "deepseek-r1-distill": ("qwen2", "DeepSeek-R1-Distill-Qwen-7B", {}),
    "qwq": ("qwen2", "QwQ-32B", {}),
    "qwen3": ("qwen3", "Qwen3-32B", {}),
    "qwen3_moe": ("qwen3_moe", "Qwen3-30B", {}),
    "qwen3_next": ("qwen3_next", "Qwen3-Next-80B-A3B-Instruct", {}),
    "deepseek_v3": ("deepseek_v3", "DeepSeek-R1-0528", {}),
    "deepseek_v3_2": ("deepseek_v3_2", "DeepSeek-V3.2-Exp", {}),
}
REFUSED = {301, 400}  # unsupported, to do


class PracticesTest(harness.WholeTest):
    def test_every_practice(self):
        models, planned, refused = {}, 0, 0
        for path in sorted((harness.SOURCE / "lab_practice").glob("*/*.yaml")):
            with self.subTest(str(path.relative_to(harness.SOURCE))):
                if path.parent.name not in FAMILIES:  # a family that is not there yet: the recipe itself has to be right
                    self.assertSucceeded(harness.run("recipe", "check", path))
                    continue
                family, model_type, sizes = FAMILIES[path.parent.name]
                if family not in models:
                    models[family] = self.model(family, family=family, **sizes)
                done = harness.run("plan", "--model_type", model_type, "--model_path", models[family], "--config_path", path, cwd=self.dir)
                if done.returncode == 0:
                    planned += 1
                    self.assertIn("output", done.stdout)
                    continue
                refused += 1
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(harness.code_of(done), REFUSED, done.stderr)
                self.assertIn("TIP:", done.stderr)
        self.assertGreaterEqual(planned, 10, f"{planned} planned, {refused} refused")

    def test_the_minimal_recipe(self):
        """Nothing to do and nothing to write is legal, and says so."""
        recipe = self.recipe("apiversion: modelslim_v1\nspec:\n  runner: auto\n  process: []\n  save: []\n")
        done = self.quant(self.model(), recipe)
        self.assertSucceeded(done)
        self.assertIn("nothing", done.stdout)


if __name__ == "__main__":
    harness.main()
