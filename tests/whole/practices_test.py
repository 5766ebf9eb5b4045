#!/usr/bin/python3
"""Every recipe of lab_practice/ plans on a small model of its family, or says what this version cannot do yet; the look-up."""

import json
import unittest

import harness
import practice_table

REFUSED = {301, 400}  # unsupported, to do


class PracticesTest(harness.WholeTest):
    def test_every_practice(self):
        models, planned, refused = {}, 0, 0
        for path in sorted((harness.SOURCE / "lab_practice").glob("*/*.yaml")):
            with self.subTest(str(path.relative_to(harness.SOURCE))):
                if path.parent.name not in practice_table.MODELS:  # a family that is not there yet: the recipe itself has to be right
                    self.assertSucceeded(harness.run("recipe", "check", path))
                    continue
                family, model_type = practice_table.MODELS[path.parent.name]
                layers = practice_table.layers_named(path)
                if (family, layers) not in models:
                    more = {"num_hidden_layers": layers} if layers else {}
                    models[family, layers] = self.model(f"{family}-{layers}", family=family, **more)
                done = harness.run("plan", "--model_type", model_type, "--model_path", models[family, layers], "--config_path", path, cwd=self.dir)
                if done.returncode == 0:
                    planned += 1
                    self.assertIn("output", done.stdout)
                    continue
                refused += 1
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(harness.code_of(done), REFUSED, done.stderr)
                self.assertIn("TIP:", done.stderr)
        self.assertGreaterEqual(planned, 10, f"{planned} planned, {refused} refused")

    def test_the_table_is_current(self):
        """What plans and what runs, as docs/practices.md says; tools/practice_table.py writes it anew."""
        written = practice_table.PAGE.read_text(encoding="utf-8")
        self.assertEqual(written, practice_table.page_with(practice_table.rows(harness.PROGRAM)))

    def test_families_have_the_folders_of_the_original(self):
        folders = {}
        choices = practice_table.FACTS.with_name("choices-26.1.0.jsonl").read_text(encoding="utf-8")
        for row in map(json.loads, choices.splitlines()):
            folders[row["model_type"]] = row["pedigree"]
        for family in json.loads(harness.run("models", "--json").stdout):
            for model_type in family["model_types"]:
                if model_type != "default":
                    self.assertEqual(family["practices"], folders[model_type], model_type)

    def test_the_look_up(self):
        for model_type, quant_type, tags, name in (
            ("Qwen3-32B", "w8a8", [], "qwen3/qwen3-32b-dense-w8a8"),
            ("Qwen3-32B", "w8a8", ["mindie", "Atlas_A2_Inference"], "qwen3/qwen3-32b-dense-w8a8"),
            ("QwQ-32B", "w8a8", [], "qwq/qwq-32b-w8a8"),
            ("DeepSeek-V3.2", "w8a8", [], "deepseek_v3_2/deepseek_w8a8_quarot"),
            ("GLM-4.7", "w8a8", [], "glm4_moe/glm4_7_moe-w8a8-v1"),  # its family is not computed here
            ("some-model", "w8a8", [], "default/default-w8a8"),
        ):
            with self.subTest(model_type):
                arguments = ["--model_type", model_type, "--quant_type", quant_type, *(["--tag", *tags] if tags else [])]
                done = harness.run("practices", *arguments, "--json")
                self.assertSucceeded(done)
                choice = json.loads(done.stdout)
                self.assertTrue(choice["chosen"].endswith(f"/lab_practice/{name}.yaml"), choice["chosen"])
                self.assertFalse(choice["needs_confirmation"])

    def test_the_minimal_recipe(self):
        """Nothing to do and nothing to write is legal, and says so."""
        recipe = self.recipe("apiversion: modelslim_v1\nspec:\n  runner: auto\n  process: []\n  save: []\n")
        done = self.quant(self.model(), recipe)
        self.assertSucceeded(done)
        self.assertIn("nothing", done.stdout)


if __name__ == "__main__":
    harness.main()
