"""Patches: server-side apply with its owners of fields, strategic merge, JSON merge, JSON patch."""
import copy, json, time

# Lists that are maps: field name → the keys of its items. What is not here is replaced as a whole.
MERGE_KEYS = {
    "containers": ["name"], "initContainers": ["name"], "env": ["name"], "volumes": ["name"], "volumeMounts": ["mountPath"],
    "imagePullSecrets": ["name"], "hostAliases": ["ip"], "conditions": ["type"], "ownerReferences": ["uid"], "secrets": ["name"],
}
SETS = {"finalizers"}


class Conflict(Exception):
    def __init__(self, faults):
        super().__init__(faults)
        self.faults = faults


class Malformed(Exception):
    pass


def keys_of(field, items):
    if field == "ports" and items and isinstance(items[0], dict):
        return ["containerPort", "protocol"] if "containerPort" in items[0] else ["port", "protocol"]
    return MERGE_KEYS.get(field)


def key_of(item, keys):
    return json.dumps({key: item.get(key, "TCP" if key == "protocol" else None) for key in keys}, sort_keys=True)


def is_map_list(field, value):
    keys = isinstance(value, list) and keys_of(field, value)
    return keys if keys and all(isinstance(item, dict) for item in value) else None


def leaves(value, field="", path=()):
    """Every owned path of an object."""
    keys = is_map_list(field, value)
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, key, path + (f"f:{key}",))
    elif keys and value:
        for item in value:
            at = path + (f"k:{key_of(item, keys)}",)
            yield at, {}
            yield from leaves(item, "", at)
    elif field in SETS and isinstance(value, list):
        for item in value:
            yield path + (f"v:{json.dumps(item)}",), item
    else:
        yield path, value


IDENTITY = {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace")}
SERVERS = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp", "selfLink"}


def owned(obj):
    found = {path: value for path, value in leaves(obj) if path and path not in IDENTITY and path[0] != "f:status"}
    return {path: value for path, value in found.items() if not (path[0] == "f:metadata" and path[1][2:] in SERVERS)}


def nested(paths):
    tree = {}
    for path in sorted(paths):
        at = tree
        for step in path:
            at = at.setdefault(step, {})
        if path[-1].startswith("k:"):
            at["."] = {}
    return tree


def flat(tree, path=()):
    if not tree:
        yield path
    for step, inner in tree.items():
        if step == ".":
            yield path
        else:
            yield from flat(inner, path + (step,))


class Owners:
    """managedFields of an object."""

    def __init__(self, obj):
        self.entries = {}
        for entry in (obj.get("metadata") or {}).get("managedFields") or []:
            key = (entry.get("manager", ""), entry.get("operation", "Update"), entry.get("subresource", ""))
            self.entries[key] = (entry.get("apiVersion"), set(flat(entry.get("fieldsV1") or {})), entry.get("time"))

    def set(self, manager, operation, api_version, paths, subresource=""):
        for key, (version, others, when) in list(self.entries.items()):
            if key != (manager, operation, subresource) and operation == "Update":
                self.entries[key] = (version, others - paths, when)
        key = (manager, operation, subresource)
        before = self.entries.get(key)
        if operation == "Update" and before:
            paths = paths | before[1]
        if before and before[1] == paths:
            return
        self.entries[key] = (api_version, paths, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))

    def write(self, obj):
        alive = {path for path, _ in leaves(obj)} | {path for path, _ in leaves({"status": obj.get("status")})}
        entries = []
        for (manager, operation, subresource), (version, paths, when) in self.entries.items():
            paths = {path for path in paths if path in alive}
            if paths:
                entry = {"manager": manager, "operation": operation, "apiVersion": version, "time": when,
                         "fieldsType": "FieldsV1", "fieldsV1": nested(paths)}
                entries.append({**entry, **({"subresource": subresource} if subresource else {})})
        obj["metadata"]["managedFields"] = entries


def shown(path):
    text = ""
    for step in path:
        kind, name = step.split(":", 1)
        text += f".{name}" if kind == "f" else f"[{name[1:-1] if kind == 'k' else name}]"
    return text.replace('": ', '=').replace('["', "[").replace('{"', "[")


def apply(live, wanted, manager, force, api_version):
    """The object after a server-side apply of `wanted` over `live` (none: it is made)."""
    new = owned(wanted)
    owners = Owners(live or {})
    mine = (manager, "Apply", "")
    if live is not None:
        now, clashes = owned(live), {}
        for path, value in new.items():
            if path in now and now[path] == value:
                continue
            for key, (version, paths, _) in owners.entries.items():
                if key != mine and path in paths:
                    clashes.setdefault((key[0], version, key[1]), []).append(shown(path))
        if clashes and not force:
            raise Conflict(clashes)
        for key, (version, paths, when) in list(owners.entries.items()):
            if key != mine:
                lost = {path for path, value in new.items() if path in now and now[path] != value}
                owners.entries[key] = (version, paths - lost, when)
    result = overlay(copy.deepcopy(live) if live else {}, wanted)
    before = owners.entries.get(mine, (None, set(), None))[1]
    others = set().union(*[paths for key, (_, paths, _) in owners.entries.items() if key != mine]) if owners.entries else set()
    for path in sorted(before - set(new) - others, key=len, reverse=True):
        remove(result, path)
    owners.set(manager, "Apply", api_version, set(new))
    return result, owners


def overlay(base, top, field=""):
    if isinstance(base, dict) and isinstance(top, dict):
        for key, value in top.items():
            base[key] = overlay(base.get(key), value, key)
        return base
    keys = is_map_list(field, top)
    if keys and isinstance(base, list):
        held = {key_of(item, keys): item for item in base}
        for item in top:
            held[key_of(item, keys)] = overlay(held.get(key_of(item, keys)), item)
        return list(held.values())
    if field in SETS and isinstance(base, list):
        return base + [item for item in top if item not in base]
    return copy.deepcopy(top)


def remove(obj, path):
    at = obj
    for n, step in enumerate(path):
        kind, name = step.split(":", 1)
        last = n == len(path) - 1
        if kind == "f":
            if not isinstance(at, dict) or name not in at:
                return
            if last:
                # a map that others still write to stays
                if not (isinstance(at[name], (dict, list)) and at[name]):
                    del at[name]
                elif not is_map_list(name, at[name]) and not isinstance(at[name], dict):
                    del at[name]
                return
            at = at[name]
        else:
            for one in list(at) if isinstance(at, list) else []:
                same = key_of(one, json.loads(name)) == name if kind == "k" else one == json.loads(name)
                if same:
                    if last:
                        at.remove(one)
                        return
                    at = one
                    break
            else:
                return


def json_merge(base, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    base = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = json_merge(base.get(key), value)
    return base


def strategic(base, patch, field=""):
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: value for key, value in patch.items() if key != "$patch"}
        base = dict(base) if isinstance(base, dict) else {}
        keep = patch.get("$retainKeys")
        for key, value in patch.items():
            if key.startswith("$"):
                if key.startswith("$deleteFromPrimitiveList/"):
                    name = key.split("/", 1)[1]
                    base[name] = [item for item in base.get(name, []) if item not in value]
            elif value is None:
                base.pop(key, None)
            else:
                base[key] = strategic(base.get(key), value, key)
        return {key: value for key, value in base.items() if keep is None or key in keep}
    keys = is_map_list(field, patch)
    if keys:
        held = {key_of(item, keys): item for item in base or []}
        for item in patch:
            key = key_of(item, keys)
            if item.get("$patch") == "delete":
                held.pop(key, None)
            else:
                held[key] = strategic(held.get(key), item)
        return list(held.values())
    return copy.deepcopy(patch)


def json_patch(base, steps):
    base = copy.deepcopy(base)
    for step in steps:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]]
        at = base
        try:
            for part in parts[:-1]:
                at = at[int(part)] if isinstance(at, list) else at[part]
            name, last = parts[-1], isinstance(at, list)
            index = (len(at) if name == "-" else int(name)) if last else name
            if step["op"] == "test" and at[index] != step["value"]:
                raise Malformed(f"testing value {step['path']} failed")
            if step["op"] in ("remove", "replace") and not last and name not in at:
                raise KeyError(name)
            if step["op"] == "remove":
                del at[index]
            elif step["op"] == "add" and last:
                at.insert(index, step["value"])
            elif step["op"] in ("add", "replace"):
                at[index] = step["value"]
        except (KeyError, IndexError, ValueError, TypeError) as why:
            raise Malformed(f"the server rejected our request due to an error in our request: {step['op']} {step['path']}: {why}")
    return base
