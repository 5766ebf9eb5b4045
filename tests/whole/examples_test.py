#!/usr/bin/python3
"""The recipes in examples/ run, and the documents say only what is there."""

import pathlib
import re
import unittest

import harness


class ExamplesTest(harness.WholeTest):
    def test_every_example_recipe(self):
        source = self.model(hidden_size=128, num_hidden_layers=2)
        recipes = sorted((harness.SOURCE / "examples").glob("*.yaml"))
        self.assertTrue(recipes)
        for recipe in recipes:
            with self.subTest(recipe.name):
                out = self.dir / recipe.stem
                self.quantized(source, recipe, out=out)
                self.assertTrue((out / "quant_model_description.json").exists())


class DocumentsTest(unittest.TestCase):
    DOCUMENTS = ["README.md", "README.zh.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/benchmarks.md"]

    def test_links_lead_somewhere(self):
        for name in self.DOCUMENTS:
            document = harness.SOURCE / name
            for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
                if not re.match(r"https?:", target):
                    self.assertTrue((document.parent / target).exists(), f"{name} links to {target}")

    def test_named_paths_exist(self):
        """`tools/...`, `src/...` and their like in the documents are really there."""
        for name in self.DOCUMENTS:
            text = (harness.SOURCE / name).read_text(encoding="utf-8")
            for path in re.findall(r"`((?:tools|src|examples|tests|docs|cmake|fuzz|bench|lab_calib|lab_practice)/[\w./-]*)`", text):
                self.assertTrue((harness.SOURCE / path).exists(), f"{name} names {path}")

    def test_every_source_folder_has_its_line(self):
        folders = [path.name for path in (harness.SOURCE / "src").iterdir() if path.is_dir()]
        for name in ("README.md", "README.zh.md"):
            text = (harness.SOURCE / name).read_text(encoding="utf-8")
            for folder in folders:
                self.assertIn(f"| `{folder}` |", text, name)

    def test_options_exist(self):
        """Every long option that the README shows is one that the program's help knows."""
        known = "".join(harness.run(*words, "--help").stdout for words in (
            ["quant"], ["plan"], ["verify"], ["tokenize"], ["recipe", "check"], ["recipe", "explain"], ["analyze"], []))  # fmt: skip
        text = (harness.SOURCE / "README.md").read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if "modelslim " in line:
                    for option in re.findall(r"(--[a-z_-]+)", line):
                        self.assertIn(option, known, line)


if __name__ == "__main__":
    harness.main()
