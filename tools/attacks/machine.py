"""Attacks by the machine and by moments: kills, full disks, limits, closed descriptors, links, flipped bits. A run that was
cut off goes on to the bytes of one that was not."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

from attacks import mutation
from attacks.case import STOPPED, final_names
from attacks.material import DYNAMIC, ORDINARY, SMOOTHED, STATIC
from attacks.program import Setting

KINDS = [STATIC, DYNAMIC, SMOOTHED, STATIC.replace("part_file_size: 0", "part_file_size: 1")]


def stamps(directory):
    """Every file below it with its size and time; nothing where there is no such directory."""
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(directory.rglob("*"))}


class Reference:
    """A model, a recipe, and the output of an undisturbed run, `whole`, with the seconds that it took."""

    def __init__(self, case, model=None, recipe=None):
        self.case = case
        self.source = case.material.model(case, model or case.rng.choice(ORDINARY))  # every recipe of KINDS runs on them
        self.recipe = case.material.recipe(case, recipe or case.rng.choice(KINDS))
        case.material.data(case, 6)
        case.guard(self.source)
        begin = time.monotonic()
        done = case.quant(self.source, self.recipe, "whole")
        self.seconds = time.monotonic() - begin
        case.expect(done.status == 0, "an ordinary run fails", done.text[-3000:])

    def arguments(self, out):
        return ["quant", "--model_path", self.source, "--config_path", self.recipe, "--save_path", out]

    def goes_on(self, out, *more, kind="a resumed run gives other bytes"):
        done = self.case.quant(self.source, self.recipe, out, *more, fresh_out=False)
        self.case.expect(done.status == 0, "a run cannot be resumed", done.text[-3000:])
        self.case.expect_same("whole", out, kind)

    def cut_off(self, out, number=signal.SIGKILL):
        """Starts a run and ends it somewhere on the way. True where it was still going on."""
        case = self.case
        before = stamps(case.folder / out)
        process = case.program.start(self.arguments(out), case.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moment = case.rng.uniform(0.0, 1.1) * self.seconds
        case.lines.append(f"# {signal.Signals(number).name} after {moment:.3f} s of: quant ... --save_path {out}")
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        try:
            process.wait(case.program.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            case.expect(False, f"hangs after {signal.Signals(number).name}")
        # Before the program has so much as started, a signal ends it as it ends any process.
        early = number == signal.SIGKILL or stamps(case.folder / out) == before
        allowed = (0, STOPPED, -number) if early else (0, STOPPED)
        case.expect(process.returncode in allowed, f"status {process.returncode} after {signal.Signals(number).name}")
        case.check_guarded()
        if "quant_model_description.json" in final_names(case.folder / out):
            done = case.run("verify", out)
            case.expect(done.status == 0, "what is described is not whole", done.text[-2000:])
        return process.returncode != 0

    def unfinished(self, out):
        """A run that left something to go on with; false where none could be caught."""
        for _ in range(20):
            if self.cut_off(out) and (self.case.folder / out / ".modelslim" / "journal.jsonl").exists():
                return True
            shutil.rmtree(self.case.folder / out, ignore_errors=True)
        return False


def kill(case):
    """Ended at any moment, once or again and again."""
    it = Reference(case, "long")
    for _ in range(case.rng.choice([1, 1, 2, 4])):
        it.cut_off("out", case.rng.choice([signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT]))
    it.goes_on("out", *case.rng.choice([[], [], ["--threads", "3"], ["--no-verify"], ["--fresh"]]))


def ways(case):
    """Threads, memory and checks change no byte."""
    it = Reference(case)
    more = case.rng.choice([["--threads", str(case.rng.choice([1, 2, 5, 64, 100000]))], ["--memory", f"{case.rng.randrange(1, 4000)}MiB"], ["--no-verify"]])
    done = case.quant(it.source, it.recipe, "out", *more)
    case.expect(done.status == 0 or "--memory" in more, "an ordinary run fails", done.text[-2000:])
    if done.status == 0:
        case.expect_same("whole", "out", f"{more[0]} changes the output")


def file_size(case):
    """A limit on the size of files: like a full disk, wherever it strikes."""
    it = Reference(case, case.rng.choice(["long", "llama", "qwen2"]))
    largest = max(path.stat().st_size for path in (case.folder / "whole").iterdir())
    limit = case.rng.choice([case.rng.randrange(1, largest + 5000), case.rng.randrange(1, 20000)])
    case.quant(it.source, it.recipe, "out", setting=Setting({resource.RLIMIT_FSIZE: limit}))
    it.goes_on("out")


def full_disk(case):
    """A disk that is too small, and then large enough. Needs root."""
    it = Reference(case, case.rng.choice(["long", "llama"]))
    size = sum(path.stat().st_size for path in (case.folder / "whole").iterdir())
    disk = case.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={case.rng.randrange(1, int(size * 1.3) // 4096) * 4096}", "tmpfs", disk]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        return
    try:
        case.quant(it.source, it.recipe, "disk/out")
        subprocess.run(["mount", "-o", "remount,size=1g", disk], check=True)
        it.goes_on("disk/out")
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def descriptors(case):
    """Descriptors 0 to 2 closed, or with nowhere to write."""
    it = Reference(case, case.rng.choice(["llama", "qwen2"]))
    closed = tuple(number for number in range(3) if case.rng.random() < 0.5)
    full = tuple(number for number in (1, 2) if number not in closed and case.rng.random() < 0.3)
    done = case.quant(it.source, it.recipe, "out", setting=Setting(closed=closed, full=full))
    case.expect((done.status == 1) == (1 in full), f"status {done.status} with closed {closed} and full {full}", done.text[-2000:])
    if done.status == 0:
        case.expect_same("whole", "out", "closed descriptors change the output")


LIMITS = {
    "RLIMIT_AS": (100 << 20, 1200 << 20), "RLIMIT_DATA": (20 << 20, 600 << 20), "RLIMIT_NOFILE": (5, 40), "RLIMIT_STACK": (256 << 10, 2 << 20),
    "RLIMIT_NPROC": (1, 6), "RLIMIT_MEMLOCK": (0, 4096), "RLIMIT_CPU": (1, 1),
}  # fmt: skip


def limits(case):
    """Limits of a shell or a container. What is too little is said; what is done before is kept."""
    it = Reference(case, case.rng.choice(["llama", "moe", "long"]))
    # Sanitizers need address space for themselves, and descriptors to find out what memory can be read.
    unfit = ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_NOFILE") if case.program.sanitized else ()
    name = case.rng.choice([name for name in LIMITS if name not in unfit])
    setting = Setting({getattr(resource, name): case.rng.randint(*LIMITS[name])})
    if name == "RLIMIT_STACK" and case.program.sanitized:
        return
    more = ["--threads", str(case.rng.choice([1, 2, 30]))]
    done = case.program.run([*it.arguments("out"), *more], case.folder, setting)
    case.lines.append(done.line)
    if b"error while loading shared libraries" in done.err:
        return  # too little even to start
    case.check_run(done, (0, 1, STOPPED), True, setting)
    case.check_guarded()
    if done.status:
        case.expect(not final_names(case.folder / "out"), "files under final names after an error", str(final_names(case.folder / "out")))
    it.goes_on("out")


def flips(case):
    """A finished output with one thing in it changed is not accepted, and does not end verify."""
    Reference(case)
    out, rng = case.folder / "whole", case.rng
    path = rng.choice(sorted(path for path in out.iterdir() if path.name != "quant_model_ledger.json"))
    data = path.read_bytes()
    path.chmod(0o600)
    if path.suffix == ".safetensors" and rng.random() < 0.7:
        header = 8 + int.from_bytes(data[:8], "little")
        at = rng.randrange(header, len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :])
    else:
        path.write_bytes(mutation.changed_bytes(rng, data, 1))
    changed = path.read_bytes() != data
    done = case.run("verify", out)
    case.expect(not changed or done.status == 1, f"verify accepts a changed {path.suffix} file", f"{path.name}\n{done.text[-1000:]}")


def work_directory(case):
    """What an interrupted run left, changed: the next run gives the right bytes, or says why it does not, and how it will."""
    it = Reference(case, "long")
    if not it.unfinished("out"):
        return
    rng = case.rng
    files = [path for path in (case.folder / "out").rglob("*") if path.is_file() and path.stat().st_size and path.name != "lock"]
    if not files:
        return
    path = rng.choice(files)
    path.chmod(0o600)
    case.lines.append(f"# changed {path.relative_to(case.folder)}")
    data = path.read_bytes()
    if path.name == "journal.jsonl" and rng.random() < 0.7:
        lines = data.decode("utf-8", "replace").split("\n")
        at = rng.randrange(len(lines))
        try:
            lines[at] = json.dumps(mutation.change(rng, json.loads(lines[at])))
        except ValueError:
            lines[at] = rng.choice(lines)
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(mutation.changed_bytes(rng, data))
    done = case.quant(it.source, it.recipe, "out", fresh_out=False)
    if done.status:
        case.expect("--fresh" in done.text, "a spoilt run is refused without the way on", done.text[-1500:])
        it.goes_on("out", "--fresh")
    case.expect_same("whole", "out", "what an interrupted run left, spoilt, spoils the output")


def other_source(case):
    """Between the end of a run and the next one the source changes: nothing of the old one may stay. (The date of the file tells;
    whoever puts that back as well is not noticed.)"""
    it = Reference(case, "long")
    if not it.unfinished("out"):
        return
    rng = case.rng
    shard = rng.choice(sorted(it.source.glob("*.safetensors")))
    data = bytearray(shard.read_bytes())
    header = 8 + int.from_bytes(data[:8], "little")
    for _ in range(50):
        data[rng.randrange(header, len(data))] ^= 1  # the lowest bits: numbers stay numbers
    shard.write_bytes(data)
    case.guard(it.source)
    first = case.quant(it.source, it.recipe, "out", fresh_out=False)
    second = case.quant(it.source, it.recipe, "clean")
    case.expect(second.status == 0, "an ordinary run fails", second.text[-1500:])
    if first.status == 0:
        case.expect_same("clean", "out", "a resumed run mixes two sources")


def two_at_once(case):
    """Two runs in one directory: one of them is refused, or both end well, and the output is right."""
    it = Reference(case, "long")
    other = case.program.start(it.arguments("out"), case.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(case.rng.uniform(0, 1) * it.seconds)
        done = case.run(*it.arguments("out"))
        case.expect(done.status == 0 or b"another run" in done.err, "two runs at once: another error", done.text[-1500:])
        other.wait(case.program.timeout)
    finally:
        other.kill()
        other.wait()
    case.expect(other.returncode in (0, 1), f"status {other.returncode} of two runs at once")
    it.goes_on("out", kind="two runs at once give other bytes")


ATTACKS = {kill: 3, ways: 2, file_size: 2, full_disk: 1, descriptors: 1, limits: 3, flips: 3, work_directory: 2, other_source: 1, two_at_once: 1}
