"""What must hold of objects beyond their shape, in the real server's words, and the few defaults that others look at."""
import re

LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
PATH_NAME = re.compile(r"^[^/%]+$")
NAME_TEXT = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
             "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
             "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")
# RBAC names may hold colons
FREE_NAMES = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
LABEL_NAMES = {"Namespace", "Service"}


def required(path):
    return f"{path}: Required value"


def invalid(path, value, why):
    shown = f'"{value}"' if isinstance(value, str) else value
    return f"{path}: Invalid value: {shown}: {why}"


def unsupported(path, value, allowed):
    listed = ", ".join(f'"{one}"' for one in allowed)
    return f'{path}: Unsupported value: "{value}": supported values: {listed}'


def faults(kind, obj, old=None):
    """Everything that is wrong with an object whose shape is right."""
    found = metadata(kind, obj)
    rule = RULES.get(kind.name) if kind.shape else None
    return found + (rule(obj, old) if rule else [])


def metadata(kind, obj):
    meta, found = obj.get("metadata") or {}, []
    name = meta.get("name")
    if not name:
        return [required("metadata.name") + ": name or generateName is required"]
    form = PATH_NAME if kind.name in FREE_NAMES else DNS_LABEL if kind.name in LABEL_NAMES else DNS_NAME
    if len(name) > (63 if form is DNS_LABEL else 253) or not form.match(name):
        found.append(invalid("metadata.name", name, NAME_TEXT))
    found += labels(meta.get("labels"), "metadata.labels")
    for key in meta.get("annotations") or {}:
        found += qualified(key, "metadata.annotations")
    return found


def qualified(key, path):
    prefix, _, name = key.rpartition("/")
    good = name and len(name) <= 63 and LABEL.match(name) and (not prefix or DNS_NAME.match(prefix))
    return [] if good else [invalid(path, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")]


def labels(given, path):
    found = []
    for key, value in (given or {}).items():
        found += qualified(key, path)
        if len(value) > 63 or not LABEL.match(value):
            found.append(invalid(path, value, "a valid label must be an empty string or consist of alphanumeric characters, "
                                              "'-', '_' or '.', and must start and end with an alphanumeric character"))
    return found


# --- pods and what makes them ----------------------------------------------------------------------------------------

def pod_spec(spec, path, restart=("Always",)):
    found, names = [], set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or []}
    for at, volume in enumerate(spec.get("volumes") or []):
        if len(volume) < 2:
            found.append(required(f"{path}.volumes[{at}]") + ": must specify a volume type")
    if not spec.get("containers"):
        found.append(required(f"{path}.containers"))
    for group in "initContainers", "containers":
        for at, container in enumerate(spec.get(group) or []):
            found += container_faults(container, f"{path}.{group}[{at}]", volumes, names, spec)
    policy = spec.get("restartPolicy", "Always")
    if policy not in restart:
        found.append(unsupported(f"{path}.restartPolicy", policy, restart))
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if policy not in ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        found.append(unsupported(f"{path}.dnsPolicy", policy, ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")))
    for at, one in enumerate(spec.get("tolerations") or []):
        found += toleration(one, f"{path}.tolerations[{at}]")
    wanted = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (wanted.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or []
    for at, term in enumerate(terms):
        for n, one in enumerate(term.get("matchExpressions") or []):
            found += expression(one, f"{path}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
                                     f".nodeSelectorTerms[{at}].matchExpressions[{n}]")
    return found


def container_faults(container, path, volumes, names, spec):
    found, name = [], container.get("name", "")
    if name in names:
        found.append(f'{path}.name: Duplicate value: "{name}"')
    names.add(name)
    if not DNS_LABEL.match(name):
        found.append(invalid(f"{path}.name", name, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"))
    image = container.get("image", "")
    if not image:
        found.append(required(f"{path}.image"))
    elif image != image.strip() or re.search(r"\s", image):
        found.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    policy = container.get("imagePullPolicy", "IfNotPresent")
    if policy not in ("Always", "IfNotPresent", "Never"):
        found.append(unsupported(f"{path}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never")))
    for at, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            found.append(f'{path}.volumeMounts[{at}].name: Not found: "{mount.get("name")}"')
    for at, port in enumerate(container.get("ports") or []):
        if not 0 < port.get("containerPort", 0) < 65536:
            found.append(invalid(f"{path}.ports[{at}].containerPort", port.get("containerPort"), "must be between 1 and 65535, inclusive"))
        if spec.get("hostNetwork") and port.get("hostPort", port.get("containerPort")) != port.get("containerPort"):
            found.append(invalid(f"{path}.ports[{at}].hostPort", port["hostPort"], "must match `containerPort` when `hostNetwork` is true"))
    asked = container.get("resources") or {}
    for what, amount in (asked.get("requests") or {}).items():
        limit = (asked.get("limits") or {}).get(what)
        if limit is not None and quantity(amount) > quantity(limit):
            found.append(invalid(f"{path}.resources.requests", str(amount), f"must be less than or equal to {what} limit of {limit}"))
    return found


def quantity(given):
    number, unit = re.match(r"^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$", str(given)).groups()
    scale = {"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3}
    for power, letter in enumerate("KMGTPE", 1):
        scale[letter], scale[letter + "i"] = 1000.0**power, 1024.0**power
    return float(number) * scale[unit]


def toleration(one, path):
    operator = one.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        return [unsupported(f"{path}.operator", operator, ("Equal", "Exists"))]
    if operator == "Exists" and one.get("value"):
        return [invalid(f"{path}.operator", one["value"], "value must be empty when `operator` is 'Exists'")]
    if operator == "Equal" and not one.get("key"):
        return [invalid(f"{path}.operator", operator, "operator must be Exists when `key` is empty")]
    if one.get("effect", "") not in ("", "NoSchedule", "PreferNoSchedule", "NoExecute"):
        return [unsupported(f"{path}.effect", one["effect"], ("NoSchedule", "PreferNoSchedule", "NoExecute"))]
    return []


def expression(one, path):
    operator, values = one.get("operator"), one.get("values") or []
    if operator in ("In", "NotIn"):
        return [] if values else [required(f"{path}.values") + ": must be specified when `operator` is 'In' or 'NotIn'"]
    if operator in ("Exists", "DoesNotExist"):
        return [f"{path}.values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"] if values else []
    return [] if operator in ("Gt", "Lt") else [invalid(f"{path}.operator", operator, "not a valid selector operator")]


def workload(obj, old):
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector") or {}, spec.get("template") or {}
    found = []
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        found.append(invalid("spec.selector", "{}", "empty selector is invalid for deployment"))
    own = (template.get("metadata") or {}).get("labels") or {}
    if any(own.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        found.append(invalid("spec.template.metadata.labels", str(own), "`selector` does not match template `labels`"))
    found += labels(own, "spec.template.labels")
    if old is not None and (old.get("spec") or {}).get("selector") != selector:
        found.append(invalid("spec.selector", str(selector), "field is immutable"))
    if spec.get("replicas", 0) < 0:
        found.append(invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    return found + pod_spec(template.get("spec") or {}, "spec.template.spec")


def job(obj, old):
    return pod_spec(((obj.get("spec") or {}).get("template") or {}).get("spec") or {}, "spec.template.spec", ("OnFailure", "Never"))


def pod(obj, old):
    return pod_spec(obj.get("spec") or {}, "spec", ("Always", "OnFailure", "Never"))


# --- the rest --------------------------------------------------------------------------------------------------------

def service(obj, old):
    spec, found = obj.get("spec") or {}, []
    kind = spec.get("type", "ClusterIP")
    if kind not in ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"):
        found.append(unsupported("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")))
    ports = spec.get("ports") or []
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        found.append(required("spec.ports"))
    for at, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            found.append(required(f"spec.ports[{at}].name"))
        if not 0 < port.get("port", 0) < 65536:
            found.append(invalid(f"spec.ports[{at}].port", port.get("port"), "must be between 1 and 65535, inclusive"))
        if port.get("nodePort") and kind == "ClusterIP":
            found.append(f"spec.ports[{at}].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'")
    return found


def role(obj, old):
    found, cluster = [], obj["kind"] == "ClusterRole"
    for at, rule in enumerate(obj.get("rules") or []):
        path = f"rules[{at}]"
        if not rule.get("verbs"):
            found.append(required(f"{path}.verbs") + ": verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if not cluster or rule.get("apiGroups") or rule.get("resources"):
                found.append(invalid(f"{path}.nonResourceURLs", "", "rules cannot apply to both regular resources and non-resource URLs"))
            continue
        for key, what in ("apiGroups", "api group"), ("resources", "resource"):
            if not rule.get(key):
                found.append(required(f"{path}.{key}") + f": resource rules must supply at least one {what}")
    return found


def binding(obj, old):
    found, ref = [], obj.get("roleRef") or {}
    if ref.get("apiGroup") != "rbac.authorization.k8s.io":
        found.append(unsupported("roleRef.apiGroup", ref.get("apiGroup"), ("rbac.authorization.k8s.io",)))
    if ref.get("kind") not in (("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")):
        found.append(unsupported("roleRef.kind", ref.get("kind"), ("Role", "ClusterRole")))
    if old is not None and old.get("roleRef") != ref:
        found.append(invalid("roleRef", str(ref), "cannot change roleRef"))
    for at, subject in enumerate(obj.get("subjects") or []):
        path = f"subjects[{at}]"
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            found.append(unsupported(f"{path}.kind", subject.get("kind"), ("ServiceAccount", "User", "Group")))
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            found.append(required(f"{path}.namespace"))
        elif subject["kind"] != "ServiceAccount" and subject.get("apiGroup", "rbac.authorization.k8s.io") != "rbac.authorization.k8s.io":
            found.append(unsupported(f"{path}.apiGroup", subject["apiGroup"], ("rbac.authorization.k8s.io",)))
    return found


def secret(obj, old):
    found = []
    if old is not None and old.get("type", "Opaque") != obj.get("type", "Opaque"):
        found.append(invalid("type", obj.get("type", ""), "field is immutable"))
    return found + data_keys(obj, "data", "stringData")


def config_map(obj, old):
    return data_keys(obj, "data", "binaryData")


def data_keys(obj, *maps):
    return [invalid(f"{name}[{key}]", key, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
            for name in maps for key in obj.get(name) or {} if not re.match(r"^[-._a-zA-Z0-9]+$", key)]


def crd(obj, old):
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    found = []
    if name != f"{names.get('plural')}.{spec.get('group')}":
        found.append(invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"))
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        found.append(unsupported("spec.scope", spec.get("scope"), ("Cluster", "Namespaced")))
    if sum(1 for version in versions if version.get("storage")) != 1:
        found.append(invalid("spec.versions", "[]", "must have exactly one version marked as storage version"))
    for at, version in enumerate(versions):
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not schema:
            found.append(required(f"spec.versions[{at}].schema.openAPIV3Schema") + ": schemas are required")
        elif schema.get("type") != "object":
            found.append(required(f"spec.versions[{at}].schema.openAPIV3Schema.type") + ": must be object at the root")
    if spec.get("group", "").endswith((".k8s.io", ".kubernetes.io")):
        if "api-approved.kubernetes.io" not in (obj["metadata"].get("annotations") or {}):
            found.append(required("metadata.annotations[api-approved.kubernetes.io]") + ": protected groups must have approval annotation")
    return found


RULES = {
    "Deployment": workload, "DaemonSet": workload, "Job": job, "Pod": pod, "Service": service, "ClusterRole": role, "Role": role,
    "ClusterRoleBinding": binding, "RoleBinding": binding, "Secret": secret, "ConfigMap": config_map,
    "CustomResourceDefinition": crd,
}


def default(kind, obj):
    """Defaults that merging, controllers or readers go by; the real server sets many more."""
    spec = obj.get("spec")
    if kind.name == "Deployment":
        spec.setdefault("replicas", 1)
        spec.setdefault("strategy", {}).setdefault("type", "RollingUpdate")
    if kind.name in ("Deployment", "DaemonSet", "Job"):
        default_pod(spec["template"].setdefault("spec", {}))
    if kind.name == "Pod":
        default_pod(spec)
    if kind.name == "Service":
        spec.setdefault("type", "ClusterIP")
        for port in spec.get("ports") or []:
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
    if kind.name == "Secret":
        import base64
        for key, value in (obj.pop("stringData", None) or {}).items():
            obj.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
        obj.setdefault("type", "Opaque")
    if kind.name == "Namespace":
        obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        obj.setdefault("status", {"phase": "Active"})
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


def default_pod(spec):
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    for container in (spec.get("initContainers") or []) + (spec.get("containers") or []):
        image = container.get("image", "")
        tag = image.rpartition("/")[2].partition(":")[2]
        container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") and "@" not in image else "IfNotPresent")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
            if spec.get("hostNetwork"):
                port.setdefault("hostPort", port["containerPort"])
