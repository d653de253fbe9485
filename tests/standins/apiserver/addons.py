"""What k3s deploys by itself into kube-system, as far as it shows: names, images, where it may run."""
import copy

import yaml

import merge

IMAGES = {
    "coredns": "rancher/mirrored-coredns-coredns:1.13.1",
    "local-storage": "rancher/local-path-provisioner:v0.0.32",
    "metrics-server": "rancher/mirrored-metrics-server:v0.8.0",
    "helm": "rancher/klipper-helm:v0.9.10-build20251111",
    "traefik": "rancher/mirrored-library-traefik:3.5.1",
    "servicelb": "rancher/klipper-lb:v0.4.13",
}
BALANCES = "svccontroller.k3s.cattle.io/enablelb"
NAMES = {"coredns": "coredns", "local-storage": "local-path-provisioner", "metrics-server": "metrics-server"}
# Files below k3s's manifests, where they are not called as what they are disabled by.
FILES = {"metrics-server": "metrics-server-deployment"}


def template(name, image, **more):
    return {"metadata": {"labels": {"k8s-app": name}}, "spec": {
        "containers": [{"name": name, "image": image, "imagePullPolicy": "IfNotPresent"}], **more}}


def workload(name, image, **more):
    return {"metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": name}},
            "spec": {"selector": {"matchLabels": {"k8s-app": name}}, "template": template(name, image, **more)}}


def crd(group, kind, plural, fields):
    properties = {"type": "object", "properties": fields} if fields else {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": properties, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": {
        "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}}


TEXT = {"type": "string"}


def deploy(cluster, disabled, start=False):
    """Makes what is not there; called on every tick, so that what depends on something waits for it. At its start k3s
    applies its manifests anew: fields that they have are put back, others stay."""
    chart = {"valuesContent": TEXT, "failurePolicy": TEXT}
    cluster.ensure("CustomResourceDefinition", crd("helm.cattle.io", "HelmChart", "helmcharts", {"chart": TEXT, "bootstrap": {"type": "boolean"}}))
    cluster.ensure("CustomResourceDefinition", crd("helm.cattle.io", "HelmChartConfig", "helmchartconfigs", chart))
    cluster.ensure("CustomResourceDefinition", crd("k3s.cattle.io", "Addon", "addons", None))
    if start:
        remove(cluster, disabled)
    for addon, name in NAMES.items():
        if addon not in disabled:
            made = workload(name, IMAGES[addon])
            if addon == "metrics-server":
                made["spec"]["template"]["spec"]["containers"][0]["args"] = ["--secure-port=10250", "--kubelet-use-node-status-port"]
            made["metadata"]["labels"]["objectset.rio.cattle.io/hash"] = "3fe5d2"
            made["metadata"]["annotations"] = {"objectset.rio.cattle.io/owner-name": FILES.get(addon, addon)}
            cluster.ensure("Deployment", made)
            if start:
                kind = cluster.store.named("Deployment")
                cluster.store.put(kind, merge.strategic(cluster.store.get(kind, "kube-system", name), made))
    if "coredns" not in disabled:
        cluster.ensure("Service", {"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {
            "clusterIP": cluster.settings.dns, "selector": {"k8s-app": "coredns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}})
    kubernetes = {"clusterIP": cluster.settings.service_ip, "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}
    cluster.ensure("Service", {"metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}}, "spec": kubernetes})
    if "traefik" not in disabled:
        traefik(cluster, disabled, start)


def remove(cluster, disabled):
    """What a k3s that ran with more add-ons has left."""
    store = cluster.store
    gone = [("Deployment", NAMES[addon]) for addon in disabled if addon in NAMES]
    if "traefik" in disabled:
        gone += [("HelmChart", "traefik"), ("HelmChart", "traefik-crd"), ("Job", "helm-install-traefik"), ("Deployment", "traefik")]
    if disabled & {"traefik", "servicelb"}:
        gone.append(("DaemonSet", "svclb-traefik-5f1ae8d0"))
    for kind, name in gone:
        kind = next((one for one in store.kinds() if one.name == kind), None)
        held = kind and store.get(kind, "kube-system", name)
        if held:
            cluster.api.remove(kind, held)


def traefik(cluster, disabled, start):
    store = cluster.store
    if not any(kind.name == "HelmChart" for kind in store.kinds()):
        return  # on the next tick
    for name in "traefik", "traefik-crd":
        made = {"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart", "metadata": {
            "name": name, "namespace": "kube-system", "labels": {"objectset.rio.cattle.io/hash": "9f1a7b"},
            "annotations": {"objectset.rio.cattle.io/owner-name": "traefik"}}, "spec": {"chart": name}}
        cluster.ensure("HelmChart", made)
        if start:
            kind = store.named("HelmChart")
            store.put(kind, merge.strategic(store.get(kind, "kube-system", name), made))
    chart = store.get(store.named("HelmChart"), "kube-system", "traefik")
    where = {"nodeSelector": {"node-role.kubernetes.io/control-plane": "true"}, "hostNetwork": True} if chart["spec"].get("bootstrap") else {}
    job = {"metadata": {"name": "helm-install-traefik", "namespace": "kube-system"},
           "spec": {"template": template("helm-install-traefik", IMAGES["helm"], restartPolicy="OnFailure", **where)}}
    held = store.get(store.named("Job"), "kube-system", "helm-install-traefik")
    if held and held["spec"]["template"]["spec"].get("nodeSelector") != where.get("nodeSelector"):
        cluster.api.remove(store.named("Job"), held)  # another one does it again
    cluster.ensure("Job", job)
    held = store.get(store.named("Job"), "kube-system", "helm-install-traefik")
    if not (held.get("status") or {}).get("succeeded"):
        return
    cluster.ensure("Deployment", workload("traefik", IMAGES["traefik"]))
    configure(cluster)
    if "servicelb" not in disabled:
        # once one node has the label, only nodes that have it get the pods
        labelled = any(BALANCES in (node["metadata"].get("labels") or {}) for node in store.list(store.named("Node")))
        selector = {"nodeSelector": {BALANCES: "true"}} if labelled else {}
        cluster.ensure("DaemonSet", copy.deepcopy(workload("svclb-traefik-5f1ae8d0", IMAGES["servicelb"], **selector)))


def configure(cluster):
    """Values of a HelmChartConfig reach the chart's pods: affinity is the one that is known here."""
    store = cluster.store
    config = store.get(store.named("HelmChartConfig"), "kube-system", "traefik")
    values = yaml.safe_load(((config or {}).get("spec") or {}).get("valuesContent") or "{}")
    held = store.get(store.named("Deployment"), "kube-system", "traefik")
    if values.get("affinity") and held["spec"]["template"]["spec"].get("affinity") != values["affinity"]:
        new = copy.deepcopy(held)
        new["spec"]["template"]["spec"]["affinity"] = values["affinity"]
        store.put(store.named("Deployment"), new)
