"""Attacks by files: every one that is read, changed. The run ends well or with one error, and touches nothing else."""

import json
import struct

from attacks import mutation
from attacks.material import DYNAMIC, MODELS, STATIC, TEXTS

DTYPES = ["F64", "F32", "BF16", "F16", "F8_E4M3", "F8_E5M2", "I64", "I32", "I16", "I8", "U8", "BOOL", "F4", "F8_E8M0", "C64", "X"]


def prepared(case, recipe=None, model=None):
    source = case.material.model(case, model)
    path = case.material.recipe(case, recipe)
    case.material.data(case)
    return source, path


def plan_and_quant(case, source, path, *more):
    """`plan` and `quant` on what has been made; they agree on whether it can be done."""
    case.guard(source)
    plan = case.run("plan", "--model_path", source, "--config_path", path, *more, *case.rng.choice([[], ["--tensors"], ["--json"]]))
    if plan.status == 0 or case.rng.random() < 0.3:
        done = case.quant(source, path, "out", *more)
        case.expect(done.status == 1 or plan.status == 0, "quant does what plan refuses", plan.text[-1500:])
        return done
    return plan


def split(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def joined(header, body, padding):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode("utf-8", "surrogatepass")
    text += b" " * padding
    return struct.pack("<Q", len(text)) + text + body


def some_shard(case, source):
    return case.rng.choice(sorted(source.glob("*.safetensors")))


def tensor_changed(rng, header):
    """One thing that only safetensors headers have."""
    names = [name for name in header if name != "__metadata__"]
    name, other = rng.choice(names), rng.choice(names)
    entry = header[name]
    act = rng.randrange(8)
    if act == 0:
        entry["dtype"] = rng.choice(DTYPES)
    elif act == 1:
        entry["shape"] = rng.choice([entry["shape"][::-1], [*entry["shape"], 1], [0], [], [2**40, 2**40], [-1], [2**63, 2], entry["shape"][:1]])
    elif act == 2:
        shift = rng.choice([1, -1, 2, 64, 2**62])
        entry["data_offsets"] = [offset + shift for offset in entry["data_offsets"]]
    elif act == 3:
        entry["data_offsets"] = header[other]["data_offsets"]
    elif act == 4:
        del header[name]
    elif act == 5:
        header[rng.choice(mutation.ODD_TEXTS)] = header.pop(name)
    elif act == 6:
        header[name], header[other] = header[other], header[name]
    else:
        header["__metadata__"] = mutation.odd_value(rng)


def header(case):
    """The header of a weight file."""
    source, path = prepared(case)
    shard = some_shard(case, source)
    data = shard.read_bytes()
    document, body = split(data)
    rng, act = case.rng, case.rng.randrange(6)
    if act < 2:
        for _ in range(rng.choice([1, 1, 3])):
            if len(document) > 1:
                tensor_changed(rng, document)
        data = joined(document, body, rng.choice([0, 0, 1, 3, 8]))
    elif act == 2:
        data = joined(mutation.json_text(rng, mutation.change(rng, document)), body, 0)
    elif act == 3:
        length = rng.choice([0, 1, 2, 8, len(data), len(data) - 8, 2**31, 2**40, 2**63, 2**64 - 1, rng.randrange(2**16)])
        data = struct.pack("<Q", length) + data[8:]
    elif act == 4:
        data = mutation.changed_bytes(rng, data[: len(data) - len(body)]) + body
    else:
        data = rng.choice([data[: rng.randrange(len(data))], data + rng.randbytes(rng.choice([1, 7, 4096])), b"", data[:8]])
    shard.write_bytes(data)
    plan_and_quant(case, source, path)


def padding(case):
    """A header of any length is legal; the output does not depend on it."""
    recipe = case.rng.choice(case.material.recipes)
    source, path = prepared(case, recipe)
    done = case.quant(source, path, "plain")
    for shard in source.glob("*.safetensors"):
        document, body = split(shard.read_bytes())
        shard.write_bytes(joined(document, body, case.rng.randrange(9)))
    again = case.quant(source, path, "padded")
    case.expect(done.status == again.status, "the length of a header decides whether a run ends well", again.text[-1500:])
    if done.status == 0:
        case.expect_same("plain", "padded", "the length of a header changes the output")


def values(case):
    """Weights that are no numbers, or such as no model has."""
    source, path = prepared(case)
    rng = case.rng
    odd = {4: [b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\1\0\0\0", b"\0\0\0\x80"], 2: [b"\xc0\x7f", b"\x80\x7f", b"\0\x7c", b"\xff\x7b", b"\1\0"],
           1: [b"\x7f", b"\xff", b"\x80"]}  # fmt: skip
    size = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}
    shard = some_shard(case, source)
    document, body = split(shard.read_bytes())
    body = bytearray(body)
    names = [name for name in document if name != "__metadata__"]
    for name in rng.sample(names, min(len(names), 1 + rng.randrange(2))):
        entry = document[name]
        width = size[entry["dtype"]]
        first, last = entry["data_offsets"]
        bits = rng.choice(odd[width])
        if rng.random() < 0.4:
            body[first:last] = bits * ((last - first) // width)
        else:
            at = first + width * rng.randrange((last - first) // width)
            body[at : at + width] = bits
    shard.write_bytes(joined(document, bytes(body), 0))
    plan_and_quant(case, source, path)


def index(case):
    """The index of the shards, and the shards that it names."""
    source, path = prepared(case, model=case.rng.choice(["qwen2", "moe", "deepseek"]))
    file, rng = source / "model.safetensors.index.json", case.rng
    shards = sorted(source.glob("*.safetensors"))
    act = rng.randrange(6)
    if act < 3:
        file.write_bytes(mutation.changed_json(rng, file.read_bytes()))
    elif act == 3:
        document = json.loads(file.read_text())
        places = document["weight_map"]
        for name in rng.sample(sorted(places), 2):
            places[name] = rng.choice([shard.name for shard in shards] + mutation.ODD_TEXTS + ["sub/../" + shards[0].name, str(shards[0])])
        file.write_bytes(json.dumps(document).encode("utf-8", "surrogatepass"))
    elif act == 4:
        first, second = rng.choice(shards), rng.choice(shards)
        rng.choice([lambda: first.unlink(), lambda: first.write_bytes(second.read_bytes()), lambda: first.rename(source / "x.safetensors")])()
    else:
        rng.choice([lambda: file.unlink(), lambda: shards[0].rename(source / "model.safetensors"), lambda: (source / "model.safetensors").write_bytes(b"")])()
    plan_and_quant(case, source, path)


def config(case):
    """config.json and the other small JSON files."""
    source, path = prepared(case, model=case.rng.choice(list(MODELS)))
    name = case.rng.choice(["config.json"] * 6 + ["generation_config.json", "tokenizer_config.json"])
    (source / name).write_bytes(mutation.changed_json(case.rng, (source / name).read_bytes()))
    plan_and_quant(case, source, path)


def tokenizer(case):
    source, path = prepared(case, STATIC)
    rng = case.rng
    for name in rng.choice([["tokenizer.json"], ["tokenizer.json"], ["tokenizer_config.json"], ["tokenizer.json", "tokenizer_config.json"]]):
        data = (source / name).read_bytes()
        if name == "tokenizer.json" and rng.random() < 0.6:
            document = json.loads(data)
            part = rng.choice(["normalizer", "pre_tokenizer", "post_processor", "added_tokens"])
            document[part] = tokenizer_part(rng, part) if part != "added_tokens" else mutation.change(rng, document[part])
            data = json.dumps(document).encode("utf-8", "surrogatepass")
        else:
            data = mutation.changed_json(rng, data)
        (source / name).write_bytes(data)
    with open(case.folder / "texts.jsonl", "w") as out:
        for text in [*TEXTS, "", " ", "\0", "x" * 3000, "é́", "<|end|>"]:
            out.write(json.dumps({"text": text}) + "\n")
    case.guard(source)
    case.run("tokenize", "--model_path", source, case.folder / "texts.jsonl")
    case.quant(source, path, "out")


def tokenizer_part(rng, part):
    """A pipeline of steps that real tokenizers have, with odd arguments."""
    pattern = rng.choice([{"String": ""}, {"String": "a"}, {"Regex": ""}, {"Regex": "."}, {"Regex": "(a+)+$"}, {"Regex": "\\p{L}+|["}, {"Regex": "[^\\S\\s&&x]"}, {"Regex": "(?=x)*"}])
    steps = {
        "normalizer": [{"type": "NFC"}, {"type": "NFKD"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
                       {"type": "Replace", "pattern": pattern, "content": rng.choice(["", "aa", "\0", "x" * 100])}, {"type": "Prepend", "prepend": rng.choice(["", "▁", "x" * 100])},
                       {"type": "StripAccents"}, {"type": "Nmt"}, {"type": "Precompiled", "precompiled_charsmap": rng.choice(["", "AAAA", "////"])}],
        "pre_tokenizer": [{"type": "Split", "pattern": pattern, "behavior": rng.choice(["Isolated", "Removed", "MergedWithNext", "Contiguous"]), "invert": rng.random() < 0.5},
                          {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}, {"type": "Digits", "individual_digits": True}, {"type": "Punctuation"},
                          {"type": "Whitespace"}, {"type": "Metaspace", "replacement": rng.choice(["▁", "", "ab"]), "prepend_scheme": "always"}],
        "post_processor": [{"type": "ByteLevel"}, {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                            "pair": [], "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": rng.choice([[0], [], [2**40], [-1]]), "tokens": ["<|begin|>"]}}}],
    }[part]  # fmt: skip
    step = rng.choice(steps)
    if rng.random() < 0.3:
        step = mutation.change(rng, step)
    if rng.random() < 0.6:
        return step
    key = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors"}[part]
    return {"type": "Sequence", key: [rng.choice(steps) for _ in range(rng.randrange(6))] + [step]}


def recipe(case):
    source, path = prepared(case)
    path.write_bytes(mutation.changed_yaml(case.rng, path.read_text(encoding="utf-8")))
    check = case.run("recipe", "check", path, codes=False)
    case.run("recipe", "explain", path, codes=False)
    done = plan_and_quant(case, source, path)
    case.expect(check.status == 0 or done.status == 1, "a recipe that check refuses is run", check.text[-1500:])


def dataset(case):
    source, path = prepared(case, STATIC)
    rng, file = case.rng, case.folder / "calib.jsonl"
    if rng.random() < 0.3:
        path.write_text(STATIC.replace("calib.jsonl", "calib.json"))
        file = case.folder / "calib.json"
        file.write_text(json.dumps([rng.choice(TEXTS) for _ in range(3)]))
    if rng.random() < 0.4:
        file.write_bytes(mutation.changed_bytes(rng, file.read_bytes()))
    else:
        lines = file.read_bytes().split(b"\n")
        at = rng.randrange(len(lines))
        lines[at] = rng.choice([
            mutation.json_text(rng, mutation.odd_value(rng)), mutation.json_text(rng, {"inputs_pretokenized": mutation.odd_value(rng)}), b"", b"{", b"\xff",
            mutation.json_text(rng, {key: rng.choice(TEXTS) for key in ("text", "messages", "")}), b'{"inputs_pretokenized": "' + b"word " * 300 + b'"}',
        ])  # fmt: skip
        file.write_bytes(rng.choice([b"\n", b"\r\n", b"\r"]).join(lines))
    case.guard(source)
    case.quant(source, path, "out")


ODD_ARGUMENTS = ["", " ", "0", "-1", "1e9", "99999999999999999999", "1KiB", "64MiB", "x" * 5000, "\x1b[2J", "/dev/null", "/proc/self/mem", ".", "..", "~", "--help", "--", "recipe.yaml", "model"]
OPTIONS = ["--model_type", "--model_path", "--save_path", "--config_path", "--quant_type", "--device", "--threads", "--memory", "--tag", "--mend", "--idle-experts",
           "--trust_remote_code", "--fresh", "--no-verify", "--yes", "--nothing", "--tensors", "--json", "--mod", "--topk", "--metrics", "--pattern"]  # fmt: skip


def arguments(case):
    source, path = prepared(case, DYNAMIC)
    rng = case.rng
    command = rng.choice(["quant", "plan", "analyze", "verify", "tokenize", "practices", "recipe", "completion", "models", rng.choice(mutation.ODD_TEXTS).replace("\0", "")])
    words = [command]
    if rng.random() < 0.8:
        words += ["--model_path", source]
    if rng.random() < 0.7 and command in ("quant", "plan"):
        words += ["--config_path", path]
    if command == "quant":
        words += ["--save_path", rng.choice(["out", "out", "model", "model/out", ".", "recipe.yaml", "recipe.yaml/out", "o" * 300, "a/" * 2000 + "b"])]
    for _ in range(rng.randrange(3)):
        words.append(rng.choice(OPTIONS))
        if rng.random() < 0.8:
            words.append(rng.choice(ODD_ARGUMENTS))
    words = [str(word).encode("utf-8", "replace").decode() for word in words]
    case.guard(source)
    case.run(*words, statuses=(0, 1, 2), codes="recipe" not in words)


ATTACKS = {header: 5, padding: 1, values: 2, index: 2, config: 4, tokenizer: 4, recipe: 5, dataset: 3, arguments: 3}
