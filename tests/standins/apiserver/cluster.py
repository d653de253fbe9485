"""What goes on in a cluster by itself: nodes, pods that run only with their images, namespaces that end, CRDs that are
established, CloudCore that serves while a pod of it runs."""
import copy, hashlib, json, os, sys, threading, time

import addons
import rules
from api import Api
from cloudcore import CloudCore
from store import Store, established, now, suffix

TICK = 0.2
# A kubelet looks for an image that it has not got after 60 to 90 s; nothing is different but that here it is a bit sooner.
BACK_OFF = 3.0
LACKS = "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"
NODE_INFO = {"architecture": "amd64", "operatingSystem": "linux", "osImage": "stand-in", "kernelVersion": os.uname().release, "bootID": "-",
             "machineID": "-", "systemUUID": "-", "kubeProxyVersion": "-", "containerRuntimeVersion": "containerd://2.1.5-k3s1"}
EDGE = "node-role.kubernetes.io/edge"


class Agents:
    """Nodes of other machines, as they report themselves: name → address, images."""

    def __init__(self, path):
        self.path, self.held = path, {}
        if os.path.exists(path):
            with open(path) as file:
                self.held = json.load(file)

    def put(self, node):
        known = self.held.get(node["name"])
        self.held[node["name"]] = {**node, "seen": time.time()}
        if known is None or known["images"] != node["images"] or known.get("started") != node.get("started"):
            with open(self.path + ".new", "w") as file:
                json.dump(self.held, file)
            os.rename(self.path + ".new", self.path)


class Cluster:
    def __init__(self, settings):
        self.settings = settings
        os.makedirs(settings.db, exist_ok=True)
        self.store = Store(os.path.join(settings.db, "standin.json"))
        self.agents = Agents(os.path.join(settings.db, "agents.json"))
        self.api = Api(self.store)
        self.cloudcore = CloudCore(self)
        self.ready, self.ca, self.password, self.disabled = False, "", "", set()
        self.wake = threading.Event()
        self.issue, self.again, self.heard, self.starts = None, {}, {}, True

    def say(self, level, text):
        print(f'time="{now()}" level={level} msg={json.dumps(text)}', file=sys.stderr, flush=True)

    def kubelet_config(self, name):
        """What a further node may speak with: a certificate of its own."""
        with self.store.lock:
            return self.issue(f"/O=system:nodes/CN=system:node:{name}")

    def written(self):
        self.wake.set()

    def run(self):
        while True:
            try:
                with self.store.lock:
                    self.tick()
                self.store.save()
            except Exception as why:
                self.say("error", f"stand-in: {type(why).__name__}: {why}")
                if os.environ.get("STANDIN_STRICT"):
                    raise
            self.wake.wait(TICK)
            self.wake.clear()

    def tick(self):
        self.namespaces()
        self.crds()
        addons.deploy(self, self.disabled, self.starts)
        self.starts = False
        self.nodes()
        for kind in "Deployment", "DaemonSet", "Job":
            for owner in self.store.list(self.store.named(kind)):
                self.pods_of(kind, owner)
        for pod in self.store.list(self.store.named("Pod")):
            self.pod(pod)
        for kind in "Deployment", "DaemonSet", "Job":
            for owner in self.store.list(self.store.named(kind)):
                self.status(kind, owner)
        self.cloudcore.tick()

    # --- namespaces, CRDs, nodes ---------------------------------------------------------------------------------

    def ensure(self, kind, obj):
        """Makes an object that the server itself makes, once."""
        kind = self.store.named(kind)
        meta = obj["metadata"]
        if self.store.get(kind, meta.get("namespace"), meta["name"]) is None:
            obj = {"apiVersion": kind.api_version, "kind": kind.name, **obj}
            rules.default(kind, obj)
            self.store.put(kind, obj)

    def namespaces(self):
        kind = self.store.named("Namespace")
        for name in "default", "kube-system", "kube-public", "kube-node-lease":
            self.ensure("Namespace", {"metadata": {"name": name}})
        for space in self.store.list(kind):
            name = space["metadata"]["name"]
            if not space["metadata"].get("deletionTimestamp"):
                self.ensure("ServiceAccount", {"metadata": {"name": "default", "namespace": name}})
                ca = {"data": {"ca.crt": self.ca}}
                self.ensure("ConfigMap", {"metadata": {"name": "kube-root-ca.crt", "namespace": name}, **ca})
                continue
            left = [(k, obj) for k in self.store.kinds() if k.namespaced for obj in self.store.list(k, name)]
            for k, obj in left:
                self.store.drop(k, obj)
            if not left:  # gone on the tick after its objects
                self.store.drop(kind, space)

    def crds(self):
        for crd in self.store.list(self.store.named("CustomResourceDefinition")):
            if not established(crd):
                new = copy.deepcopy(crd)
                names = new["spec"]["names"]
                names.setdefault("listKind", names["kind"] + "List")
                names.setdefault("singular", names["kind"].lower())
                conditions = [{"type": kind, "status": "True", "reason": why, "message": "", "lastTransitionTime": now()}
                              for kind, why in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))]
                stored = [version["name"] for version in new["spec"]["versions"] if version["storage"]]
                new["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}
                self.store.put(self.store.named("CustomResourceDefinition"), new)

    def nodes(self):
        told = pairs(self.settings.labels.split(","))
        own = {self.settings.node: (self.settings.ip, {**told, "node-role.kubernetes.io/control-plane": "true", "node.kubernetes.io/instance-type": "k3s"}, "own")}
        for name, node in self.agents.held.items():
            own[name] = (node["ip"], {**pairs(node.get("labels") or []), "node.kubernetes.io/instance-type": "k3s"}, node.get("started"))
        for name, (ip, labels, started) in own.items():
            self.node(name, ip, labels)
            self.heartbeat(name, started)
        for name in self.cloudcore.edges():
            self.node(name, "", {EDGE: "", "node-role.kubernetes.io/agent": ""})

    def node(self, name, ip, labels):
        kind = self.store.named("Node")
        if self.store.get(kind, None, name) is not None:
            return
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", **labels}
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                     "lastHeartbeatTime": now(), "lastTransitionTime": now()}
        addresses = [{"type": "InternalIP", "address": ip}] if ip else []
        self.store.put(kind, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": self.taints(name), "status": {
            "conditions": [condition], "addresses": addresses + [{"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": self.settings.version if EDGE not in labels else "v1.31.12-kubeedge-v1.22.0", **NODE_INFO}}})

    def heartbeat(self, name, started):
        """A kubelet says how it is when it starts; what it says later, as long as nothing changes, is left out here."""
        if self.heard.get(name) == started:
            return
        self.heard[name] = started
        kind = self.store.named("Node")
        new = copy.deepcopy(self.store.get(kind, None, name))
        new["status"]["conditions"][0]["lastHeartbeatTime"] = now()
        self.store.put(kind, new)

    def taints(self, name):
        """What a server registers with; later they are whoever's who changes them."""
        given = self.settings.taints if name == self.settings.node else ""
        taints = [{"key": key, **({"value": value} if value else {}), "effect": effect} for key, value, effect in
                  ((*one.rsplit(":", 1)[0].partition("=")[::2], one.rsplit(":", 1)[1]) for one in filter(None, given.split(",")))]
        return {"taints": taints} if taints else {}

    # --- pods ----------------------------------------------------------------------------------------------------

    def fits(self, template, node):
        spec, labels = template.get("spec") or {}, node["metadata"].get("labels") or {}
        if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
            return False
        wanted = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
        if wanted and not any(all(holds(one, labels) for one in term.get("matchExpressions") or []) for term in wanted["nodeSelectorTerms"]):
            return False
        return all(any(tolerates(one, taint) for one in spec.get("tolerations") or [])
                   for taint in node["spec"].get("taints") or [] if taint["effect"] != "PreferNoSchedule")

    def pods_of(self, kind, owner):
        """Makes and removes pods until they are what the owner's template says."""
        pods, meta, template = self.store.named("Pod"), owner["metadata"], owner["spec"]["template"]
        version = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
        held = [pod for pod in self.store.list(pods, meta["namespace"])
                if any(ref["uid"] == meta["uid"] for ref in pod["metadata"].get("ownerReferences") or [])]
        fitting = [node["metadata"]["name"] for node in self.store.list(self.store.named("Node")) if self.fits(template, node)]
        fitting.sort(key=lambda name: name == self.settings.node)  # of several nodes the real ones often take another
        count = {"Deployment": owner["spec"].get("replicas", 1), "Job": 1}.get(kind)
        slots = list(fitting) if kind == "DaemonSet" else [fitting[0] if fitting else ""] * count
        for pod in self.outdated(kind, owner, held, version, fitting):
            self.store.drop(pods, pod)
            held.remove(pod)
        for pod in held:
            node = pod["spec"].get("nodeName", "")
            if kind == "DaemonSet" and node in slots:
                slots.remove(node)
            elif kind != "DaemonSet" and slots and pod["metadata"]["labels"].get("pod-template-hash") == version:
                slots.pop()
        for node in slots:
            labels = {**((template.get("metadata") or {}).get("labels") or {}), "pod-template-hash": version}
            annotations = (template.get("metadata") or {}).get("annotations")
            name = f"{meta['name']}-{version}-{suffix()}" if kind == "Deployment" else f"{meta['name']}-{suffix()}"
            spec = copy.deepcopy(template["spec"])
            self.store.put(pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {
                "name": name, "namespace": meta["namespace"], "labels": labels, **({"annotations": annotations} if annotations else {}),
                "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": kind, "name": meta["name"], "uid": meta["uid"], "controller": True}]},
                "spec": {**spec, **({"nodeName": node} if node else {})}, "status": {"phase": "Pending"}})

    def outdated(self, kind, owner, held, version, fitting):
        """Those that go. New pods replace old ones step by step: where one does not come up, the others stay."""
        spec = owner["spec"]
        is_new = lambda pod: pod["metadata"]["labels"].get("pod-template-hash") == version
        fits = lambda pod: pod["spec"].get("nodeName", "") in (fitting or [""])
        gone = [pod for pod in held if not fits(pod)]
        old = [pod for pod in held if fits(pod) and not is_new(pod)]
        new = [pod for pod in held if fits(pod) and is_new(pod)]
        at_once = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("maxUnavailable") == "100%"
        if kind == "DaemonSet" and not at_once:  # one at a time
            missing = len(fitting) > len(old) + len(new)
            unready = [pod for pod in old if not ready(pod)]
            if missing or not all(map(ready, new)):
                return gone + unready
            return gone + (unready or sorted(old, key=lambda pod: fitting.index(pod["spec"]["nodeName"]))[:1])
        if kind == "Deployment" and (spec.get("strategy") or {}).get("type") != "Recreate":
            return gone + (old if sum(map(ready, new)) >= spec.get("replicas", 1) else [])
        return gone + old

    def images(self, node):
        if node == self.settings.node:
            try:
                with open(self.settings.images) as file:
                    return set(json.load(file))
            except FileNotFoundError:
                return set()
        return set(self.agents.held.get(node, {}).get("images", ())) if node in self.agents.held else None

    def pod(self, pod):
        if (pod.get("status") or {}).get("phase") == "Succeeded":
            return
        pod.setdefault("status", {"phase": "Pending"})  # one that somebody made by hand
        uid, node = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        if time.monotonic() < self.again.get(uid, 0):
            return
        status = {"phase": "Pending", "conditions": [condition("PodScheduled", bool(node), "" if node else "Unschedulable")]}
        images = self.images(node) if node else None
        if images is not None:
            status = self.started(pod, images)
            if any(lacks(entry) for entry in entries(status)):
                self.back_off(pod, status)
        new = copy.deepcopy(pod)
        for key in "startTime", "podIP", "hostIP":
            if key in pod["status"]:
                status.setdefault(key, pod["status"][key])
        new["status"] = settle(status, pod["status"])
        self.store.put(self.store.named("Pod"), new)

    def started(self, pod, images):
        spec, pause = pod["spec"], full_name(self.settings.pause)
        # without a sandbox, or without a mount
        hung = pause not in images or (spec.get("nodeName") == self.settings.node and not mounted(spec))
        entries, first, good = [], [], not hung
        for container in spec.get("initContainers") or []:
            state, ok = container_state(container, images, hung)
            if ok:
                state = {"terminated": {"exitCode": 0, "reason": "Completed"}}
            first.append({"name": container["name"], "image": container["image"], "imageID": "", "ready": ok, "restartCount": 0,
                          "state": state if good else {"waiting": {"reason": "PodInitializing"}}})
            good = good and ok
        initialized = good
        for container in spec["containers"]:
            state, ok = container_state(container, images, hung) if initialized or hung else ({"waiting": {"reason": "PodInitializing"}}, False)
            entries.append({"name": container["name"], "image": container["image"], "imageID": "", "ready": ok, "started": ok,
                            "restartCount": 0, "state": state})
            good = good and ok
        done = spec.get("restartPolicy") != "Always" and good
        phase = "Succeeded" if done else "Running" if good else "Pending"
        conditions = [condition("PodScheduled", True), condition("Initialized", initialized), condition("Ready", good and not done), condition("ContainersReady", good and not done)]
        if done:
            for entry in entries:
                entry.update(ready=False, started=False, state={"terminated": {"exitCode": 0, "reason": "Completed"}})
        return {"phase": phase, "conditions": conditions, "containerStatuses": entries, **({"initContainerStatuses": first} if first else {}), "hostIP": self.settings.ip,
                "podIP": self.settings.ip, "startTime": pod["metadata"]["creationTimestamp"]}

    def back_off(self, pod, status):
        """The first failure is told as it was, further ones as waiting."""
        uid = pod["metadata"]["uid"]
        known = uid in self.again
        self.again[uid] = time.monotonic() + BACK_OFF
        for entry in entries(status):
            waiting = lacks(entry)
            if waiting and waiting["reason"] == "ImagePullBackOff" and not known:
                entry["state"] = {"waiting": {"reason": "ErrImagePull", "message": waiting["message"].split(": ErrImagePull: ")[1]}}

    def status(self, kind, owner):
        pods = [pod for pod in self.store.list(self.store.named("Pod"), owner["metadata"]["namespace"])
                if any(ref["uid"] == owner["metadata"]["uid"] for ref in pod["metadata"].get("ownerReferences") or [])]
        up = sum(map(ready, pods))
        new = copy.deepcopy(owner)
        generation = {"observedGeneration": owner["metadata"].get("generation", 1)}
        if kind == "Job":
            done = any(pod["status"].get("phase") == "Succeeded" for pod in pods)
            status = {"succeeded": 1, "conditions": [condition("Complete", True)]} if done else {"active": len(pods)}
        elif kind == "DaemonSet":
            status = {**generation, "desiredNumberScheduled": len(pods), "currentNumberScheduled": len(pods), "numberReady": up,
                      "updatedNumberScheduled": len(pods), "numberAvailable": up, "numberMisscheduled": 0}
        else:
            wanted = owner["spec"].get("replicas", 1)
            status = {**generation, "replicas": len(pods), "updatedReplicas": len(pods), "readyReplicas": up, "availableReplicas": up,
                      "unavailableReplicas": max(0, wanted - up),
                      "conditions": [condition("Available", up >= wanted, "MinimumReplicasAvailable" if up >= wanted else "MinimumReplicasUnavailable"),
                                     condition("Progressing", True, "NewReplicaSetAvailable" if up >= wanted else "ReplicaSetUpdated")]}
        new["status"] = settle(status, owner.get("status") or {})
        self.store.put(self.store.named(kind), new)

    def logs(self, pod):
        return self.cloudcore.log() if pod["metadata"]["name"].startswith("cloudcore-") else ""


def ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or [])


def mounted(spec):
    """Directories of the host that a pod mounts: as containerd does, what is missing is made a directory."""
    for volume in spec.get("volumes") or []:
        place = volume.get("hostPath")
        try:
            if place and not os.path.exists(place["path"]):
                os.makedirs(place["path"], 0o755)
        except FileExistsError:  # a link that leads nowhere
            return False
    return True


def entries(status):
    return (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])


def lacks(entry):
    """What a container waits for, if that is its image."""
    waiting = entry["state"].get("waiting") or {}
    return waiting if waiting.get("reason") in LACKS else None


def pairs(listed):
    return dict(one.split("=", 1) for one in listed if one)


def settle(status, before):
    """Conditions keep the time of their last change."""
    old = {one["type"]: one for one in before.get("conditions") or []}
    for one in status.get("conditions") or []:
        same = old.get(one["type"], {})
        one["lastTransitionTime"] = same["lastTransitionTime"] if same.get("status") == one["status"] and "lastTransitionTime" in same else now()
    return status


def condition(kind, good, reason=""):
    return {"type": kind, "status": "True" if good else "False", **({"reason": reason} if reason else {})}


def full_name(image):
    first = image.split("/")[0]
    if "/" not in image:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"docker.io/{image}"
    return image if ":" in image.rsplit("/", 1)[1] or "@" in image else image + ":latest"


def container_state(container, images, hung):
    policy, name = container.get("imagePullPolicy", "IfNotPresent"), full_name(container["image"])
    if hung:
        return {"waiting": {"reason": "ContainerCreating"}}, False
    if policy != "Always" and name in images:
        return {"running": {"startedAt": now()[:17] + "00Z"}}, True
    if policy == "Never":
        return {"waiting": {"reason": "ErrImageNeverPull", "message": f'Container image "{container["image"]}" is not present with pull policy of Never'}}, False
    return {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}": ErrImagePull: failed to pull and unpack '
                        f'image "{name}": failed to resolve reference "{name}": dial tcp: lookup registry-1.docker.io: Try again'}}, False


def holds(one, labels):
    value, given = labels.get(one["key"]), one.get("values") or []
    return {"Exists": value is not None, "DoesNotExist": value is None, "In": value in given, "NotIn": value not in given}.get(one["operator"], False)


def tolerates(one, taint):
    if one.get("key") and one["key"] != taint["key"] or one.get("effect") and one["effect"] != taint["effect"]:
        return False
    return one.get("operator") == "Exists" or one.get("value", "") == taint.get("value", "")
