"""The API over HTTPS: routes, who asks, lists that are watched, and k3s's own supervisor paths on the same port."""
import base64, json, os, socketserver, ssl, sys, threading, time, urllib.request
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

import openapi
from api import Api, Refused, matches, not_found, one_value

VERSION = {"major": "1", "minor": "34", "gitVersion": os.environ.get("STANDIN_VERSION", "v1.34.2+k3s1"), "gitCommit": "standin",
           "gitTreeState": "clean", "buildDate": "2025-11-19T00:00:00Z", "goVersion": "go1.24.9", "compiler": "standin",
           "platform": "linux/amd64"}
MAX_BODY = 3 << 20
# asked for with an @, answered without: a media type must not hold one
PROTO = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# probes and the like; Kubernetes would let anybody see them, k3s switches anonymous access off
OPEN = ("/cacerts", "/ping")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address, context, cluster):
        self.context, self.cluster, self.api = context, cluster, Api(cluster.store)
        super().__init__(address, Handler)

    def handle_error(self, request, client):
        why = sys.exc_info()[1]
        if not isinstance(why, (ssl.SSLError, ConnectionError, TimeoutError)):
            self.cluster.say("error", f"http: {type(why).__name__}: {why}")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 600

    def setup(self):
        self.request.settimeout(20)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.request.settimeout(600)
        super().setup()

    def log_message(self, *_):
        pass

    def send(self, code, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else (json.dumps(body) if isinstance(body, (dict, list)) else body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def user(self):
        """Who asks, by certificate; none if nobody we know."""
        parts = dict(part[0] for part in (self.request.getpeercert() or {}).get("subject", ()))
        return parts.get("commonName")

    def node_password(self):
        """Holds a join token's user and password, as agents send them."""
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        try:
            return base64.b64decode(given).decode() in ("node:" + self.server.cluster.password, "server:" + self.server.cluster.password)
        except ValueError:
            return False

    def handle_request(self):
        parts = urlsplit(self.path)
        path, query = parts.path, parse_qs(parts.query, keep_blank_values=True)
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            raise Refused(400, "http: request body too large")
        body = self.rfile.read(length)
        if path in OPEN:
            return self.send(200, self.server.cluster.ca if path == "/cacerts" else "pong", "text/plain")
        if path.startswith("/v1-k3s/"):
            if not self.node_password():
                # one of `k3s token create` is looked up in the API, where that serves yet
                made = self.headers.get("Authorization", "").startswith("Bearer ")
                raise Refused(403, "forbidden") if made and not self.server.cluster.ready else Refused(401, "not authorized")
            return self.supervisor(path, body)
        if self.user() is None:
            raise Refused(401, "Unauthorized")
        self.route(path, query, body)

    def do_GET(self):
        try:
            self.handle_request()
        except Refused as end:
            self.send(end.code, end.status)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True
        except Exception as why:  # a bug of ours shows as one of the server's, and in its log
            self.server.cluster.say("error", f"{self.command} {self.path}: {type(why).__name__}: {why}")
            self.send(500, Refused(500, f"Internal error occurred: {type(why).__name__}: {why}").status)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def supervisor(self, path, body):
        cluster = self.server.cluster
        if path == "/v1-k3s/config":
            return self.send(200, {"ClusterDomain": "cluster.local", "ready": cluster.ready})
        if path == "/v1-k3s/serving-kubelet.crt":  # a name belongs to the machine that came with it first
            name, ip = body.decode().split()
            first = cluster.agents.held.get(name, {}).get("ip", ip)
            return self.send(403 if name == cluster.settings.node or first != ip else 200, "", "text/plain")
        if path == "/v1-k3s/standin-node" and self.command == "POST":
            node = json.loads(body)
            cluster.agents.put(node)
            return self.send(200, cluster.kubelet_config(node["name"]), "text/plain")
        self.send(404, "404 page not found", "text/plain")

    def route(self, path, query, body):
        cluster, kinds = self.server.cluster, self.server.cluster.store.kinds()
        if path in ("/readyz", "/livez", "/healthz"):
            if path == "/readyz" and not cluster.ready:
                return self.send(500, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n", "text/plain")
            return self.send(200, "ok", "text/plain")
        if path == "/version":
            return self.send(200, VERSION)
        if path == "/openapi/v2":
            wanted = self.headers.get("Accept", "")
            if "proto" in wanted:
                return self.send(200, openapi.document2_bytes(kinds), PROTO)
            return self.send(200, openapi.document2(kinds))
        if path == "/openapi/v3":
            return self.send(200, openapi.index3(kinds))
        if path.startswith("/openapi/v3/"):
            document = openapi.document3(kinds, path[len("/openapi/v3/"):])
            if document is None:
                raise Refused(404, "the server could not find the requested resource")
            return self.send(200, document)
        words = [unquote(word) for word in path.strip("/").split("/")]
        if words[0] not in ("api", "apis"):
            raise Refused(404, "the server could not find the requested resource")
        if len(words) < (3 if words[0] == "api" else 4):
            return self.discovery(words, kinds)
        group, version, rest = ("", words[1], words[2:]) if words[0] == "api" else (words[1], words[2], words[3:])
        self.objects(group, version, rest, query, body)

    def discovery(self, words, kinds):
        if words == ["api"]:
            return self.send(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        groups = {}
        for kind in kinds:
            if kind.group and kind.version not in groups.setdefault(kind.group, []):
                groups[kind.group].append(kind.version)
        if words == ["apis"]:
            listed = []
            for group, versions in groups.items():
                entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
                listed.append({"name": group, "versions": entries, "preferredVersion": entries[0]})
            return self.send(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed})
        group, version = ("", words[1]) if words[0] == "api" else (words[1], words[2] if len(words) > 2 else None)
        own = [kind for kind in kinds if kind.group == group and kind.version == version]
        if not own:
            raise Refused(404, "the server could not find the requested resource")
        verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        resources = []
        for kind in own:
            entry = {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": kind.namespaced, "kind": kind.name, "verbs": verbs}
            resources.append({**entry, **({"shortNames": kind.short} if kind.short else {})})
            resources.append({"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced, "kind": kind.name, "verbs": ["get", "patch", "update"]})
        self.send(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": own[0].api_version, "resources": resources})

    def objects(self, group, version, rest, query, body):
        cluster, api, store = self.server.cluster, self.server.api, self.server.cluster.store
        if not cluster.ready:
            raise Refused(503, "apiserver not ready", None, "ServiceUnavailable")
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = store.kind(group, version, rest[0])
        if kind is None or (namespace is not None) > kind.namespaced:
            raise Refused(404, "the server could not find the requested resource")
        name, sub = (rest[1] if len(rest) > 1 else None), (rest[2] if len(rest) > 2 else None)
        manager = one_value(query, "fieldManager") or self.headers.get("User-Agent", "unknown").split("/")[0]
        if kind.name == "Service" and sub == "proxy" and self.command == "GET":
            return self.proxy(name, "/".join(rest[3:]))
        if self.command == "GET":
            return self.read(kind, namespace, name, sub, query)
        api.target(kind, namespace, sub)
        if body[:4] == b"k8s\0":
            raise Refused(415, "the body of the request was in an unknown format - this stand-in accepts application/json")
        given = json.loads(body) if body else None
        if self.command == "DELETE":
            if name is None:
                for obj in [obj for obj in store.list(kind, namespace) if matches(obj, query)]:
                    api.delete(kind, namespace, obj["metadata"]["name"], query)
                return self.send(200, api.list(kind, namespace, query))
            code, answer = api.delete(kind, namespace, name, query)
            return self.send(code, answer)
        if self.command == "POST" and name is None:
            code, answer, warnings = api.create(kind, namespace, given, query, manager)
        elif self.command == "PUT" and name:
            code, answer, warnings = api.replace(kind, namespace, name, given, query, manager, sub)
        elif self.command == "PATCH" and name:
            form = self.headers.get("Content-Type", "").split(";")[0]
            code, answer, warnings = api.patch(kind, namespace, name, form, given, query, manager, sub)
        else:
            raise Refused(405, "the server does not allow this method on the requested resource")
        cluster.written()
        self.send(code, answer, headers=[("Warning", "299 - " + json.dumps(text)) for text in warnings])

    def read(self, kind, namespace, name, sub, query):
        store, api = self.server.cluster.store, self.server.api
        if name is not None:
            obj = store.get(kind, namespace, name)
            if obj is None:
                raise not_found(kind, name)
            if sub == "log":
                return self.send(200, self.server.cluster.logs(obj), "text/plain")
            return self.send(200, obj)
        if one_value(query, "watch") in ("true", "1"):
            return self.watch(kind, namespace, query)
        self.send(200, api.list(kind, namespace, query))

    def proxy(self, name, path):
        """By way of a service to a port of this machine; all that is served this way is CloudCore's."""
        scheme, _, rest = name.partition(":")
        service, _, port = rest.partition(":")
        if (scheme, service, port) != ("https", "cloudcore", "10002"):
            raise Refused(503, f'no endpoints available for service "{name}"')
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/{path}", context=anyone, timeout=10) as answer:
                self.send(200, answer.read(), "application/octet-stream")
        except OSError as why:
            raise Refused(503, f"error trying to reach service: {why}")

    def watch(self, kind, namespace, query):
        store = self.server.cluster.store
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        after = int(one_value(query, "resourceVersion") or 0)
        end = time.monotonic() + int(one_value(query, "timeoutSeconds") or 600)
        seen, events = set(), []
        if after == 0:
            events = [("ADDED", obj) for obj in store.list(kind, namespace) if matches(obj, query)]
            after = store.version
        while time.monotonic() < end:
            for what, obj in events:
                key = obj["metadata"]["uid"]
                # what leaves or enters the selection is gone or new to the one who watches
                if not matches(obj, query):
                    if key not in seen:
                        continue
                    what = "DELETED"
                (seen.discard if what == "DELETED" else seen.add)(key)
                line = json.dumps({"type": what, "object": obj}).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
            with store.changed:
                events = [(what, obj) for version, what, key, obj in store.log
                          if version > after and key[:2] == kind.store and namespace in (None, key[2])]
                if not events:
                    store.changed.wait(1.0)
                    events = [(what, obj) for version, what, key, obj in store.log
                              if version > after and key[:2] == kind.store and namespace in (None, key[2])]
                after = max(after, store.version)
        self.wfile.write(b"0\r\n\r\n")
