#!/usr/bin/python3
"""analyze: the rankings of the golden data, patterns, ties, and what it refuses."""

import json
import re
import unittest

import golden_test
import harness


def goldens():
    found = [(root, path) for root in golden_test.roots() for path in sorted((root / "analyze").glob("*.json"))]
    assert len(found) >= 6, "the golden data of analyze are missing"
    return found


def printed(text):
    """([(name, score as printed)], [names of the YAML list])"""
    ranking = [tuple(pair) for pair in re.findall(r"^  ([\w.]+) +(\S+)$", text, re.MULTILINE)]
    names = re.findall(r"^  - (\S+)$", text.split("disable_names:\n")[1], re.MULTILINE)
    return [pair for pair in ranking if pair[0] != "-"], names


class GoldenTest(unittest.TestCase):
    def test_text(self):
        for root, path in goldens():
            with self.subTest(path.stem):
                golden = json.loads(path.read_text(encoding="utf-8"))
                done = harness.run(*golden["command"], "--threads", "1", cwd=root)
                self.assertEqual(done.returncode, 0, done.stderr)
                ranking, names = printed(done.stdout)
                self.assertEqual(ranking, [tuple(pair) for pair in golden["ranking_as_printed"]])
                self.assertEqual(names, golden["disable_names"])

    def test_json(self):
        for root, path in goldens():
            with self.subTest(path.stem):
                golden = json.loads(path.read_text(encoding="utf-8"))
                # So little memory that the samples go through in many chunks.
                command = [*golden["command"], "--json", "--threads", "3"]
                done = harness.run(*command, "--memory", harness.least_memory(*command, cwd=root), cwd=root)
                self.assertEqual(done.returncode, 0, done.stderr)
                report = json.loads(done.stdout)
                ranking = [[layer["name"], f"{layer['score']:.4e}"] for layer in report["ranking"]]
                self.assertEqual(ranking, golden["ranking_as_printed"])
                self.assertEqual(report["disable_names"], golden["disable_names"])


class AnalyzeTest(harness.WholeTest):
    def analyze(self, model, *more, dataset="calib.jsonl"):
        return harness.run("analyze", "--model_path", model, "--calib_dataset", dataset, *more, cwd=self.dir)

    def names(self, model, *more):
        done = self.analyze(model, "--json", "--topk", "1000", *more)
        self.assertSucceeded(done)
        return [layer["name"] for layer in json.loads(done.stdout)["ranking"]]

    def small(self, **how):
        return self.model(hidden_size=64, num_hidden_layers=2, **how)

    def test_patterns(self):
        model = self.small()
        everything = self.names(model)
        self.assertEqual(len(everything), 14)
        self.assertNotIn("lm_head", everything)
        downs = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"]
        self.assertEqual(sorted(self.names(model, "--pattern", "*.down_proj")), downs)
        chosen = self.names(model, "--pattern", "*.1.mlp.[gu]*", downs[0])
        self.assertEqual(sorted(chosen), [downs[0], "model.layers.1.mlp.gate_proj", "model.layers.1.mlp.up_proj"])

    def test_patterns_that_match_nothing(self):
        model = self.small()
        done = self.analyze(model, "--pattern", "layers.0.*", "*.{gate,up}_proj")
        self.assertRefused(done, "--pattern", "model.layers.0.", codes=[203])
        done = self.analyze(model, "--pattern", "*.down_proj", "layers.0.*")
        self.assertSucceeded(done)
        self.assertIn("layers.0.*", done.stderr)

    def test_memory_and_threads_change_nothing(self):
        model = self.small()
        for metric in ("std", "quantile", "kurtosis"):
            with self.subTest(metric):
                wide = self.analyze(model, "--metrics", metric, "--threads", "3")
                command = ["analyze", "--model_path", model, "--calib_dataset", "calib.jsonl", "--metrics", metric, "--threads", "1"]
                narrow = harness.run(*command, "--memory", harness.least_memory(*command, cwd=self.dir), cwd=self.dir)
                self.assertSucceeded(wide)
                self.assertSucceeded(narrow)
                self.assertEqual(wide.stdout, narrow.stdout)

    def test_experts(self):
        """Experts that no token reached are counted, not ranked."""
        model = self.model(family="qwen3_moe", hidden_size=64, num_hidden_layers=1)
        done = self.analyze(model, "--json", "--topk", "100000")
        self.assertSucceeded(done)
        report = json.loads(done.stdout)
        self.assertEqual(len(report["ranking"]), report["scored_layers"])
        self.assertTrue(any(".experts." in name for name in report["disable_names"]))

    def test_leaves_nothing(self):
        model = self.small()
        temporary = self.dir / "tmp"
        temporary.mkdir()
        before = harness.digests(self.dir)
        done = harness.run("analyze", "--model_path", model, "--calib_dataset", "calib.jsonl", cwd=self.dir, env={"TMPDIR": str(temporary)})
        self.assertSucceeded(done)
        self.assertEqual(harness.digests(self.dir), before)
        self.assertEqual(list(temporary.iterdir()), [])
        done = harness.run("analyze", "--model_path", model, "--calib_dataset", "calib.jsonl", cwd=self.dir, env={"TMPDIR": "/nowhere"})
        self.assertRefused(done, "/nowhere")

    def test_usage(self):
        model = self.small()
        for more in (["--topk", "0"], ["--topk", "many"], ["--metrics", "mean"], ["--device", "cpu:0"], ["layer"], ["--threads", "-1"]):
            with self.subTest(more):
                self.assertEqual(self.analyze(model, *more).returncode, 2)
        self.assertSucceeded(self.analyze(model, "linear", "--device", "npu", "--metrics", "std"))

    def test_refusals(self):
        model = self.small()
        self.assertRefused(self.analyze(model, dataset="absent.jsonl"), "absent.jsonl", codes=[204])
        (self.dir / "empty.jsonl").write_text("")
        self.assertRefused(self.analyze(model, dataset="empty.jsonl"), "empty.jsonl", codes=[202])
        self.assertRefused(self.analyze(self.dir / "absent"), "absent", codes=[201])
        self.assertRefused(self.analyze(model, "--memory", "1MiB"), "memory")
        self.assertRefused(self.analyze(model, "--trust_remote_code", "yes"), "--trust_remote_code", codes=[203])


if __name__ == "__main__":
    harness.main()
