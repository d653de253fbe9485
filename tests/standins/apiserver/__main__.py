"""standin-apiserver: a small Kubernetes API in one process, with the controllers that an installer notices.

Not Kubernetes: a stand-in for the one inside k3s. It keeps objects, strict about their shapes (shapes.txt), holds pods
back whose images are not there, and starts a stand-in CloudCore where a pod of it runs."""
import argparse, base64, hashlib, os, secrets, ssl, subprocess, sys, tempfile, threading, time

from cluster import Cluster
from server import Server


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *args], input=stdin, capture_output=True)
    if done.returncode != 0:
        raise SystemExit("openssl: " + " ".join(done.stderr.decode(errors="replace").split()))
    return done.stdout


class Certificates:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def authority(self, name):
        if not os.path.exists(self.path(name + ".crt")):
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name + ".key"))
            openssl("req", "-x509", "-new", "-key", self.path(name + ".key"), "-subj", f"/CN=k3s-{name}", "-days", "3650", "-out", self.path(name + ".new"))
            os.rename(self.path(name + ".new"), self.path(name + ".crt"))

    def leaf(self, name, authority, subject, extensions):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name + ".key"))
        request = openssl("req", "-new", "-key", self.path(name + ".key"), "-subj", subject)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(extensions)
            file.flush()
            openssl("x509", "-req", "-CA", self.path(authority + ".crt"), "-CAkey", self.path(authority + ".key"), "-days", "365",
                    "-set_serial", str(int.from_bytes(os.urandom(8), "big")), "-extfile", file.name, "-out", self.path(name + ".crt"), stdin=request)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()


def kubeconfig(certificates, server, user="admin"):
    encoded = {name: base64.b64encode(certificates.read(file).encode()).decode() for name, file in
               (("ca", "server-ca.crt"), ("cert", user + ".crt"), ("key", user + ".key"))}
    return f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded['ca']}
    server: {server}
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: {encoded['cert']}
    client-key-data: {encoded['key']}
"""


def issue(certificates, subject, port):
    certificates.leaf("node", "client-ca", subject, "extendedKeyUsage=clientAuth\n")
    return kubeconfig(certificates, f"https://127.0.0.1:{port}", "node")


def write(path, text, mode):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    os.rename(path + ".new", path)


def tokens(given, cluster, certificates):
    """The password of node-token: as told, as it was, or a new one; the file says which CA belongs to it."""
    folder = os.path.dirname(given.db)
    path = os.path.join(folder, "token")
    cluster.password = given.token or (open(path).read().strip().rsplit(":", 1)[1] if os.path.exists(path) else secrets.token_hex(16))
    cluster.ca = certificates.read("server-ca.crt")
    full = f"K10{hashlib.sha256(cluster.ca.encode()).hexdigest()}::server:{cluster.password}\n"
    write(path, full, 0o600)
    for name in "node-token", "agent-token":
        link = os.path.join(folder, name)
        if not os.path.lexists(link):
            os.symlink(path, link)


def main():
    parser = argparse.ArgumentParser(prog="standin-apiserver")
    for name, default in (("db", None), ("bind", "0.0.0.0"), ("port", "6443"), ("node", "server"), ("ip", "127.0.0.1"), ("san", ""),
                          ("images", "images.json"), ("kubeconfig", None), ("mode", "600"), ("version", "v1.34.2+k3s1"), ("token", ""),
                          ("pause", "rancher/mirrored-pause:3.6"), ("disable", ""), ("labels", ""), ("taints", ""), ("dns", "10.43.0.10"), ("service-ip", "10.43.0.1"),
                          ("ready-file", ""), ("switches", "/nonexistent")):
        parser.add_argument("--" + name, default=default)
    given = parser.parse_args()
    certificates = Certificates(os.path.join(os.path.dirname(given.db), "tls"))
    for name in "server-ca", "client-ca":
        certificates.authority(name)
    names = ["IP:127.0.0.1", f"IP:{given.service_ip}", f"IP:{given.ip}", "DNS:localhost", "DNS:kubernetes", f"DNS:{given.node}"]
    names += [("IP:" if one.replace(".", "").isdigit() or ":" in one else "DNS:") + one for one in filter(None, given.san.split(","))]
    certificates.leaf("serving", "server-ca", "/CN=k3s", "subjectAltName=" + ",".join(dict.fromkeys(names)) + "\nextendedKeyUsage=serverAuth\n")
    if not os.path.exists(certificates.path("admin.crt")):
        certificates.leaf("admin", "client-ca", "/O=system:masters/CN=system:admin", "extendedKeyUsage=clientAuth\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("serving.crt"), certificates.path("serving.key"))
    context.load_verify_locations(certificates.path("client-ca.crt"))
    context.verify_mode = ssl.CERT_OPTIONAL
    cluster = Cluster(given)
    tokens(given, cluster, certificates)
    try:
        server = Server((given.bind, int(given.port)), context, cluster)
    except OSError as why:
        cluster.say("fatal", f"starting kubernetes: preparing server: init cluster datastore and https: listen tcp {given.bind}:{given.port}: bind: {os.strerror(why.errno).lower()}")
        sys.exit(1)
    port = server.server_address[1]
    if given.kubeconfig:
        write(given.kubeconfig, kubeconfig(certificates, f"https://127.0.0.1:{port}"), int(given.mode, 8))
    cluster.issue = lambda subject: issue(certificates, subject, port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    cluster.disabled = set(filter(None, given.disable.split(",")))
    cluster.tick()
    if not os.path.exists(os.path.join(given.switches, "k3s-never-ready")):
        cluster.ready = True
    if given.ready_file:
        write(given.ready_file, f"{port}\n", 0o644)
    cluster.run()


if __name__ == "__main__":
    main()
