"""The API's description of itself, which kubectl holds objects against before it sends them: OpenAPI 2 (JSON, and the
protobuf form that kubectl asks for) and as much of OpenAPI 3 as tells that the server checks fields itself."""
from shapes import SHAPES

PREFIX = "io.k8s.standin."
SCALAR = {"string": {"type": "string"}, "int": {"type": "integer", "format": "int32"}, "number": {"type": "number"},
          "bool": {"type": "boolean"}, "time": {"type": "string", "format": "date-time"}, "any": {"type": "object"},
          "int-or-string": {"type": "string", "format": "int-or-string"}, "quantity": {"type": "string", "format": "quantity"},
          "base64": {"type": "string", "format": "byte"}}


def schema(kind, root="#/definitions/"):
    if kind[0] == "[":
        return {"type": "array", "items": schema(kind[1:-1], root)}
    if kind[0] == "{":
        return {"type": "object", "additionalProperties": schema(kind[1:-1], root)}
    return SCALAR.get(kind) or {"$ref": root + PREFIX + kind}


def gvk(kind):
    return {"group": kind.group, "kind": kind.name, "version": kind.version}


def definitions(kinds, root="#/definitions/"):
    found = {}
    for name, shape in SHAPES.items():
        if name in ("JSONSchemaProps",):
            found[PREFIX + name] = {"type": "object"}
            continue
        properties = {key: schema(kind, root) for key, kind in shape.fields.items()}
        found[PREFIX + name] = {"type": "object", "properties": properties, "required": shape.required}
    # a quantity or port in digits is accepted, too: no type is claimed where the real description claims none
    for kind in kinds:
        name = PREFIX + (kind.shape or f"{kind.group}.{kind.version}.{kind.name}")
        entry = found.setdefault(name, {"type": "object"})
        entry.setdefault("x-kubernetes-group-version-kind", []).append(gvk(kind))
    return found


PARAMETERS = [{"in": "query", "name": name, "type": "string", "uniqueItems": True}
              for name in ("dryRun", "fieldManager", "fieldValidation", "force")]


def path_of(kind):
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{base}/{'namespaces/{namespace}/' if kind.namespaced else ''}{kind.plural}/{{name}}"


def document2(kinds):
    answers = {"200": {"description": "OK"}}
    paths = {path_of(kind): {"patch": {"parameters": PARAMETERS, "responses": answers, "x-kubernetes-group-version-kind": gvk(kind)}}
             for kind in kinds}
    return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.34.2"}, "paths": paths,
            "definitions": definitions(kinds)}


def index3(kinds):
    groups = sorted({f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}" for kind in kinds})
    return {"paths": {group: {"serverRelativeURL": f"/openapi/v3/{group}?hash=0"} for group in groups}}


def document3(kinds, group):
    own = [kind for kind in kinds if path_of(kind).startswith(f"/{group}/")]
    parameters = [{"in": "query", "name": one["name"], "schema": {"type": "string"}} for one in PARAMETERS]
    paths = {path_of(kind): {"patch": {"parameters": parameters, "responses": {"200": {"description": "OK"}},
                                       "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": gvk(kind)}} for kind in own}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.34.2"}, "paths": paths,
            "components": {"schemas": definitions(own, "#/components/schemas/")}} if own else None


# --- the protobuf form (gnostic's openapi.v2.Document) ---------------------------------------------------------------

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def named(name, value):
    return field(1, name) + field(2, value)



def schema_bytes(given):
    out = b""
    if "$ref" in given:
        return field(1, given["$ref"])
    if "format" in given:
        out += field(2, given["format"])
    out += b"".join(field(19, name) for name in given.get("required", []))
    if "additionalProperties" in given:
        out += field(21, field(1, schema_bytes(given["additionalProperties"])))
    if "type" in given:
        out += field(22, field(1, given["type"]))
    if "items" in given:
        out += field(23, field(1, schema_bytes(given["items"])))
    if "properties" in given:
        out += field(25, b"".join(field(1, named(key, schema_bytes(one))) for key, one in given["properties"].items()))
    if "x-kubernetes-group-version-kind" in given:
        out += field(31, extension(given["x-kubernetes-group-version-kind"]))
    return out


def extension(value):
    lines = "".join(f"- group: '{one['group']}'\n  kind: {one['kind']}\n  version: {one['version']}\n" for one in value)
    return named("x-kubernetes-group-version-kind", field(2, lines))


def parameter_bytes(one):
    query = field(2, "query") + field(4, one["name"]) + field(6, "string")
    return field(1, field(2, field(3, query)))


def operation_bytes(one):
    group = one["x-kubernetes-group-version-kind"]
    text = f"group: '{group['group']}'\nkind: {group['kind']}\nversion: {group['version']}\n"
    answer = field(1, named("200", field(1, field(1, "OK"))))
    return (b"".join(field(8, parameter_bytes(p)) for p in one["parameters"]) + field(9, answer)
            + field(13, named("x-kubernetes-group-version-kind", field(2, text))))


def document2_bytes(kinds):
    document = document2(kinds)
    info = field(1, document["info"]["title"]) + field(2, document["info"]["version"])
    paths = b"".join(field(2, named(path, field(8, operation_bytes(item["patch"])))) for path, item in document["paths"].items())
    shapes = b"".join(field(1, named(name, schema_bytes(one))) for name, one in document["definitions"].items())
    return field(1, "2.0") + field(2, info) + field(8, paths) + field(9, shapes)
