#!/usr/bin/env python3
"""Writes tests/golden/config/*.txt: what PyYAML and wcmatch make of texts and patterns.

Needs: pip install pyyaml wcmatch. Run from the repository root; the seeds are fixed.
"""
import math
import random
import yaml
from wcmatch import fnmatch

OUT = "tests/golden/config/"


def scalar_line(text):
    try:
        value = yaml.safe_load("- " + text)[0]
    except (yaml.YAMLError, ValueError, TypeError, IndexError):
        return None
    if value is None:
        kind, shown = "null", ""
    elif isinstance(value, bool):
        kind, shown = "bool", str(value).lower()
    elif isinstance(value, int):
        kind, shown = "int", str(value)
    elif isinstance(value, float):
        kind, shown = "float", "nan" if math.isnan(value) else repr(value)
    elif isinstance(value, str):
        if value != text:
            return None
        kind, shown = "string", value
    elif hasattr(value, "isoformat"):
        kind, shown = "string", text
    else:
        return None
    return f"{text}\t{kind}\t{shown}"


def scalars():
    rng = random.Random(7)
    texts = """True true TRUE yes Yes YES on On ON False false no off OFF y n Y N tRue 1e-5 1e5 1.5e3 2E-3 1.0e-5 1.e+5 1.0E-5
    .5 5. 0x1F 010 0b11 1_000 12:30 0o10 .inf -.inf +.inf .nan .NaN .Nan ~ null Null NULL nUll 2025-12-22 2025-1-2 089 0_7 -0x1f +0b1
    -12:30 1:2:3 190:20:30.15 12:60 012:30 012:30.5 -.5 +.5 -5. 1__0 _1 1_ 0 -0 +0 00 0.0 1.2.3 1e+5 1.e5 1.0e5 1.5e+ 99999999999999999999
    -9223372036854775808 9223372036854775807 9223372036854775808 0x_ff 0xfg .e+5 . .. ... e5 inf nan -inf 1.0e+400 3: 1:00 0:30 12:3 12:030 =""".split()
    seen = dict.fromkeys(texts)
    while len(seen) < 1500:
        seen["".join(rng.choice("0123456789._+-:eExb") for _ in range(rng.randint(1, 7)))] = None
    lines = [line for line in map(scalar_line, seen) if line is not None]
    with open(OUT + "yaml_scalars.txt", "w") as f:
        f.write("\n".join(lines) + "\n")


def bad_range_with_class(pattern):
    return "[[:" in pattern


def patterns():
    rng = random.Random(11)
    pieces = ["*", "?", "a", "b", "c", ".", "-", "{a,b}", "{", "}", ",", "[ab]", "[!a]", "[^b]", "[a-c]", "[", "]", "{1..3}", "{01..3}",
              "{a,{b,c}}", "{a..c}", "{3..1..2}", "{a}", "{,b}", "[[:digit:]]", "[[:alpha:]x]", "\\*", "\\{", "0", "1", "2", "[]a]", "[c-a]",
              "**", "é", "$", "[a-]", "/", "!", "^", "{}", "\\,", "[[:foo:]]"]
    letters = list("abc.-*{}[],012é/!^$x:f")
    lines = []
    seen = set()
    while len(lines) < 6000:
        pattern = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 6)))
        name = "".join(rng.choice(letters) for _ in range(rng.randint(0, 5)))
        if rng.random() < 0.6:  # names that have a chance
            name = pattern
            for _ in range(rng.randint(1, 4)):
                try:
                    name = rng.choice(fnmatch_expand(name))
                except Exception:
                    break
            name = "".join(rng.choice("abc.012") if ch in "*?" else ch for ch in name)
        if pattern.endswith("\\") or (pattern, name) in seen or name == pattern or not name:
            continue
        seen.add((pattern, name))
        try:
            result = fnmatch.fnmatch(name, pattern, flags=fnmatch.BRACE | fnmatch.FORCEUNIX)
        except Exception:
            continue
        lines.append(f"{pattern}\t{name}\t{int(result)}")
    with open(OUT + "patterns.txt", "w") as f:
        f.write("\n".join(lines) + "\n")


def fnmatch_expand(text):
    import bracex
    return bracex.expand(text, keep_escapes=True, limit=1000)


if __name__ == "__main__":
    scalars()
    patterns()
