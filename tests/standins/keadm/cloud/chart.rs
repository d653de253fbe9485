//! The objects of KubeEdge's chart (v1.22.0), as far as they have to do with what runs where, under which names.

use serde_json::{Value, json};

use crate::shared::yaml::Yaml;

/// Group, kind, plural, version.
const CRDS: [(&str, &str, &str, &str); 12] = [
    ("apps.kubeedge.io", "EdgeApplication", "edgeapplications", "v1alpha1"),
    ("apps.kubeedge.io", "NodeGroup", "nodegroups", "v1alpha1"),
    ("devices.kubeedge.io", "Device", "devices", "v1beta1"),
    ("devices.kubeedge.io", "DeviceModel", "devicemodels", "v1beta1"),
    ("operations.kubeedge.io", "NodeUpgradeJob", "nodeupgradejobs", "v1alpha2"),
    ("operations.kubeedge.io", "ImagePrePullJob", "imageprepulljobs", "v1alpha2"),
    ("operations.kubeedge.io", "ConfigUpdateJob", "configupdatejobs", "v1alpha2"),
    ("policy.kubeedge.io", "ServiceAccountAccess", "serviceaccountaccesses", "v1alpha1"),
    ("reliablesyncs.kubeedge.io", "ObjectSync", "objectsyncs", "v1alpha1"),
    ("reliablesyncs.kubeedge.io", "ClusterObjectSync", "clusterobjectsyncs", "v1alpha1"),
    ("rules.kubeedge.io", "Rule", "rules", "v1"),
    ("rules.kubeedge.io", "RuleEndpoint", "ruleendpoints", "v1"),
];

/// Everything that these values call for, in the order in which helm makes it.
pub(crate) fn objects(values: &Value) -> Vec<Value> {
    let (core, iptables, manager) = (&values["cloudCore"], &values["iptablesManager"], &values["controllerManager"]);
    let mut all: Vec<Value> = CRDS.iter().map(definition).collect();
    let mut own = vec![
        account("cloudcore", core),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloudcore"},
               "stringData": {"streamCA.crt": "stand-in", "stream.crt": "stand-in", "stream.key": "stand-in"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cloudcore"},
               "data": {"cloudcore.yaml": configuration(values)}}),
        role("cloudcore-common"),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "cloudcore"},
               "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"rbac/aggregate-to-cloudcore": "true"}}]},
               "rules": []}),
        binding("cloudcore", "cloudcore"),
        service(core),
        cloudcore(core),
    ];
    if iptables["enable"] == true && iptables["mode"] == "external" {
        own.extend([account("iptables-manager-sa", iptables), role("iptables-manager")]);
        own.extend([binding("iptables-manager", "iptables-manager-sa"), firewall(iptables)]);
    }
    if manager["enable"] == true {
        own.extend([account("controller-manager", manager), role("controller-manager")]);
        own.extend([binding("controller-manager", "controller-manager"), controllers(manager)]);
    }
    if values["mosquitto"]["enable"] == true {
        own.push(mosquitto(&values["mosquitto"]));
    }
    own.iter_mut().for_each(owned);
    all.extend(own);
    all
}

/// helm's marks, and the namespace where there is one.
fn owned(object: &mut Value) {
    let cluster_wide = object["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole"));
    let meta = &mut object["metadata"];
    if !cluster_wide {
        meta["namespace"] = "kubeedge".into();
    }
    meta["labels"]["app.kubernetes.io/managed-by"] = "Helm".into();
    meta["annotations"]["meta.helm.sh/release-name"] = "cloudcore".into();
    meta["annotations"]["meta.helm.sh/release-namespace"] = "kubeedge".into();
}

fn definition((group, kind, plural, version): &(&str, &str, &str, &str)) -> Value {
    let scope = if matches!(
        *kind,
        "NodeGroup" | "NodeUpgradeJob" | "ImagePrePullJob" | "ConfigUpdateJob" | "ClusterObjectSync"
    ) {
        "Cluster"
    } else {
        "Namespaced"
    };
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.to_ascii_lowercase()},
            "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": any}}]}})
}

fn account(name: &str, part: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "labels": part["labels"]}})
}

fn role(name: &str) -> Value {
    let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["get", "list", "watch", "update"]}]});
    if name == "cloudcore-common" {
        role["metadata"]["labels"] = json!({"rbac/aggregate-to-cloudcore": "true"});
    }
    role
}

fn binding(name: &str, account: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kubeedge"}]})
}

fn service(core: &Value) -> Value {
    let ports = [
        ("cloudhub", 10000),
        ("cloudhub-quic", 10001),
        ("cloudhub-https", 10002),
        ("cloudstream", 10003),
        ("tunnelport", 10004),
    ];
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port)| json!({"name": name, "port": port, "targetPort": port, "protocol": if *port == 10001 { "UDP" } else { "TCP" }}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cloudcore", "labels": core["labels"]},
        "spec": {"type": "ClusterIP", "ports": ports, "selector": core["labels"]}})
}

fn image(part: &Value) -> String {
    format!(
        "{}:{}",
        part["image"]["repository"].as_str().unwrap_or_default(),
        part["image"]["tag"].as_str().unwrap_or_default()
    )
}

fn workload(kind: &str, name: &str, part: &Value, spec: Value) -> Value {
    let mut spec = spec;
    for key in ["affinity", "tolerations", "nodeSelector"] {
        if part[key].as_object().is_some_and(|map| !map.is_empty())
            || part[key].as_array().is_some_and(|list| !list.is_empty())
        {
            spec[key] = part[key].clone();
        }
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": part["labels"]},
        "spec": {"selector": {"matchLabels": part["labels"]}, "template": {"metadata": {"labels": part["labels"]}, "spec": spec}}})
}

fn container(name: &str, image: &str, part: &Value) -> Value {
    json!({"name": name, "image": image, "imagePullPolicy": part["image"]["pullPolicy"], "resources": part["resources"]})
}

fn cloudcore(core: &Value) -> Value {
    let mut container = container("cloudcore", &image(core), core);
    container["securityContext"] = core["securityContext"].clone();
    container["ports"] =
        [10000, 10001, 10002, 10003, 10004].iter().map(|port| json!({"containerPort": port})).collect();
    container["volumeMounts"] = json!([
        {"name": "conf", "mountPath": "/etc/kubeedge/config"}, {"name": "certs", "mountPath": "/etc/kubeedge"},
        {"name": "sock", "mountPath": "/var/lib/kubeedge"},
        {"name": "host-time", "mountPath": "/etc/localtime", "readOnly": true}]);
    let mut made = workload(
        "Deployment",
        "cloudcore",
        core,
        json!({
        "hostNetwork": core["hostNetWork"], "dnsPolicy": "ClusterFirstWithHostNet", "restartPolicy": "Always",
        "serviceAccount": "cloudcore", "containers": [container],
        "volumes": [{"name": "conf", "configMap": {"name": "cloudcore"}}, {"name": "certs", "secret": {"secretName": "cloudcore"}},
            {"name": "sock", "hostPath": {"path": "/var/lib/kubeedge", "type": "DirectoryOrCreate"}},
            {"name": "host-time", "hostPath": {"path": "/etc/localtime", "type": ""}}]}),
    );
    made["spec"]["replicas"] = core["replicaCount"].clone();
    if core["strategy"].as_object().is_some_and(|map| !map.is_empty()) {
        made["spec"]["strategy"] = core["strategy"].clone();
        if core["strategy"]["type"] == "Recreate" {
            made["spec"]["strategy"]["rollingUpdate"] = Value::Null;
        }
    }
    made
}

fn firewall(part: &Value) -> Value {
    let mut name = image(part);
    if part["framework"] == "nft" {
        name = format!(
            "{}:{}",
            part["image"]["nftRepository"].as_str().unwrap_or_default(),
            part["image"]["tag"].as_str().unwrap_or_default()
        );
    }
    let mut container = container("iptables-manager", &name, part);
    container["command"] = json!(["iptables-manager"]);
    container["securityContext"] = part["securityContext"].clone();
    workload(
        "DaemonSet",
        "cloud-iptables-manager",
        part,
        json!({
        "serviceAccount": "iptables-manager-sa", "hostNetwork": part["hostNetWork"], "restartPolicy": "Always", "containers": [container]}),
    )
}

fn controllers(part: &Value) -> Value {
    let container = container("controller-manager", &image(part), part);
    workload(
        "Deployment",
        "kubeedge-controller-manager",
        part,
        json!({
        "serviceAccountName": "controller-manager", "restartPolicy": "Always", "containers": [container]}),
    )
}

fn mosquitto(part: &Value) -> Value {
    let mut container = container("edge-eclipse-mosquitto", &image(part), part);
    container["volumeMounts"] = json!([{"name": "mqtt-data-path", "mountPath": "/mosquitto/data"}]);
    workload(
        "DaemonSet",
        "edge-eclipse-mosquitto",
        part,
        json!({
        "hostNetwork": true, "restartPolicy": "Always", "containers": [container],
        "volumes": [{"name": "mqtt-data-path", "hostPath": {"path": "/var/lib/kubeedge/mqtt/data"}}]}),
    )
}

/// cloudcore.yaml as the chart writes it; CloudCore fills in the rest.
fn configuration(values: &Value) -> String {
    let (core, iptables) = (&values["cloudCore"], &values["iptablesManager"]);
    let (modules, number) =
        (&core["modules"], |value: &Value| match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => Value::from(number),
            None => value.clone(),
        });
    let hub = &modules["cloudHub"];
    let made = json!({
        "apiVersion": "cloudcore.config.kubeedge.io/v1alpha2", "kind": "CloudCore",
        "featureGates": core["featureGates"],
        "kubeAPIConfig": {"kubeConfig": "", "master": ""},
        "modules": {
            "cloudHub": {
                "advertiseAddress": hub["advertiseAddress"], "dnsNames": hub["dnsNames"], "nodeLimit": number(&hub["nodeLimit"]),
                "tlsCAFile": "/etc/kubeedge/ca/rootCA.crt", "tlsCertFile": "/etc/kubeedge/certs/edge.crt",
                "tlsPrivateKeyFile": "/etc/kubeedge/certs/edge.key",
                "unixsocket": {"address": "unix:///var/lib/kubeedge/kubeedge.sock", "enable": true},
                "websocket": {"address": "0.0.0.0", "enable": hub["websocket"]["enable"], "port": hub["websocket"]["port"]},
                "https": {"address": "0.0.0.0", "enable": hub["https"]["enable"], "port": 10002}},
            "cloudStream": {"enable": modules["cloudStream"]["enable"], "streamPort": 10003, "tunnelPort": 10004},
            "dynamicController": {"enable": modules["dynamicController"]["enable"]},
            "router": {"enable": modules["router"]["enable"]},
            "iptablesManager": {"enable": iptables["enable"], "mode": iptables["mode"]},
            "taskManager": {"enable": modules["taskManager"]["enable"]}}});
    to_yaml(&made).render()
}

fn to_yaml(value: &Value) -> Yaml {
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Number(number) => number.as_i64().map_or(Yaml::Null, Yaml::Int),
        Value::String(text) => Yaml::Str(text.clone()),
        Value::Array(items) => Yaml::List(items.iter().map(to_yaml).collect()),
        Value::Object(map) => Yaml::Map(map.iter().map(|(key, value)| (key.clone(), to_yaml(value))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keadm::cloud::values;

    #[test]
    fn values_decide_what_is_made() {
        let names = |sets: &[&str]| -> Vec<String> {
            let mut all = values::defaults();
            sets.iter().for_each(|one| values::set(&mut all, one).unwrap());
            let workloads = objects(&all).into_iter().filter(|object| object["apiVersion"] == "apps/v1");
            workloads.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&[]), ["cloudcore", "cloud-iptables-manager", "edge-eclipse-mosquitto"]);
        let sets = ["mosquitto.enable=false,controllerManager.enable=true", "iptablesManager.mode=internal"];
        assert_eq!(names(&sets), ["cloudcore", "kubeedge-controller-manager"]);
    }
}
