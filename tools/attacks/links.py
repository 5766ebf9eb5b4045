"""Attacks by links: nothing outside of the output is written, and nothing outside of the model ends up in it."""

import os
import shutil

from attacks.material import DYNAMIC, STATIC

SECRET = b"the password is swordfish"
NAMES = ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "notes.txt", "extra.json", "template.jinja", "modeling.py"]


def prepared(case):
    source = case.material.model(case)
    path = case.material.recipe(case, case.rng.choice([DYNAMIC, STATIC]))
    case.material.data(case)
    victim = case.folder / "victim"
    victim.mkdir()
    for name in ("one", "two.json"):
        (victim / name).write_bytes(SECRET)
    case.secrets.append(SECRET)
    return source, path, victim


def link(case, target, path):
    """A link of any kind from `path` to the file `target`."""
    path.unlink(missing_ok=True)
    act = case.rng.randrange(4)
    if act == 0:
        os.link(target, path)
    elif act == 1:
        path.symlink_to(os.path.relpath(target, path.parent))
    elif act == 2:
        between = case.folder / f"between-{len(os.listdir(case.folder))}"
        between.symlink_to(target)
        path.symlink_to(between)
    else:
        path.symlink_to(target)
    case.lines.append(f"# link {path} -> {target} ({'hard' if act == 0 else 'symbolic'})")
    return act != 0


def view_of(case, source, whole):
    """A directory of links: to every file of the source, or to some of them."""
    view = case.folder / "view"
    view.mkdir()
    for path in sorted(source.iterdir()):
        if whole or case.rng.random() < 0.5:
            link(case, path, view / path.name)
        else:
            shutil.copy(path, view / path.name)
    return view


def to_the_source(case):
    """--save_path is where links of the model lead, or holds links to it."""
    source, path, _ = prepared(case)
    rng = case.rng
    model, out = source, case.folder / "out"
    act = rng.randrange(4)
    if act == 0:
        model = view_of(case, source, rng.random() < 0.5)
        out = rng.choice([source, source / "new", model, model / ".." / "model"])
    elif act == 1:
        out.mkdir()
        real = rng.choice(sorted(source.iterdir()))
        link(case, real, out / rng.choice([real.name, "quant_model_weights.safetensors", "quant_model_weights.safetensors.partial", "config.json", "other"]))
    elif act == 2:
        out.symlink_to(rng.choice([source, source / "new", case.folder]))
    else:
        (case.folder / "far").mkdir()
        for name in rng.sample(sorted(file.name for file in source.iterdir()), 1 + rng.randrange(2)):
            shutil.move(source / name, case.folder / "far" / name)
            (source / name).symlink_to(case.folder / "far" / name)
        out = case.folder / "far"
        case.guard(out)
    case.guard(source)
    case.quant(model, path, out, fresh_out=False)


def out_of_the_model(case):
    """Links in the model directory to what is none of its business."""
    source, path, victim = prepared(case)
    case.guard(victim)
    for name in case.rng.sample(NAMES, 1 + case.rng.randrange(3)):
        target = victim / case.rng.choice(["one", "two.json", "nothing"])
        (source / name).unlink(missing_ok=True)
        (source / name).symlink_to(target)
    case.guard(source)
    case.quant(source, path, "out")


def in_the_output(case):
    """Links that stand where the program writes."""
    source, path, victim = prepared(case)
    case.guard(victim)
    case.guard(source)
    out = case.folder / "out"
    (out / ".modelslim").mkdir(parents=True)
    if case.rng.random() < 0.2:
        shutil.rmtree(out / ".modelslim")
        (out / ".modelslim").symlink_to(victim)
    else:
        for _ in range(1 + case.rng.randrange(2)):
            name = case.rng.choice([
                ".modelslim/lock", ".modelslim/journal.jsonl", ".modelslim/hidden-0", ".modelslim/hidden-1", ".modelslim/hidden-2", "config.json",
                "quant_model_weights.safetensors.partial", "quant_model_weights.safetensors", "quant_model_description.json",
                "quant_model_description.json.partial", "quant_model_ledger.json", "tokenizer.json.partial", "tokenizer.json",
            ])  # fmt: skip
            link(case, victim / "one", out / name)
    # What the links lead to is no part of the output, whatever it holds.
    case.secrets.clear()
    case.quant(source, path, "out", fresh_out=False)


def hub_cache(case):
    """The layout of a hub's cache: the same output as from plain files."""
    source, path, victim = prepared(case)
    repository = case.folder / "models--a--b"
    snapshot, blobs = repository / "snapshots" / "main", repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(source.iterdir())):
        shutil.copy(file, blobs / f"{number:040x}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040x}")
    whole = case.quant(source, path, "whole")
    if case.rng.random() < 0.4:
        (blobs / "evil").symlink_to(victim / "one")
        (snapshot / "evil.json").symlink_to("../../blobs/evil")
    case.guard(repository)
    out = case.rng.choice(["out", "out", "out", "models--a--b/blobs", "models--a--b/snapshots/main", "models--a--b/snapshots/main/out"])
    done = case.quant(snapshot, path, out, fresh_out=False)
    case.expect((done.status == 0) == (out == "out" and whole.status == 0), "a hub's cache is not read, or written", done.text[-1500:])
    if done.status == 0:
        case.expect_same("whole", "out", "a hub's cache gives another output")


ATTACKS = {to_the_source: 3, out_of_the_model: 2, in_the_output: 2, hub_cache: 1}
