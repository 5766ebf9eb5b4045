#!/usr/bin/python3
"""Which of the practices of msModelSlim 26.1.0 this program plans and runs: the table of docs/practices.md.

    tools/practice_table.py             # writes the table anew
    tools/practice_table.py --check     # says whether it is current (exit status 1 when not)

A practice plans when its family, its service, its steps and its calibration set are there and `plan` accepts it on a small random
model of the family; it runs when `quant` then succeeds on that model, calibrated on a few short texts. Needs the program
(--program, else $MODELSLIM, else build/dev/modelslim) and numpy.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "practices.md"
FACTS = ROOT / "tests" / "golden" / "practices" / "practices-26.1.0.json"
BEGIN, END = "<!-- The table: written by tools/practice_table.py -->\n", "<!-- end of the table -->\n"

# Directory of practices -> family of the small random checkpoint, a --model_type of its adapter. The others have no family here.
MODELS = {
    "default": ("llama", "some-llama"),
    "qwen1_5": ("qwen2", "Qwen1.5-110B"),
    "qwen2": ("qwen2", "Qwen2-7B"),
    "qwen2_5": ("qwen2", "Qwen2.5-7B-Instruct"),
    "deepseek-r1-distill": ("qwen2", "DeepSeek-R1-Distill-Qwen-7B"),
    "qwq": ("qwen2", "QwQ-32B"),
    "qwen3": ("qwen3", "Qwen3-32B"),
    "qwen3_moe": ("qwen3_moe", "Qwen3-30B"),
    "qwen3_next": ("qwen3_next", "Qwen3-Next-80B-A3B-Instruct"),
    "deepseek_v3": ("deepseek_v3", "DeepSeek-R1-0528"),
    "deepseek_v3_2": ("deepseek_v3_2", "DeepSeek-V3.2-Exp"),
}
TEXTS = [
    "The tide came in over the flats, and the boats swung round to face it.",
    "for (int i = 0; i < n; ++i) sum += values[i] * weights[i];",
    "If three pens cost twelve coins, then seven of them cost twenty-eight.",
    "Question: why is the sky dark at night? Answer: because the sun is on the other side.",
]


def layers_named(path):
    """How many layers a model must have for the practice: modelslim_v0 lists the full names of modules, which must exist. 0: any."""
    text = path.read_text(encoding="utf-8")
    numbers = re.findall(r"model\.layers\.(\d+)\.", text) if "apiversion: modelslim_v0" in text else []
    return 1 + max(map(int, numbers)) if numbers else 0


class Trial:
    """Tries practices in a scratch folder with one program."""

    def __init__(self, program, folder):
        self.program, self.folder, self.models = pathlib.Path(program).resolve(), folder, {}
        processors = json.loads(self.run("processors", "--json").stdout)["processors"]
        self.runs_step = {each["type"]: each["runs"] for each in processors}

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], cwd=self.folder, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=600)  # fmt: skip

    def values(self, path):
        """[(path of a value, its YAML text)] as they take effect."""
        lines = self.run("recipe", "explain", path).stdout.splitlines()
        return [tuple(line.rsplit("  # ", 1)[0].strip().split(": ", 1)) for line in lines if ": " in line and not line.startswith("#")]

    def model(self, family, layers=0):
        if (family, layers) not in self.models:
            import make_random_checkpoint

            self.models[family, layers] = self.folder / f"{family}-{layers}"
            config = make_random_checkpoint.configured(family, {"num_hidden_layers": layers} if layers else {})
            make_random_checkpoint.write_checkpoint(self.models[family, layers], config)
        return self.models[family, layers]

    def arguments(self, path):
        family, model_type = MODELS[path.parent.name]
        return ["--model_type", model_type, "--model_path", self.model(family, layers_named(path)), "--config_path", path]

    def missing_parts(self, path, service):
        """What the practice needs and this program does not have."""
        values = self.values(path)
        missing = [] if path.parent.name in MODELS else ["the family"]
        if not self.runs_service(service):
            missing.append(f"the service `{service}`")
        steps = re.findall(r"(?m)^ *- type: (\w+)$", path.read_text(encoding="utf-8").split("\n  save:")[0])
        missing += [f"`{step}`" for step in dict.fromkeys(steps) if not self.runs_step[step]]
        sets = dict.fromkeys(value for name, value in values if name.endswith("dataset") and not value.startswith("("))
        if service != "multimodal_sd_modelslim_v1":  # there the data are recorded from the pipeline
            missing += [f"the calibration set `{name}`" for name in sets if not (ROOT / "lab_calib" / name).exists()]
        return missing

    def runs_service(self, service):
        recipe = self.folder / f"{service}.yaml"
        recipe.write_text(f"apiversion: {service}\nspec: {{multimodal_sd_config: {{dump_config: {{}}}}}}\n"
                          if "_sd_" in service else f"apiversion: {service}\nspec: {{}}\n", encoding="utf-8")  # fmt: skip
        done = self.run("plan", "--model_type", "some-llama", "--model_path", self.model("llama"), "--config_path", recipe)
        return f"cannot run recipes of apiversion {service}" not in done.stderr

    def plan(self, path):
        """"" or why the program cannot."""
        return self.reason(self.run("plan", *self.arguments(path)), path)

    def quant(self, path):
        for name, value in self.values(path):
            if name.endswith("dataset") and not value.startswith("("):  # short texts under the name of the set: the working directory comes first
                listed = [{"inputs_pretokenized": text} for text in TEXTS * 4]
                text = json.dumps(TEXTS * 4) if value.endswith(".json") else "".join(json.dumps(each) + "\n" for each in listed)
                (self.folder / value).write_text(text, encoding="utf-8")
        out = self.folder / "out"
        done = self.run("quant", *self.arguments(path), "--save_path", out, "--device", "cpu", "--idle-experts", "all-tokens")
        shutil.rmtree(out, ignore_errors=True)
        return self.reason(done, path)

    def reason(self, done, path):
        if done.returncode == 0:
            return ""
        found = re.search(r"Code: \d+, Message: (.*)", done.stderr)
        if not found:
            raise RuntimeError(f"{path}: {done.stderr[-2000:]}")
        return re.sub(r"^spec[\w.\[\]]*: ", "", found.group(1).replace(str(path), path.name))


def listed_models(metadata):
    return ", ".join(metadata.get("verified_model_types") or metadata.get("verified_tags", {})) or "any"


def rows(program):
    """[(name, models, type, plans, runs, lacks)] of the practices of 26.1.0, in the order of the facts."""
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="practices-") as folder:
        trial = Trial(program, pathlib.Path(folder))
        types = {}
        for each in json.loads(trial.run("practices", "--json").stdout):
            types[f"{each['pedigree']}/{pathlib.Path(each['file']).name}"] = each["quant_type"]
        table = []
        for name in facts:
            path, models = ROOT / "lab_practice" / name, listed_models(facts[name]["metadata"])
            lacks = ", ".join(trial.missing_parts(path, facts[name]["apiversion"])) or trial.plan(path)
            plans = not lacks
            lacks = lacks or trial.quant(path)
            table.append((name.removesuffix(".yaml"), models, types[name], plans, plans and not lacks, lacks))
        return table


def table_text(table):
    mark = {True: "yes", False: "no"}
    plans, runs = sum(row[3] for row in table), sum(row[4] for row in table)
    lines = [f"Of {len(table)} practices {plans} plan and {runs} run.", ""]
    lines += ["| practice | verified by msModelSlim for | type | plans | runs | lacks |", "| --- | --- | --- | --- | --- | --- |"]
    for name, models, quant_type, planned, ran, lacks in table:
        lines.append(f"| {name} | {models} | {quant_type} | {mark[planned]} | {mark[ran]} | {lacks} |")
    return "\n".join(lines) + "\n"


def page_with(table):
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + "\n" + table_text(table) + "\n" + END + rest.split(END)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.environ.get("MODELSLIM", ROOT / "build" / "dev" / "modelslim"))
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 when the table is not current")
    options = parser.parse_args()
    text = page_with(rows(options.program))
    if options.check:
        current = text == PAGE.read_text(encoding="utf-8")
        print("docs/practices.md is current" if current else "docs/practices.md is not current: run tools/practice_table.py")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
