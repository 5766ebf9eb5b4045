"""Values, texts and bytes, changed at random. All choices come from the `random.Random` that is passed in."""

import copy
import json
import math

# What a value of any JSON or YAML document may turn into.
ODD_NUMBERS = [0, -1, 1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0,
               1e-320, 1e38, 3.5e38, 1e308, math.inf, -math.inf, math.nan]  # fmt: skip
ODD_TEXTS = ["", " ", "x", "x" * 5000, "\0", "\x1b[2J", "\x9b31m", "\u202egnp", "\r\n", "../../etc/passwd", "/dev/zero", "/", ".", "%s%n",
             "null", "NaN", "1", "量化", "\ud800", "\udfff\ud800", "é", "\u2028", "a" * 300 + "/b"]  # fmt: skip


def nested(depth, leaf=0):
    value = leaf
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def odd_value(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind in (1, 2):
        return rng.choice(ODD_NUMBERS)
    if kind in (3, 4):
        return rng.choice(ODD_TEXTS)
    return rng.choice([[], {}, [[]], [None], {"": None}, nested(60), nested(2000), [0] * 3000])


def containers(value, found=None):
    """All lists and objects in a document that are not empty."""
    found = [] if found is None else found
    if isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    else:
        return found
    if children:
        found.append(value)
    for child in children[:2000]:
        containers(child, found)
    return found


def changed_number(rng, number):
    if isinstance(number, bool) or (isinstance(number, float) and not math.isfinite(number)):
        return odd_value(rng)
    return rng.choice([number + 1, number - 1, number * 2, -number, number // 2, number * 1000003, float(number) if abs(number) < 2**1000 else 0, str(number)])


def change(rng, document):
    """`document` (lists and dicts) with one thing in it changed, in place."""
    places = containers(document)
    if not places:
        return odd_value(rng)
    # Small containers first: a vocabulary would take all the hits.
    place = min((rng.choice(places) for _ in range(3)), key=len)
    key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
    act = rng.randrange(9)
    if act == 0:
        del place[key]
    elif act in (1, 2, 3):
        place[key] = odd_value(rng)
    elif act == 4 and isinstance(place[key], (int, float)):
        place[key] = changed_number(rng, place[key])
    elif act == 5:
        other = rng.choice(places)
        place[key] = copy.deepcopy(other if len(str(other)) < 20000 else rng.choice(list(other)))
    elif act == 6 and isinstance(place, dict):
        place[rng.choice([key + " ", key.upper(), key[:-1], "_" + key, rng.choice(ODD_TEXTS)])] = place.pop(key)
    elif act == 7:
        place[key] = [place[key]]
    elif isinstance(place, dict):
        other = rng.choice(list(place))
        place[key], place[other] = place[other], place[key]
    else:
        place.insert(key, odd_value(rng))
    return document


def json_text(rng, document):
    """The document as bytes, in one of the ways in which people write JSON."""
    text = json.dumps(document, ensure_ascii=rng.random() < 0.7, indent=rng.choice([None, 2]))
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.05:
        data = b"\xef\xbb\xbf" + data
    if rng.random() < 0.05:
        data = data.replace(b"Infinity", b"1e999")
    if rng.random() < 0.03 and data.startswith(b"{") and len(data) > 2:
        data = b'{"model_type": "twice",' + data[1:]
    return data


def changed_json(rng, data):
    """Bytes of a JSON file, changed as a document or as bytes."""
    if rng.random() < 0.2:
        return changed_bytes(rng, data)
    document = json.loads(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        document = change(rng, document)
    return json_text(rng, document)


def changed_bytes(rng, data, times=None):
    data = bytearray(data)
    for _ in range(times or rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data) + 1)
        size = min(rng.choice([1, 2, 8, 64, 1000]), len(data) - at)
        act = rng.randrange(7)
        if act == 0 and size:
            data[at] ^= 1 << rng.randrange(8)
        elif act == 1:
            data[at : at + size] = rng.randbytes(size)
        elif act == 2:
            data[at : at + size] = b""
        elif act == 3:
            data[at:at] = rng.randbytes(rng.choice([1, 3, 100]))
        elif act == 4:
            del data[at:]
        elif act == 5:
            data[at : at + size] = bytes(size)
        else:
            data[at:at] = data[at : at + size]
    return bytes(data)


YAML_VALUES = ["null", "~", "yes", "0x10", "1_000", "1e3", ".inf", ".nan", "-1", "0", "1.5", '""', "'", '"\\e[2J"', '"\\x9b"', "!!python/object:os.system x",
               "!!binary aGk=", "&a [*a]", "*nobody", "{}", "[]", "[[[[]]]]", "{a: {a: {a: 1}}}", "|\n  text", "? key", "- ", "@", "`", "%", "\t", "2001-01-01",
               "99999999999999999999999", "['*']", "['{a,b}*']", "['[!a']", "'*' ", "x" * 3000, "量化", "\u202e"]  # fmt: skip


def changed_yaml(rng, text):
    """The text of a recipe, with lines or values of it changed."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(lines))
        act = rng.randrange(8)
        if act == 0:
            del lines[at]
        elif act == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif act == 2:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif act == 3:
            lines[at] = " " * rng.choice([1, 2, 4]) + lines[at]
        elif act in (4, 5, 6) and ":" in lines[at]:
            key, _, value = lines[at].partition(":")
            lines[at] = key + ": " + rng.choice([*YAML_VALUES, value.strip() + "x", value.strip()[:-1], "[" + value + "]"])
        else:
            key, _, value = lines[at].partition(":")
            lines[at] = key + rng.choice(["x", "_", ""]) + ":" + value
        lines = lines or [""]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return changed_bytes(rng, data, 1) if rng.random() < 0.15 else data
