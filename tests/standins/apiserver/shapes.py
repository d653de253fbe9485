"""The shapes of objects: what shapes.txt and the schemas of CRDs allow, and what an object says against them."""
import base64, os, re

SCALARS = {"string", "int", "number", "bool", "time", "any", "int-or-string", "quantity", "base64"}
QUANTITY = re.compile(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$")
GO = {"string": "string", "int": "int32", "number": "float64", "bool": "bool", "time": "v1.Time", "base64": "[]uint8"}


class Shape:
    def __init__(self, fields, required):
        self.fields, self.required = fields, required


def load(text):
    shapes, entry = {}, []
    for line in text.splitlines() + ["End"]:
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" ") and entry:
            name, *fields = entry
            pairs = [field.rsplit(":", 1) for field in fields]
            shapes[name] = Shape({key.lstrip("*"): kind for key, kind in pairs},
                                 [key[1:] for key, _ in pairs if key.startswith("*")])
            entry = []
        entry += line.split()
    return shapes


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shapes.txt")) as table:
    SHAPES = load(table.read())


class Faults:
    """What is wrong with an object, by how the real server finds it out."""

    def __init__(self):
        self.unknown, self.types, self.missing = [], [], []


def json_name(value):
    return {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}.get(type(value), "null")


def check(kind, value, path, faults, owner=""):
    """Holds a value against a type of the table; null stands for an absent value."""
    if value is None or kind == "any":
        return
    if kind[0] in "[{":
        if not isinstance(value, list if kind[0] == "[" else dict):
            return faults.types.append((owner, path, json_name(value), "[]" if kind[0] == "[" else "map"))
        inner = value.items() if kind[0] == "{" else enumerate(value)
        for key, item in inner:
            check(kind[1:-1], item, f"{path}[{key}]" if kind[0] == "[" else f"{path}.{key}", faults, owner)
        return
    if kind in SCALARS:
        fits = {
            "string": isinstance(value, str), "time": isinstance(value, str), "bool": isinstance(value, bool),
            "int": isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
            "number": isinstance(value, (int, float)) and not isinstance(value, bool),
            "int-or-string": isinstance(value, (int, str)) and not isinstance(value, bool),
            "quantity": not isinstance(value, bool) and bool(QUANTITY.match(str(value))),
            "base64": isinstance(value, str) and is_base64(value),
        }[kind]
        if not fits:
            faults.types.append((owner, path, json_name(value), GO.get(kind, kind)))
        return
    if not isinstance(value, dict):
        return faults.types.append((owner, path, json_name(value), f"v1.{kind}"))
    shape = SHAPES[kind]
    for key, item in value.items():
        if key not in shape.fields:
            faults.unknown.append(f"{path}.{key}".lstrip("."))
        else:
            check(shape.fields[key], item, f"{path}.{key}".lstrip("."), faults, kind)
    for key in shape.required:
        # Of a status nothing is asked for: a container that waits has no imageID yet.
        if not path.startswith("status") and value.get(key) in (None, ""):
            faults.missing.append(f"{path}.{key}".lstrip("."))


def is_base64(text):
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def check_schema(schema, value, path, faults):
    """Holds a value against a CRD's schema."""
    if value is None:
        return
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, (int, str)):
            faults.types.append(("", path, json_name(value), "int-or-string"))
        return
    wanted = schema.get("type")
    if wanted and (not isinstance(value, TYPES[wanted]) or isinstance(value, bool) and wanted != "boolean"):
        return faults.types.append(("", path, json_name(value), wanted))
    if "enum" in schema and value not in schema["enum"]:
        faults.missing.append(f"{path}: Unsupported value: {value!r}")
    if isinstance(value, list):
        for at, item in enumerate(value):
            check_schema(schema.get("items", {}), item, f"{path}[{at}]", faults)
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        loose = schema.get("x-kubernetes-preserve-unknown-fields") or not (known or others)
        for key, item in value.items():
            if key in known:
                check_schema(known[key], item, f"{path}.{key}".lstrip("."), faults)
            elif isinstance(others, dict):
                check_schema(others, item, f"{path}.{key}".lstrip("."), faults)
            elif not loose and not others and not (path == "" and key in ("apiVersion", "kind", "metadata")):
                faults.unknown.append(f"{path}.{key}".lstrip("."))
        faults.missing += [f"{path}.{key}".lstrip(".") for key in schema.get("required", []) if key not in value]
