"""CloudCore, as long as a pod of it runs: makes its secrets a little after its start, then serves; see standin-cloud."""
import base64, copy, ctypes, json, os, random, shutil, signal, subprocess, sys, time

import yaml

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "standin-cloud")
PR_SET_PDEATHSIG = 1
SECRETS = {"casecret": {"cadata": "ca.der", "cakeydata": "cakey.der"},
           "cloudcoresecret": {"cloudcoredata": "server.crt", "cloudcorekeydata": "server.key"}}
# What the real one fills in where its configuration is silent.
DEFAULTS = {"modules": {
    "cloudHub": {"advertiseAddress": [], "dnsNames": [""], "nodeLimit": 1000, "tokenRefreshDuration": 12,
                 "https": {"enable": True, "port": 10002, "address": "0.0.0.0"},
                 "websocket": {"enable": True, "port": 10000, "address": "0.0.0.0"}},
    "cloudStream": {"enable": False, "streamPort": 10003, "tunnelPort": 10004},
    "dynamicController": {"enable": False}, "taskManager": {"enable": False}, "router": {"enable": False}}}


class CloudCore:
    def __init__(self, cluster):
        self.cluster, self.process, self.pod, self.begin = cluster, None, None, 0.0
        self.dir = os.path.join(cluster.settings.db, "cloudcore")

    def edges(self):
        """Names of edge nodes that registered; what was deleted in the cluster is forgotten by CloudCore."""
        folder = os.path.join(self.dir, "nodes")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        held = {node["metadata"]["name"] for node in self.cluster.store.list(self.cluster.store.named("Node"))}
        marks = os.path.join(self.dir, "seen")
        os.makedirs(marks, exist_ok=True)
        for name in list(names):
            mark = os.path.join(marks, name)
            if os.path.exists(mark) and name not in held:
                os.remove(mark)
                os.remove(os.path.join(folder, name))
                names.remove(name)
            elif not os.path.exists(mark):
                open(mark, "w").close()
        return names

    def running(self):
        store = self.cluster.store
        for pod in store.list(store.named("Pod"), "kubeedge"):
            own = pod["metadata"]["name"].startswith("cloudcore-") and pod["spec"].get("nodeName") == self.cluster.settings.node
            if own and pod["status"].get("phase") == "Running":
                return pod
        return None

    def tick(self):
        pod = self.running()
        if self.pod is not None and (pod is None or pod["metadata"]["uid"] != self.pod):
            self.stop()
        if pod is None:
            return
        if self.pod is None:
            self.pod, self.begin = pod["metadata"]["uid"], time.monotonic() + random.uniform(0.3, 1.5) + self.late()
        elif self.process is None and time.monotonic() > self.begin:
            self.start()
        elif self.process is not None and self.process.poll() is not None:
            self.process, self.begin = None, time.monotonic() + 1.0

    def late(self):
        """Seconds more than usual, by the switch `cloudcore-late`."""
        path = os.path.join(self.cluster.settings.switches, "cloudcore-late")
        return float(open(path).read()) if os.path.exists(path) else 0.0

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.process, self.pod = None, None

    def config(self):
        store = self.cluster.store
        held = store.get(store.named("ConfigMap"), "kubeedge", "cloudcore")
        text = ((held or {}).get("data") or {}).get("cloudcore.yaml")
        if text is None:
            raise ValueError("configmap cloudcore has no cloudcore.yaml")
        config = yaml.safe_load(text)
        filled = fill(config, DEFAULTS)
        if filled != config:
            new = copy.deepcopy(held)
            new["data"]["cloudcore.yaml"] = yaml.safe_dump(filled)
            store.put(store.named("ConfigMap"), new)
        return filled["modules"]

    def start(self):
        modules = self.config()
        hub = modules["cloudHub"]
        addresses = [one for one in hub["advertiseAddress"] if one]
        self.certificates(addresses, [one for one in hub["dnsNames"] if one])
        self.secrets()
        log = open(os.path.join(self.dir, "out"), "ab")
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, "serve", self.dir, "--https", str(hub["https"]["port"]), "--ws", str(hub["websocket"]["port"])],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        store = self.cluster.store
        self.cluster.ensure("ConfigMap", {"metadata": {"name": "tunnelport", "namespace": "kubeedge", "annotations": {
            "tunnelportrecord.kubeedge.io": json.dumps({"ipTunnelPort": {self.cluster.settings.ip: 10351}, "port": {"10351": True}})}}})

    def certificates(self, addresses, names):
        """The CA is that of the secret; without the secret it is a new one, and the tokens of the old one are worth nothing."""
        store = self.cluster.store
        secret = store.get(store.named("Secret"), "kubeedge", "casecret")
        if secret is None and os.path.isdir(self.dir):
            shutil.rmtree(self.dir)
        san = ",".join([f"IP:{one}" for one in addresses] + [f"DNS:{one}" for one in names]) or "DNS:none.invalid"
        server = os.path.join(self.dir, "server.crt")
        # made once, for the names of that time; deleting the secret is how it is made anew
        if store.get(store.named("Secret"), "kubeedge", "cloudcoresecret") is None and os.path.exists(server):
            os.remove(server)
        subprocess.run([sys.executable, SCRIPT, "init", self.dir, "--san", san], check=True)

    def secrets(self):
        token = subprocess.run([sys.executable, SCRIPT, "token", self.dir], check=True, capture_output=True).stdout.strip()
        data = {name: {key: self.read(file) for key, file in entries.items()} for name, entries in SECRETS.items()}
        data["tokensecret"] = {"tokendata": token}
        store = self.cluster.store
        kind = store.named("Secret")
        for name, entries in data.items():
            held = store.get(kind, "kubeedge", name)
            new = copy.deepcopy(held) if held else {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kubeedge"}, "type": "Opaque"}
            new["data"] = {key: base64.b64encode(value).decode() for key, value in entries.items()}
            store.put(kind, new)

    def read(self, name):
        with open(os.path.join(self.dir, name), "rb") as file:
            return file.read()

    def log(self):
        path = os.path.join(self.dir, "log")
        return open(path).read() if os.path.exists(path) else ""


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def fill(config, defaults):
    if not isinstance(defaults, dict) or not isinstance(config, (dict, type(None))):
        return copy.deepcopy(defaults) if config is None else config
    merged = dict(config or {})
    for key, value in defaults.items():
        merged[key] = fill(merged.get(key), value)
    return merged
