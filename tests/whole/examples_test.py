#!/usr/bin/python3
"""The recipes in examples/ and docs/processors/ run, and the documents say only what is there."""

import dataclasses
import json
import re
import unittest

import harness

PAGES = harness.SOURCE / "docs" / "processors"


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


@dataclasses.dataclass
class PageRecipe:
    """A ```yaml block of a page, with what the HTML comments in front of it promise."""

    name: str  # "awq.md 1"
    text: str
    families: list  # <!-- families: ... -->: the models it is for; default: every dense one
    gives: set  # <!-- gives: ... -->: the types in the description besides FLOAT; required
    writes: list  # <!-- writes: ... -->: ends of names of tensors that have to be there
    warns: list  # <!-- warns: ... -->: what the plan warns about, because it cannot be done otherwise; each warning holds one of them


def page_recipes():
    recipes = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"((?:^<!-- [^\n]* -->\n)*)^```yaml\n(.*?)^```$", text, re.S | re.M)
        assert len(blocks) == text.count("```yaml"), f"{page.name}: a yaml block that the test does not understand"
        for number, (comments, block) in enumerate(blocks, 1):
            said = {key: value.split(", ") for key, value in re.findall(r"<!-- (\w+): (.*) -->", comments)}
            recipes.append(PageRecipe(
                f"{page.name} {number}", block, said.pop("families", ["qwen3", "qwen2", "llama"]),
                set(said.pop("gives", [])), said.pop("writes", []), said.pop("warns", [])))  # fmt: skip
            assert not said, f"{page.name}: unknown comments {said}"
    return recipes


class PagesTest(harness.WholeTest):
    """docs/processors: the recipes do what their pages say, and every step that runs has a page."""

    # Small enough for all of them to take seconds, and still two blocks, shared value heads and blocks of 128 columns.
    SIZES = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
    TYPES = {"qwen3": "Qwen3-8B", "qwen2": "Qwen2.5-7B-Instruct", "llama": "some-llama", "qwen3_moe": "Qwen3-30B", "deepseek_v3": "DeepSeek-V3", "deepseek_v3_2": "DeepSeek-V3.2-Exp"}

    def test_every_recipe(self):
        # A file of this name in the working directory comes before the one that ships.
        harness.write_calibration(self.dir / "mix_calib.jsonl", samples=2)
        models = {family: self.model(family, family=family, **self.SIZES) for family in self.TYPES}
        recipes = page_recipes()
        self.assertGreater(len(recipes), 20)
        for recipe in recipes:
            self.assertTrue(recipe.gives, f"{recipe.name} does not say what it gives")
            path = self.recipe(recipe.text)
            for family in recipe.families:
                with self.subTest(recipe.name, family=family):
                    out = self.dir / f"{recipe.name} {family}"
                    done = self.quantized(models[family], path, out=out, model_type=self.TYPES[family])
                    # No page advises what the plan warns about, except where it says so.
                    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning")]
                    self.assertEqual([line for line in warnings if not any(said in line for said in recipe.warns)], [])
                    self.assertEqual([said for said in recipe.warns if not any(said in line for line in warnings)], [])
                    self.assert_keeps_word(recipe, out)

    def assert_keeps_word(self, recipe, out):
        tensors = json.loads((out / "quant_model_weights.safetensors.index.json").read_text())["weight_map"]
        description = json.loads((out / "quant_model_description.json").read_text())
        self.assertEqual({description[name] for name in tensors if name in description} - {"FLOAT"}, recipe.gives)
        for end in recipe.writes:
            self.assertTrue(any(name.endswith("." + end) for name in tensors), f"no tensor ends in .{end}")

    def test_every_step_has_a_page(self):
        """A step that `processors` calls runnable has a page, and the plan agrees with it about which those are."""
        needed = {
            "qconfig": "{scope: per_channel, dtype: int8, symmetric: true, method: minmax}",
            "weight_qconfig": "{scope: per_channel, dtype: int8, symmetric: true, method: minmax}",
            "configs": "[{type: quarot}]",
            "stage": "1",
            "strategies": "[{qconfig: {weight: {scope: per_channel, dtype: int8, symmetric: true, method: any}}}]",
        }
        model = self.model()
        running = []
        for processor in json.loads(harness.run("processors", "--json").stdout)["processors"]:
            name = processor["type"]
            keys = {field["name"]: needed[field["name"]] for field in processor["fields"] if field["name"] in needed and
                    (field["required"] or (field["name"] == "strategies" and "default" in field))}  # fmt: skip
            if name in ("linear_quant", "flex_awq_ssz"):
                keys["qconfig"] = "{weight: %s}" % keys["qconfig"]
            entry = ", ".join(f"{key}: {value}" for key, value in {"type": name, **keys}.items())
            path = self.recipe("apiversion: modelslim_v1\nspec:\n  process: [{%s}]\n  dataset: calib.jsonl\n" % entry)
            done = harness.run("plan", "--model_path", model, "--config_path", path, cwd=self.dir)
            self.assertNotIn("error 2", done.stderr, name)  # the entry itself is right
            self.assertEqual(processor["runs"], "cannot run the processor" not in done.stderr, name)
            if processor["runs"]:
                running.append(name)
        self.assertIn("linear_quant", running)
        index = (PAGES / "README.md").read_text(encoding="utf-8")
        for name in running:
            self.assertTrue((PAGES / f"{name}.md").exists(), f"{name} has no page in docs/processors")
        for page in PAGES.glob("*.md"):
            if page.name != "README.md":
                self.assertIn(f"]({page.name})", index, "the index leaves out a page")


class DocumentsTest(unittest.TestCase):
    DOCUMENTS = ["README.md", "README.zh.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/benchmarks.md", "docs/practices.md",
                 "docs/servers.md"]  # fmt: skip
    DOCUMENTS += ["examples/README.md", *sorted(f"docs/processors/{page.name}" for page in PAGES.glob("*.md"))]

    def test_links_lead_somewhere(self):
        for name in self.DOCUMENTS:
            document = harness.SOURCE / name
            for target, _, heading in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", document.read_text(encoding="utf-8")):
                if re.match(r"https?:", target):
                    continue
                path = document.parent / target if target else document
                self.assertTrue(path.exists(), f"{name} links to {target}")
                if heading:
                    self.assertIn(heading, self.anchors(path), f"{name} links to {target}#{heading}")

    @staticmethod
    def anchors(page):
        headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
        return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]

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
            ["quant"], ["plan"], ["verify"], ["eval"], ["report"], ["servers"], ["tokenize"], ["recipe", "check"], ["recipe", "explain"], ["analyze"], []))  # fmt: skip
        text = (harness.SOURCE / "README.md").read_text(encoding="utf-8")
        for block in re.findall(r"```sh\n(.*?)```", text, re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if "modelslim " in line:
                    for option in re.findall(r"(--[a-z_-]+)", line):
                        self.assertIn(option, known, line)


if __name__ == "__main__":
    harness.main()
