#!/usr/bin/python3
"""Exit statuses and messages of the command line: 0 for success, 2 for usage, 1 for any other error."""

import json

import harness


class UsageTest(harness.WholeTest):
    def usage(self, *arguments):
        done = harness.run(*arguments)
        self.assertEqual(done.returncode, 2, f"{arguments}\n{done.stdout}\n{done.stderr}")
        self.assertTrue(done.stderr.strip(), "a usage error says what is wrong")
        return done.stderr

    def test_help(self):
        for arguments in ([], ["--help"], ["quant", "--help"], ["plan", "--help"], ["verify", "--help"], ["--version"]):
            done = harness.run(*arguments)
            self.assertEqual(done.returncode, 0, arguments)
            self.assertTrue(done.stdout.strip())

    def test_unknown_command(self):
        self.assertIn("quantise", self.usage("quantise"))

    def test_unknown_option(self):
        self.assertIn("--modle_path", self.usage("quant", "--modle_path", "x"))

    def test_missing_options(self):
        self.assertIn("--model_path", self.usage("quant"))
        self.assertIn("--save_path", self.usage("quant", "--model_type", "a", "--model_path", "b"))

    def test_values_outside_a_choice(self):
        self.usage("quant", "--model_type", "a", "--model_path", "b", "--save_path", "c", "--quant_type", "w3a3")

    def test_numbers_that_are_none(self):
        model, path = self.model(hidden_size=64, num_hidden_layers=1), self.recipe()
        for flag, values in {"--threads": ["-1", "many"], "--memory": ["much", "-1GiB", "0", "12 parsecs"]}.items():
            for value in values:
                with self.subTest(flag, value=value):
                    done = self.quant(model, path, flag, value)
                    self.assertIn(done.returncode, (1, 2))
                    self.assertTrue(done.stderr.strip())
                    self.assertFalse(self.out.exists() and any(self.out.iterdir()), f"{flag} {value} left something")

    def test_devices(self):
        model, path = self.model(hidden_size=64, num_hidden_layers=1), self.recipe()
        for device in ("gpu", "cpu:0,1", "cpu:-1", "", "cpu:x"):
            with self.subTest(device):
                done = self.quant(model, path, "--device", device)
                self.assertIn(done.returncode, (1, 2))

    def test_both_and_neither_recipe(self):
        model = self.model(hidden_size=64, num_hidden_layers=1)
        done = self.quant(model, self.recipe(), "--quant_type", "w8a8")
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("only one", done.stderr)


class RecipeTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=1)

    def test_recipes_that_are_wrong(self):
        good = harness.recipe()
        wrong = {
            "no yaml": "{{{",
            "empty": "",
            "a list": "- 1\n",
            "unknown apiversion": good.replace("modelslim_v1", "modelslim_v9"),
            "no apiversion": good.replace("apiversion: modelslim_v1\n", ""),
            "unknown processor": good.replace("linear_quant", "linear_quand"),
            "unknown method": good.replace("minmax", "maxmin"),
            "unknown dtype": good.replace("int8", "int7"),
            "illegal pair": good.replace("per_tensor", "per_token").replace("symmetric: false", "symmetric: true").replace("dtype: int8, symmetric: true, method: minmax}", "dtype: fp8_e4m3, symmetric: true, method: minmax}", 1),
            "missing weight": good.replace("weight:", "wait:"),
            "negative size": good.replace("part_file_size: 0", "part_file_size: -1"),
            "unknown saver": good.replace("ascendv1_saver", "ascendv2_saver"),
            "tab": good.replace("  process", "\tprocess"),
            "two documents": good + "---\n" + good,
            "unquoted star": good.replace("  save:", "      include: [*.mlp.*]\n  save:"),
        }  # fmt: skip
        for name, text in wrong.items():
            with self.subTest(name):
                path = self.recipe(text)
                done = self.quant(self.source, path)
                self.assertRefused(done, "recipe.yaml")
                self.assertFalse(self.out.exists() and any(self.out.iterdir()))
                self.assertEqual(harness.run("recipe", "check", path).returncode, 1)

    def test_good_recipes_check(self):
        for qconfig in (harness.STATIC, harness.DYNAMIC):
            done = harness.run("recipe", "check", self.recipe(harness.recipe(qconfig)))
            self.assertSucceeded(done)

    def test_missing_recipe(self):
        self.assertRefused(self.quant(self.source, self.dir / "nothing.yaml"), "nothing.yaml")

    def test_a_pattern_that_matches_nothing_is_named(self):
        path = self.recipe(harness.recipe(more='      exclude: ["*.no_such_module"]\n'))
        done = self.quantized(self.source, path)
        self.assertIn("*.no_such_module", done.stderr + done.stdout)


class PlanTest(harness.WholeTest):
    def plan(self, source, path, *more):
        arguments = ["--model_type", "Qwen2.5-7B-Instruct", "--model_path", source, "--config_path", path]
        return harness.run("plan", *arguments, *more, cwd=self.dir)

    def test_plan_writes_nothing(self):
        source = self.model(hidden_size=64, num_hidden_layers=2)
        before = harness.digests(self.dir)
        path = self.recipe()
        done = self.plan(source, path)
        self.assertSucceeded(done)
        self.assertIn("W8A8", done.stdout)
        after = harness.digests(self.dir)
        after.pop("recipe.yaml")
        self.assertEqual(after, before)

    def test_plan_as_json(self):
        source = self.model(hidden_size=64, num_hidden_layers=2)
        done = self.plan(source, self.recipe(), "--json")
        self.assertSucceeded(done)
        self.assertIsInstance(json.loads(done.stdout), dict)

    def test_plan_foretells_the_output(self):
        """Every tensor of the output stands in the plan, and the other way round."""
        source = self.model(hidden_size=64, num_hidden_layers=2)
        path = self.recipe()
        done = self.plan(source, path, "--json", "--tensors")
        self.assertSucceeded(done)
        self.quantized(source, path)
        description = json.loads((self.out / "quant_model_description.json").read_text())
        for name in description:
            if name.startswith("model.") or name.startswith("lm_head"):
                self.assertIn(f'"{name}"', done.stdout)

    def test_lists(self):
        for arguments in (["models"], ["processors"], ["practices"]):
            done = harness.run(*arguments)
            self.assertSucceeded(done)
            self.assertTrue(done.stdout.strip())


class TokenizeTest(harness.WholeTest):
    def test_tokenize(self):
        source = self.model(hidden_size=64, num_hidden_layers=1)
        lines = self.dir / "lines.jsonl"
        lines.write_text('{"text": "the cat"}\n{"inputs_pretokenized": "and"}\n', encoding="utf-8")
        done = harness.run("tokenize", "--model_path", source, lines)
        self.assertSucceeded(done)
        vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
        ids = [json.loads(line)["ids"] for line in done.stdout.splitlines()]
        names = {index: token for token, index in vocabulary.items()}
        self.assertEqual(["".join(names[i] for i in row) for row in ids], ["theĠcat", "and"])


if __name__ == "__main__":
    harness.main()
