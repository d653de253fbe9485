"""The objects: kept in memory and in a file, with versions and a log of changes for those who watch."""
import json, os, random, threading, time, uuid

from kinds import BUILTIN, crd_kinds

LOG = 20000  # changes that a watcher may be behind


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def suffix(count=5):
    return "".join(random.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(count))


class Store:
    def __init__(self, path=None):
        self.path, self.lock = path, threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects, self.version, self.log, self.dirty = {}, 1, [], False
        if path and os.path.exists(path):
            with open(path) as file:
                held = json.load(file)
            self.version = held["version"]
            self.objects = {tuple(entry[0]): entry[1] for entry in held["objects"]}

    def kinds(self):
        with self.lock:
            crds = [obj for key, obj in self.objects.items() if key[1] == "customresourcedefinitions"]
            return BUILTIN + [kind for crd in crds for kind in crd_kinds(crd) if established(crd)]

    def kind(self, group, version, plural):
        return next((k for k in self.kinds() if (k.group, k.version, k.plural) == (group, version, plural)), None)

    def named(self, name):
        return next(kind for kind in self.kinds() if kind.name == name)

    def get(self, kind, namespace, name):
        return self.objects.get((*kind.store, namespace or "", name))

    def list(self, kind, namespace=None):
        with self.lock:
            found = [(key, obj) for key, obj in self.objects.items() if key[:2] == kind.store and namespace in (None, key[2])]
        return [obj for _, obj in sorted(found, key=lambda entry: entry[0])]

    def put(self, kind, obj):
        """Keeps an object as it is; unchanged ones keep their version."""
        with self.changed:
            meta = obj["metadata"]
            key = (*kind.store, meta.get("namespace", ""), meta["name"])
            old = self.objects.get(key)
            meta.setdefault("uid", str(uuid.uuid4()))
            meta.setdefault("creationTimestamp", now())
            meta["resourceVersion"] = (old or meta).get("metadata", meta).get("resourceVersion", "") if old else ""
            if old is not None and old == obj:
                return old
            if old is not None and bare(old) == bare(obj):
                return old
            if kind.shape != "ConfigMap":
                bumped = old is None or old.get("spec") != obj.get("spec")
                meta["generation"] = ((old or {}).get("metadata", {}).get("generation", 0)) + (1 if bumped else 0)
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            self.objects[key] = obj
            self.note("MODIFIED" if old is not None else "ADDED", key, obj)
            return obj

    def drop(self, kind, obj):
        with self.changed:
            meta = obj["metadata"]
            key = (*kind.store, meta.get("namespace", ""), meta["name"])
            if self.objects.pop(key, None) is not None:
                self.version += 1
                gone = {**obj, "metadata": {**meta, "resourceVersion": str(self.version)}}
                self.note("DELETED", key, gone)

    def note(self, what, key, obj):
        self.log.append((self.version, what, key, obj))
        del self.log[:-LOG]
        self.dirty = True
        self.changed.notify_all()

    def save(self):
        """Puts everything into the file, whole or not at all."""
        with self.lock:
            if not self.path or not self.dirty:
                return
            self.dirty = False
            text = json.dumps({"version": self.version, "objects": [[list(key), obj] for key, obj in self.objects.items()]})
        with open(self.path + ".new", "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)


def bare(obj):
    """Without what the server itself adds, and without who owns which field since when."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "generation", "managedFields")}
    owners = [{**entry, "time": None} for entry in obj["metadata"].get("managedFields") or []]
    return {**obj, "metadata": {**meta, "owners": owners}}


def established(crd):
    conditions = (crd.get("status") or {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
