#!/usr/bin/python3
"""`modelslim report`: one page that opens offline, whatever is in the output. Charts and tables are looked at in headless Chromium."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import harness

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = "</script><script>document.documentElement.dataset.hacked=1</script><img src=x onerror=alert(1)>&\"'"


class ReportTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(num_hidden_layers=3)
        self.quantized(self.source, self.recipe(harness.recipe(harness.STATIC)))

    def report(self, *more):
        done = harness.run("report", self.out, *more, cwd=self.dir)
        self.assertSucceeded(done)
        return pathlib.Path(done.stdout.strip())

    def ledger(self, change):
        path = self.out / "quant_model_ledger.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.chmod(0o600)
        path.write_text(json.dumps(content), encoding="utf-8")

    def opened(self, page, script=""):
        """(attributes of the root element, the page as it stands, what the console said) in a browser without a network."""
        if CHROMIUM is None:
            self.skipTest("no Chromium here")
        target = page
        if script:  # what a user would do, behind the page's own script
            target = self.dir / "acted.html"
            target.write_text(page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=4000",
                   f"--user-data-dir={self.dir / 'profile'}", "--dump-dom", target.as_uri()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        root = re.search(r"<html[^>]*>", done.stdout)
        self.assertIsNotNone(root, done.stderr[-2000:])
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return dict(re.findall(r'data-([a-z]+)="([^"]*)"', root.group(0))), done.stdout, console

    def assertWell(self, page):
        attributes, dom, console = self.opened(page)
        self.assertEqual(console, [])
        self.assertEqual(attributes.get("errors"), "0")
        self.assertNotIn("hacked", attributes)
        self.assertIn("ready", attributes)
        return attributes, dom

    def test_the_page_is_one_file_that_loads_nothing(self):
        text = self.report().read_text(encoding="utf-8")
        self.assertIn("Content-Security-Policy", text)
        self.assertIn("default-src 'none'", text)
        self.assertIsNone(re.search(r"""(?:src|href)\s*=\s*["']?https?:""", text))
        self.assertLess(len(text), 1 << 20)

    def test_charts_and_tables(self):
        attributes, dom = self.assertWell(self.report())
        self.assertGreaterEqual(int(attributes["charts"]), 3)  # parameters, errors of weights and outputs
        self.assertIn("model.layers.2.mlp.down_proj", dom)
        self.assertIn("21 of 21 rows", dom)

    def test_sorts_filters_and_speaks_chinese(self):
        page = self.report()
        filtered = "const f = document.getElementById('filter'); f.value = 'layers.1.mlp'; f.dispatchEvent(new Event('input'));"
        _, dom, _ = self.opened(page, filtered)
        self.assertIn("3 of 3 rows", dom)
        by_error = "document.querySelector('[data-sort=weight_error]').click();"
        _, dom, _ = self.opened(page, by_error)
        ledger = json.loads((self.out / "quant_model_ledger.json").read_text(encoding="utf-8"))["tensors"]
        worst = max(ledger, key=lambda entry: entry["weight_error"])["name"]
        first = re.search(r'<table id="table">.*?<tbody><tr><td>([^<]*)</td>', dom, re.S)
        self.assertEqual(first.group(1), worst)
        attributes, dom, console = self.opened(page, "document.getElementById('language').click(); document.getElementById('theme').click();")
        self.assertEqual((attributes["ready"], console), ("zh", []))
        self.assertIn("量化报告", dom)

    def test_hostile_names_and_numbers(self):
        def change(ledger):
            ledger["tensors"][0]["name"] = "model.layers.0." + HOSTILE
            ledger["tensors"][0]["type"] = HOSTILE
            ledger["tensors"][1]["weight_error"] = float("nan")
            ledger["tensors"][2]["weight_error"] = "much"
            ledger["tensors"] += [7, None, {}]
            ledger["experts"] = [{"experts": HOSTILE, "tokens": [1, None, 3]}, {"tokens": "no"}]
            ledger["not_finite"] = [{"name": HOSTILE, "value": "NaN", "index": 0}, 3]

        self.ledger(change)
        evaluation = self.dir / "evaluation.json"
        evaluation.write_text('{"scores": {"perplexity": NaN, "kl": {"mean": Infinity}}, "layers": [{"block": %s, "streamed": 1, "forced": null}]}' % json.dumps(HOSTILE), encoding="utf-8")
        _, dom = self.assertWell(self.report("--evaluation", evaluation))
        self.assertNotIn("<img src=", dom)

    def test_an_empty_ledger_and_none(self):
        self.ledger(lambda ledger: ledger.clear())
        self.assertWell(self.report())
        (self.out / "quant_model_ledger.json").unlink()
        self.assertWell(self.report())

    def test_the_largest_ledgers_open_quickly(self):
        def change(ledger):
            like = ledger["tensors"][0]
            ledger["tensors"] = [
                {**like, "name": f"model.layers.{layer}.mlp.experts.{expert}.{kind}", "weight_error": 0.001 * (expert + 1)}
                for layer in range(60) for expert in range(334) for kind in ("gate_proj", "up_proj", "down_proj")
            ]  # fmt: skip

        self.ledger(change)
        page = self.report()
        begun = time.monotonic()
        _, dom = self.assertWell(page)
        self.assertIn("200 of 60120 rows", dom)
        _, dom, _ = self.opened(page, "document.documentElement.dataset.took = Math.round(performance.now());")
        took = int(re.search(r'data-took="(\d+)"', dom).group(1))
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others' work is not the page's
        self.assertLess(took, 2000 * busy, f"{took} ms until the page stood; {time.monotonic() - begun:.1f} s with the browser's start")

    def test_what_is_no_output_is_refused(self):
        self.assertRefused(harness.run("report", self.source), "quant_model_description.json")


if __name__ == "__main__":
    harness.main()
