"""What the tests of the whole program share: running it, tiny models, recipes, comparing directories.

CMake passes MODELSLIM (the program), MODELSLIM_SOURCE (the source tree) and MODELSLIM_BUILD (the build tree). By hand:

    MODELSLIM=build/dev/modelslim /usr/bin/python3 tests/whole/paths_test.py
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy

SOURCE = pathlib.Path(os.environ.get("MODELSLIM_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("MODELSLIM_BUILD", SOURCE / "build" / "dev"))
PROGRAM = pathlib.Path(os.environ.get("MODELSLIM", BUILD / "modelslim")).resolve()

sys.path.insert(0, str(SOURCE / "tools"))
sys.dont_write_bytecode = True
import checkpoint  # noqa: E402
import make_random_checkpoint  # noqa: E402

os.umask(0o022)
# The work may be several GB where a test asks for it; a RAM disk is not the place.
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="modelslim-test-", dir=os.environ.get("MODELSLIM_TEST_TMP")))

# ---- recipes --------------------------------------------------------------------------------------------------------

STATIC = """
        act: {scope: per_tensor, dtype: int8, symmetric: false, method: minmax}
        weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}"""
DYNAMIC = """
        act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}
        weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}"""


def recipe(qconfig=STATIC, before="", part_file_size=0, dataset="calib.jsonl", more=""):
    """A modelslim_v1 recipe: the steps of `before`, then linear_quant."""
    return f"""apiversion: modelslim_v1
spec:
  process:
{before}    - type: linear_quant
      qconfig:{qconfig}
{more}  save:
    - type: ascendv1_saver
      part_file_size: {part_file_size}
  dataset: {dataset}
"""


SMOOTH = """    - type: iter_smooth
      alpha: 0.5
"""

TEXTS = [
    "The ferry left the island before the fog came in, and nobody on deck said a word.",
    "def area(width, height):\n    return width * height\n",
    "Seven times eight is fifty-six; take away nine and forty-seven remain.",
    "In the kitchen the kettle sang. 'Tea?' she asked. 'Always,' said he.",
    "A river is older than the road beside it, though the road is the one with a name.",
    "Rain, wind, and the long grass bending: the field kept its own time.",
]

# ---- models and files -----------------------------------------------------------------------------------------------


def write_model(folder, family="qwen2", shard_bytes=0, seed=0, fp8=False, dtype="bfloat16", **overrides):
    """Writes a small random checkpoint of `family` into `folder`."""
    config = make_random_checkpoint.configured(family, overrides, dtype)
    make_random_checkpoint.write_checkpoint(folder, config, seed=seed, fp8=fp8, shard_bytes=shard_bytes)
    return pathlib.Path(folder)


def write_calibration(path, samples=6, repeat=1):
    with open(path, "w", encoding="utf-8") as out:
        for sample in range(samples):
            text = " ".join([TEXTS[sample % len(TEXTS)]] * repeat)
            out.write('{"inputs_pretokenized": %s}\n' % make_random_checkpoint.json.dumps(text))
    return pathlib.Path(path)


def digests(folder):
    """{relative path: SHA-256} of all files below `folder`."""
    folder = pathlib.Path(folder)
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def products(folder):
    """The digests of what a loader reads from an output directory: not our own notes of the run, which tell of the run too."""
    notes = ("quant_model_ledger.json",)
    return {name: digest for name, digest in digests(folder).items() if not name.startswith(".") and name not in notes}


def header_of(path):
    """The header of a safetensors file, without its metadata, and where its data begins."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size


def tensors_of(folder):
    """{name: array} of an output directory; bf16 is widened to f32, f8 stays bytes."""
    layouts = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1", "F8_E4M3": "u1"}
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        header, begin = header_of(path)
        data = path.read_bytes()
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            values = numpy.frombuffer(data[begin + first : begin + last], dtype=layouts[entry["dtype"]]).reshape(entry["shape"])
            if entry["dtype"] == "BF16":
                values = (values.astype(numpy.uint32) << 16).view(numpy.float32)
            found[name] = values
    return found


# ---- running --------------------------------------------------------------------------------------------------------


def run(*arguments, cwd=None, timeout=300, env=None, **more):
    """Runs the program with `arguments`. Death by a signal is a failure here and now: the program never crashes."""
    command = [str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, timeout=timeout, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})}, **more,
    )  # fmt: skip
    if done.returncode < 0 or done.returncode >= 128:
        raise AssertionError(f"died with status {done.returncode}: {' '.join(command)}\n{done.stderr[-4000:]}")
    return done


def least_memory(*arguments, **how):
    """The least --memory that the command accepts, which cuts the samples into the most chunks: the refusal of 1 KiB names it."""
    refused = run(*arguments, "--memory", "1KiB", **how)
    found = re.search(r"needs about ([\d.]+) MiB", refused.stderr)
    if found is None:
        raise AssertionError(f"1 KiB was not refused with the need:\n{refused.stderr[-2000:]}")
    # The need is rounded, and what a process holds before it begins differs a little from one to the next.
    return f"{float(found.group(1)) + 0.3:.1f}MiB"


def code_of(result):
    """The number in "Code: 203, Message: ..." on standard error, or None."""
    found = re.search(r"Code: (\d+)", result.stderr)
    return int(found.group(1)) if found else None


class WholeTest(unittest.TestCase):
    """Gives each test a directory of its own with a model, a recipe and a calibration file."""

    maxDiff = 4000

    def setUp(self):
        name = self.id().split(".")[-1]
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=SCRATCH))
        self.out = self.dir / "out"
        write_calibration(self.dir / "calib.jsonl")

    def tearDown(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def model(self, name="model", **how):
        return write_model(self.dir / name, **how)

    def recipe(self, text=None, name="recipe.yaml"):
        path = self.dir / name
        path.write_text(recipe() if text is None else text, encoding="utf-8")
        return path

    def arguments(self, model, recipe_path, out=None, model_type="Qwen2.5-7B-Instruct"):
        return ["--model_type", model_type, "--model_path", model, "--save_path", out or self.out, "--device", "cpu",
                "--config_path", recipe_path]  # fmt: skip

    def quant(self, model, recipe_path, *more, out=None, model_type="Qwen2.5-7B-Instruct", **how):
        arguments = self.arguments(model, recipe_path, out, model_type)
        return run("quant", *arguments, *more, cwd=how.pop("cwd", self.dir), **how)

    def quantized(self, model, recipe_path, *more, **how):
        """quant that has to succeed."""
        done = self.quant(model, recipe_path, *more, **how)
        self.assertSucceeded(done)
        return done

    def assertSucceeded(self, done):
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])

    def assertRefused(self, done, *phrases, codes=None):
        """Exit status 1, an error of one of `codes`, and every phrase in what it says."""
        self.assertEqual(done.returncode, 1, f"status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
        if codes is not None:
            self.assertIn(code_of(done), codes, done.stderr[-3000:])
        else:
            self.assertIsNotNone(code_of(done), done.stderr[-3000:])
        for phrase in phrases:
            self.assertIn(phrase, done.stderr)

    def assertNothingComplete(self, out=None):
        """No file in the output directory that a loader could take for a finished checkpoint."""
        out = pathlib.Path(out or self.out)
        looks = [path.name for path in out.glob("*") if re.match(r"quant_model_(description\.json|weights.*index\.json)$", path.name)]
        self.assertEqual(looks, [], f"looks complete: {sorted(path.name for path in out.glob('*'))}")

    def assertSameProducts(self, one, other):
        self.assertEqual(products(one), products(other))


def main():
    try:
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
