"""The kinds of objects that are served: Kubernetes' own, k3s's, and those that CRDs add."""


class Kind:
    def __init__(self, group, version, name, plural, namespaced, shape=None, schema=None, short=(), crd=None):
        self.group, self.version, self.name, self.plural, self.namespaced = group, version, name, plural, namespaced
        self.shape, self.schema, self.short, self.crd = shape, schema, list(short), crd

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self):
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def store(self):
        """What objects are kept under: all versions of a kind are one."""
        return (self.group, self.plural)


def builtin(line):
    group, version, name, plural, scope, *short = line.split()
    return Kind("" if group == "core" else group, version, name, plural, scope == "ns", shape=name, short=short)


BUILTIN = [builtin(line) for line in """
core v1 Namespace namespaces cluster ns
core v1 Node nodes cluster no
core v1 Pod pods ns po
core v1 ConfigMap configmaps ns cm
core v1 Secret secrets ns
core v1 Service services ns svc
core v1 ServiceAccount serviceaccounts ns sa
core v1 Endpoints endpoints ns ep
core v1 Event events ns ev
apps v1 Deployment deployments ns deploy
apps v1 DaemonSet daemonsets ns ds
batch v1 Job jobs ns
rbac.authorization.k8s.io v1 ClusterRole clusterroles cluster
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings cluster
rbac.authorization.k8s.io v1 Role roles ns
rbac.authorization.k8s.io v1 RoleBinding rolebindings ns
coordination.k8s.io v1 Lease leases ns
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions cluster crd crds
admissionregistration.k8s.io v1 ValidatingWebhookConfiguration validatingwebhookconfigurations cluster
admissionregistration.k8s.io v1 MutatingWebhookConfiguration mutatingwebhookconfigurations cluster
apiregistration.k8s.io v1 APIService apiservices cluster
scheduling.k8s.io v1 PriorityClass priorityclasses cluster pc
storage.k8s.io v1 StorageClass storageclasses cluster sc
networking.k8s.io v1 IngressClass ingressclasses cluster
""".strip().splitlines()]


def crd_kinds(crd):
    """The kinds that a CRD adds, one per served version."""
    spec = crd["spec"]
    names = spec["names"]
    return [
        Kind(spec["group"], version["name"], names["kind"], names["plural"], spec["scope"] == "Namespaced",
             schema=(version.get("schema") or {}).get("openAPIV3Schema") or {}, short=names.get("shortNames") or (), crd=crd)
        for version in spec["versions"] if version.get("served")
    ]
