"""Requests about objects: what is answered to whom, and what is refused in which words."""
import copy, json, random

import merge, rules
from shapes import Faults, check, check_schema
from store import now, suffix

REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
           406: "NotAcceptable", 409: "Conflict", 415: "UnsupportedMediaType", 422: "Invalid", 500: "InternalError",
           503: "ServiceUnavailable"}


class Refused(Exception):
    """Ends a request with a Status object."""

    def __init__(self, code, message, details=None, reason=None):
        super().__init__(message)
        self.code = code
        self.status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                       "reason": reason or REASONS[code], **({"details": details} if details else {}), "code": code}


def not_found(kind, name):
    details = {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}
    return Refused(404, f'{kind.resource} "{name}" not found', details)


def invalid(kind, name, found):
    title = f"{kind.name}.{kind.group}" if kind.group else kind.name
    text = found[0] if len(found) == 1 else "[" + ", ".join(found) + "]"
    causes = [{"reason": "FieldValueInvalid", "message": one.split(": ", 1)[-1], "field": one.split(": ", 1)[0]} for one in found]
    return Refused(422, f'{title} "{name}" is invalid: {text}', {"name": name, "group": kind.group, "kind": kind.name, "causes": causes})


def one_value(query, key, default=""):
    return query.get(key, [default])[-1]


# --- selecting -------------------------------------------------------------------------------------------------------

def selects(labels, text):
    for term in filter(None, split_terms(text)):
        term = term.strip()
        if " notin " in term or " in " in term:
            key, word, values = term.split(" ", 2)
            listed = [value.strip() for value in values.strip("() ").split(",")]
            if (labels.get(key) in listed) == (word == "notin"):
                return False
        elif "!=" in term:
            key, value = term.split("!=")
            if labels.get(key.strip()) == value.strip():
                return False
        elif "=" in term:
            key, value = term.replace("==", "=").split("=")
            if labels.get(key.strip()) != value.strip():
                return False
        elif term.startswith("!"):
            if term[1:] in labels:
                return False
        elif term not in labels:
            return False
    return True


def split_terms(text):
    out, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            out.append("")
        else:
            out[-1] += letter
    return out


FIELDS = {"metadata.name", "metadata.namespace", "status.phase", "spec.nodeName", "type", "involvedObject.name",
          "involvedObject.kind", "involvedObject.namespace", "reason", "involvedObject.uid"}


def matches(obj, query):
    for term in filter(None, one_value(query, "fieldSelector").split(",")):
        path, differs, value = (*term.partition("!="),) if "!=" in term else (*term.replace("==", "=").partition("="),)
        if path not in FIELDS:
            raise Refused(400, f'Unable to find "{path}" that match label selector "", field selector "{term}": field label not supported: {path}')
        at = obj
        for part in path.split("."):
            at = (at or {}).get(part)
        if ((at or "") == value) == (differs == "!="):
            return False
    return selects(obj["metadata"].get("labels") or {}, one_value(query, "labelSelector"))


# --- writing ---------------------------------------------------------------------------------------------------------

class Api:
    def __init__(self, store):
        self.store = store

    def target(self, kind, namespace, subresource):
        if subresource not in (None, "status", "scale", "finalize", "log", "eviction"):
            raise Refused(404, "the server could not find the requested resource")
        if kind.namespaced and namespace is None:
            raise Refused(405, "the server does not allow this method on the requested resource")

    def decode(self, kind, namespace, name, obj, query, apply=False):
        """An object as it came, held against its kind; returns warnings."""
        if not isinstance(obj, dict) or not obj.get("kind") or not obj.get("apiVersion"):
            raise Refused(400, "Object 'Kind' is missing in the body" if not (isinstance(obj, dict) and obj.get("kind")) else "Object 'apiVersion' is missing")
        if (obj["apiVersion"], obj["kind"]) != (kind.api_version, kind.name):
            raise Refused(400, f"the API version in the data ({obj['apiVersion']}, Kind={obj['kind']}) does not match the expected API version ({kind.api_version}, Kind={kind.name})")
        meta = obj.setdefault("metadata", {})
        if not isinstance(meta, dict):
            raise Refused(400, "metadata: must be an object")
        if name and meta.setdefault("name", name) != name:
            raise Refused(400, f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
        if kind.namespaced and meta.setdefault("namespace", namespace) != namespace:
            raise Refused(400, f"the namespace of the provided object does not match the namespace sent on the request")
        if not kind.namespaced and meta.get("namespace"):
            raise Refused(400, "namespace is not allowed on cluster-scoped objects")
        faults = Faults()
        if kind.shape:
            check(kind.shape, obj, "", faults)
        else:
            check("ObjectMeta", meta, "metadata", faults)
            check_schema(kind.schema, obj, "", faults)
        title = f"({namespace + '/' if namespace else ''}{meta.get('name', '')}; {kind.api_version}, Kind={kind.name})"
        if faults.types:
            owner, path, given, wanted = faults.types[0]
            if apply:
                raise Refused(500, f"failed to create typed patch object {title}: .{path}: expected {wanted}, got {given}")
            raise Refused(400, f"{kind.name} in version \"{kind.version}\" cannot be handled as a {kind.name}: json: cannot unmarshal {given} into Go struct field {owner}.{path} of type {wanted}")
        if faults.unknown and apply:
            raise Refused(500, f"failed to create typed patch object {title}: .{faults.unknown[0]}: field not declared in schema")
        strict = one_value(query, "fieldValidation", "Warn")
        if faults.unknown and strict == "Strict":
            listed = ", ".join(f'unknown field "{path}"' for path in faults.unknown)
            raise Refused(400, f"{kind.name} in version \"{kind.version}\" cannot be handled as a {kind.name}: strict decoding error: {listed}")
        return faults, [f'unknown field "{path}"' for path in faults.unknown] if strict == "Warn" else []

    def admit(self, kind, obj, old, faults):
        """What makes an object fit to be kept."""
        name = obj["metadata"].get("name", "")
        missing = [one if ": " in one else rules.required(one) for one in faults.missing]
        found = missing + rules.faults(kind, obj, old)
        if found:
            raise invalid(kind, name, list(dict.fromkeys(found)))
        rules.default(kind, obj)
        namespace = obj["metadata"].get("namespace")
        if kind.namespaced:
            space = self.store.objects.get(("", "namespaces", "", namespace))
            if space is None:
                raise not_found(self.store.named("Namespace"), namespace)
            if old is None and space["metadata"].get("deletionTimestamp"):
                raise Refused(403, f'{kind.resource} "{name}" is forbidden: unable to create new content in namespace {namespace} because it is being terminated')

    def keep(self, kind, obj, old, manager, owners=None, subresource=None, dry=False):
        if old is not None and subresource is None and kind.name not in ("Node", "Event") and "status" in old:
            obj["status"] = old["status"]  # written by its own path only
        elif subresource is None and old is None and kind.name in ("Deployment", "DaemonSet", "Pod", "Job", "CustomResourceDefinition"):
            obj.pop("status", None)
        for key in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
            if old is not None and key in old["metadata"]:
                obj["metadata"][key] = old["metadata"][key]
        if owners is None:
            before = merge.owned(old) if old is not None else {}
            changed = {path for path, value in merge.owned(obj).items() if path not in before or before[path] != value}
            owners = merge.Owners(old or {})
            if changed:
                owners.set(manager, "Update", kind.api_version, changed, "" if subresource is None else subresource)
        owners.write(obj)
        return obj if dry else self.store.put(kind, obj)

    def create(self, kind, namespace, obj, query, manager):
        meta = obj.get("metadata") if isinstance(obj, dict) else None
        if isinstance(meta, dict) and not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + suffix()
        faults, warnings = self.decode(kind, namespace, None, obj, query)
        with self.store.lock:
            if self.store.get(kind, namespace, obj["metadata"].get("name")) is not None:
                name = obj["metadata"]["name"]
                raise Refused(409, f'{kind.resource} "{name}" already exists', {"name": name, "kind": kind.plural}, "AlreadyExists")
            if obj["metadata"].get("resourceVersion"):
                raise Refused(400, "resourceVersion should not be set on objects to be created")
            self.admit(kind, obj, None, faults)
            return 201, self.keep(kind, obj, None, manager, dry=bool(query.get("dryRun"))), warnings

    def replace(self, kind, namespace, name, obj, query, manager, subresource):
        faults, warnings = self.decode(kind, namespace, name, obj, query)
        with self.store.lock:
            old = self.store.get(kind, namespace, name)
            if old is None:
                raise not_found(kind, name)
            given = obj["metadata"].get("resourceVersion")
            if given and given != old["metadata"]["resourceVersion"]:
                raise Refused(409, f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; please apply your changes to the latest version and try again')
            if subresource == "status":
                obj = {**copy.deepcopy(old), "status": obj.get("status")}
            self.admit(kind, obj, old, faults)
            return 200, self.keep(kind, obj, old, manager, subresource=subresource, dry=bool(query.get("dryRun"))), warnings

    def patch(self, kind, namespace, name, form, body, query, manager, subresource):
        if subresource == "scale":
            return self.scale(kind, namespace, name, body, query, manager)
        if form == "application/apply-patch+yaml":
            return self.apply(kind, namespace, name, body, query)
        with self.store.lock:
            old = self.store.get(kind, namespace, name)
            if old is None:
                raise not_found(kind, name)
            base = copy.deepcopy(old)
            if form == "application/strategic-merge-patch+json":
                if not kind.shape:
                    raise Refused(415, "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")
                new = merge.strategic(base, body)
            elif form == "application/merge-patch+json":
                new = merge.json_merge(base, body)
            elif form == "application/json-patch+json":
                try:
                    new = merge.json_patch(base, body)
                except merge.Malformed as why:
                    raise Refused(422, str(why))
            else:
                raise Refused(415, f"the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml")
            new["metadata"].pop("managedFields", None)
            faults, warnings = self.decode(kind, namespace, name, new, query)
            self.admit(kind, new, old, faults)
            return 200, self.keep(kind, new, old, manager, subresource=subresource, dry=bool(query.get("dryRun"))), warnings

    def apply(self, kind, namespace, name, obj, query):
        manager = one_value(query, "fieldManager")
        if not manager:
            raise Refused(422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch')
        if isinstance(obj, dict) and (obj.get("metadata") or {}).get("managedFields"):
            raise Refused(400, "metadata.managedFields must be nil")
        faults, warnings = self.decode(kind, namespace, name, obj, query, apply=True)
        with self.store.lock:
            old = self.store.get(kind, namespace, name)
            try:
                new, owners = merge.apply(old, obj, manager, one_value(query, "force") == "true", kind.api_version)
            except merge.Conflict as clash:
                raise conflict(clash.faults)
            # what is missing in the patch may be there in the object
            whole = Faults()
            if kind.shape:
                check(kind.shape, new, "", whole)
            else:
                check_schema(kind.schema, new, "", whole)
            self.admit(kind, new, old, whole)
            kept = self.keep(kind, new, old, manager, owners=owners, dry=bool(query.get("dryRun")))
            return 201 if old is None else 200, kept, warnings

    def scale(self, kind, namespace, name, body, query, manager):
        old = self.store.get(kind, namespace, name)
        if old is None or kind.name != "Deployment":
            raise not_found(kind, name)
        new = copy.deepcopy(old)
        new["spec"]["replicas"] = body["spec"]["replicas"]
        self.keep(kind, new, old, manager)
        return 200, {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": name, "namespace": namespace},
                     "spec": {"replicas": new["spec"]["replicas"]}, "status": {"replicas": 0}}, []

    def delete(self, kind, namespace, name, query):
        with self.store.lock:
            old = self.store.get(kind, namespace, name)
            if old is None:
                raise not_found(kind, name)
            if query.get("dryRun"):
                return 200, old
            if kind.name == "Namespace":
                if name in ("default", "kube-system", "kube-public", "kube-node-lease"):
                    raise Refused(403, f'namespaces "{name}" is forbidden: this namespace may not be deleted')
                return 200, self.terminate(kind, old)
            self.remove(kind, old)
            details = {"name": name, "kind": kind.plural, "uid": old["metadata"].get("uid"), **({"group": kind.group} if kind.group else {})}
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def terminate(self, kind, old):
        if old["metadata"].get("deletionTimestamp"):
            return old
        new = copy.deepcopy(old)
        new["metadata"]["deletionTimestamp"] = now()
        new["status"] = {"phase": "Terminating"}
        return self.store.put(kind, new)

    def remove(self, kind, old):
        """With what it owns, and with its objects if it is a CRD."""
        self.store.drop(kind, old)
        if kind.name == "CustomResourceDefinition":
            group, plural = old["spec"]["group"], old["spec"]["names"]["plural"]
            for key in [key for key in self.store.objects if key[:2] == (group, plural)]:
                del self.store.objects[key]
        uid = old["metadata"].get("uid")
        for other in self.store.kinds():
            for obj in self.store.list(other):
                if any(ref.get("uid") == uid for ref in obj["metadata"].get("ownerReferences") or []):
                    self.remove(other, obj)

    def list(self, kind, namespace, query):
        items = [obj for obj in self.store.list(kind, namespace) if matches(obj, query)]
        items = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in items] if kind.shape else items
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {"resourceVersion": str(self.store.version)}, "items": items}


def conflict(faults):
    total = sum(len(paths) for paths in faults.values())
    groups = []
    for (manager, version, operation), paths in faults.items():
        using = f' using {version}' if operation == "Update" else ""
        listed = paths[0] if len(paths) == 1 else "\n- " + "\n- ".join(paths)
        groups.append(f'conflict{"s" if len(paths) > 1 else ""} with "{manager}"{using}: {listed}')
    causes = [{"reason": "FieldManagerConflict", "message": f'conflict with "{key[0]}"', "field": path} for key, paths in faults.items() for path in paths]
    return Refused(409, f"Apply failed with {total} conflict{'s' if total > 1 else ''}: " + "\n".join(groups), {"causes": causes})
