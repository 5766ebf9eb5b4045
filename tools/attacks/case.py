"""One case: a folder of its own, a random generator of its own, the runs, and what has to hold after each of them."""

import hashlib
import os
import pathlib
import random
import re
import stat

from attacks.program import SANITIZER, Setting

# What no terminal may get (src/base/printable.h says the same).
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
CODE = re.compile(r"^Code: (\d+), Message: ", re.M)
OUR_FAULT = re.compile(r"please report|internal check failed|std::|basic_string|vector::|bad_alloc|terminate called")
STOPPED = 130


class Found(Exception):
    """Something that must not happen. `kind` tells one fault from another; the rest is for people."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


def snapshot(folder):
    """{relative path: what is there} of everything below `folder`: content, permissions, links."""
    seen = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        info = path.lstat()
        if stat.S_ISLNK(info.st_mode):
            what = "link to " + os.readlink(path)
        elif stat.S_ISREG(info.st_mode):
            what = f"{oct(info.st_mode)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        else:
            what = oct(info.st_mode)
        seen[os.fsdecode(path.relative_to(folder))] = what
    return seen


def products(folder):
    """What a loader reads from an output, and no notes of the run."""
    return {
        name: what for name, what in snapshot(folder).items() if not name.startswith(".modelslim") and name != "quant_model_ledger.json"
    }


def final_names(folder):
    """Files that stand under the names of a finished output."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.name != ".modelslim" and not path.name.endswith(".partial"))


class Case:
    def __init__(self, seed, number, folder, program, material):
        self.seed, self.number = seed, number
        self.rng = random.Random(f"{seed}/{number}")
        self.folder = pathlib.Path(folder)
        self.program, self.material = program, material
        self.lines = []  # of everything that was run
        self.attack = ""
        self.guarded = {}  # folder: its snapshot
        self.secrets = []  # bytes that no output may hold

    # ---- running --------------------------------------------------------------------------------------------------

    def run(self, *arguments, setting=None, statuses=(0, 1), codes=True):
        """Runs the program and checks what holds for every run. `codes`: an error carries exactly one code."""
        done = self.program.run(arguments, self.folder, setting)
        self.lines.append(done.line)
        self.check_run(done, statuses, codes, setting or Setting())
        self.check_guarded()
        return done

    def quant(self, model, recipe, out, *more, setting=None, statuses=(0, 1), fresh_out=True):
        """`quant`, with what holds for outputs. `fresh_out`: nothing finished was in the directory before."""
        done = self.run("quant", "--model_path", model, "--config_path", recipe, "--save_path", out, *more, setting=setting, statuses=statuses)
        out = self.folder / out
        if done.status == 0:
            self.check_output(out)
        elif fresh_out and not self.printing_failed(done):
            self.expect(not final_names(out), "files under final names after an error", f"{final_names(out)}\n{done.text[-1500:]}")
        return done

    # ---- what has to hold -----------------------------------------------------------------------------------------

    def expect(self, condition, kind, text=""):
        if not condition:
            raise Found(kind, text)

    def guard(self, folder):
        """Nothing in `folder` may change from now on."""
        self.guarded[folder] = snapshot(folder)

    def check_guarded(self):
        for folder, before in self.guarded.items():
            after = snapshot(folder)
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            self.expect(not changed, "the source was changed", f"{folder}: {changed}")

    def check_run(self, done, statuses, codes, setting):
        tail = done.text[-3000:]
        self.expect(not done.hung, "hangs", tail)
        report = SANITIZER.search(done.text)
        self.expect(not report, "sanitizer", done.text[report.start() - 200 : report.start() + 4000] if report else "")
        self.expect(done.status >= 0, f"died of signal {-done.status}", tail)
        self.expect(done.status in statuses, f"status {done.status}", tail)
        try:
            printed = (done.out + done.err).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Found("prints what is no UTF-8", repr((done.out + done.err)[max(0, error.start - 60) : error.start + 20])) from error
        raw = RAW.search(printed)
        self.expect(not raw, "prints control characters", repr(printed[max(0, raw.start() - 80) : raw.start() + 20]) if raw else "")
        if done.status == 1 and codes and 2 not in (*setting.closed, *setting.full):
            error = done.err.decode("utf-8")
            self.expect(len(CODE.findall(error)) == 1, "an error without exactly one code", tail)
            fault = OUR_FAULT.search(error)
            self.expect(not fault, "an error that is our own fault: " + (fault.group() if fault else ""), tail)

    @staticmethod
    def printing_failed(done):
        return b"standard output" in done.err

    def check_output(self, out):
        """An output of a run that ended well is accepted by verify, and holds no secret."""
        if not out.exists():  # a recipe without a saver writes nothing
            return
        self.expect(not (out / ".modelslim").exists(), "the work directory stays after the end")
        left = [name for name in os.listdir(out) if name.endswith(".partial")]
        self.expect(not left, "unfinished files after the end", str(left))
        done = self.run("verify", out)
        self.expect(done.status == 0, "verify refuses a good run", done.text[-3000:])
        for path in out.iterdir():
            for secret in self.secrets:
                self.expect(secret not in path.read_bytes(), "the output holds what a link leads to", path.name)

    def expect_same(self, one, other, kind):
        first, second = products(self.folder / one), products(self.folder / other)
        differ = sorted(name for name in {**first, **second} if first.get(name) != second.get(name))
        self.expect(not differ, kind, str(differ))
