//! The manifests: the schemas of Kubernetes take them, what they name is there, and the server takes
//! the configuration in them. There is no cluster here.

use std::{fs, process::Command};

use serde_json::Value;
use warder_testkit::{Failure, Parts, Result, Warder, temp_dir};

use super::{certificate, content, curl, deploy};

/// Prints the documents of a YAML file as a JSON list.
const JSON: &str = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

fn documents() -> Result<Vec<Value>> {
    let mut python = Command::new(Parts::find().checker("python")?);
    let text = content(python.args(["-c", JSON]).arg(deploy("kubernetes/warder.yaml")), "make parts")?;
    Ok(serde_json::from_str(&text)?)
}

fn of_kind(kind: &str) -> Result<Value> {
    let found = documents()?.into_iter().find(|document| document["kind"] == kind);
    found.ok_or_else(|| Failure::from(format!("there is no {kind}")))
}

fn list<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn the_schemas_of_kubernetes_take_every_document() -> Result {
    let mut validate = Command::new(Parts::find().checker("kubernetes-validate")?);
    let told = content(validate.arg("--strict").arg(deploy("kubernetes/warder.yaml")), "make parts")?;
    assert!(documents()?.len() >= 8, "{told}");
    Ok(())
}

#[test]
fn a_pod_may_do_nothing_but_serve() -> Result {
    let set = of_kind("StatefulSet")?;
    let pod = set.pointer("/spec/template/spec").cloned().unwrap_or_default();
    for (pointer, value) in [
        ("/automountServiceAccountToken", Value::from(false)),
        ("/securityContext/runAsNonRoot", true.into()),
        ("/securityContext/runAsUser", 65532.into()),
        ("/securityContext/seccompProfile/type", "RuntimeDefault".into()),
        ("/containers/0/securityContext/allowPrivilegeEscalation", false.into()),
        ("/containers/0/securityContext/readOnlyRootFilesystem", true.into()),
        ("/containers/0/securityContext/capabilities/drop/0", "ALL".into()),
    ] {
        assert_eq!(pod.pointer(pointer), Some(&value), "{pointer}");
    }
    let policy = of_kind("NetworkPolicy")?;
    assert_eq!(policy.pointer("/spec/egress"), Some(&Value::Array(Vec::new())));
    Ok(())
}

#[test]
fn what_the_manifests_name_is_there() -> Result {
    let set = of_kind("StatefulSet")?;
    let container = set.pointer("/spec/template/spec/containers/0").cloned().unwrap_or_default();
    let volumes = list(&set, "/spec/template/spec/volumes").map(|volume| text(volume, "/name"));
    let claims = list(&set, "/spec/volumeClaimTemplates").map(|claim| text(claim, "/metadata/name"));
    let volumes: Vec<&str> = volumes.chain(claims).collect();
    for mount in list(&container, "/volumeMounts") {
        assert!(volumes.contains(&text(mount, "/name")), "no volume for {mount}");
    }
    let ports: Vec<&str> = list(&container, "/ports").map(|port| text(port, "/name")).collect();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert!(ports.contains(&text(&container, &format!("/{probe}/httpGet/port"))), "{probe}");
    }
    let labels = set.pointer("/spec/template/metadata/labels");
    for document in documents()? {
        let selector = match document["kind"].as_str() {
            Some("Service") => document.pointer("/spec/selector"),
            Some("StatefulSet" | "PodDisruptionBudget") => document.pointer("/spec/selector/matchLabels"),
            Some("NetworkPolicy") => document.pointer("/spec/podSelector/matchLabels"),
            _ => continue,
        };
        assert_eq!(selector, labels, "{document}");
        for port in list(&document, "/spec/ports") {
            assert!(ports.contains(&text(port, "/targetPort")), "{document}");
        }
    }
    Ok(())
}

#[test]
fn the_configuration_in_the_manifests_starts_a_server_that_the_probes_understand() -> Result {
    let directory = temp_dir()?;
    let here = |name: &str| directory.path().join(name);
    let set = of_kind("StatefulSet")?;
    let mounts = set.pointer("/spec/template/spec/containers/0").cloned().unwrap_or_default();
    let mut config = text(&of_kind("ConfigMap")?, "/data/warder.toml").to_owned();
    for (volume, name) in [("tls", "tls"), ("data", "data")] {
        fs::create_dir(here(name))?;
        let mount = list(&mounts, "/volumeMounts").find(|mount| mount["name"] == volume).cloned().unwrap_or_default();
        let path = text(&mount, "/mountPath").to_owned();
        assert!(config.contains(&path), "nothing lies on {path}");
        config = config.replace(&path, &here(name).display().to_string());
    }
    assert!(config.contains("0.0.0.0:8200"));
    fs::write(here("warder.toml"), config.replace("0.0.0.0:8200", "127.0.0.1:0"))?;
    let [certificate, key] = certificate("127.0.0.1")?;
    fs::write(here("tls/tls.crt"), certificate)?;
    fs::write(here("tls/tls.key"), key)?;

    let warder = Warder::serve(&here("warder.toml")).start()?;
    let url = |probe: &str| {
        let path = set.pointer(&format!("/spec/template/spec/containers/0/{probe}/httpGet/path"));
        format!("https://{}{}", warder.address(), path.and_then(Value::as_str).unwrap_or_default())
    };
    let ca = here("tls/tls.crt");
    assert_eq!(curl(&ca, &[&url("livenessProbe")])?.0, 200);
    assert_eq!(curl(&ca, &[&url("startupProbe")])?.0, 200);
    assert_eq!(curl(&ca, &[&url("readinessProbe")])?.0, 501, "not before it is unsealed");
    let init = format!("https://{}/api/v1/sys/init", warder.address());
    let body = r#"{"shares":1,"threshold":1}"#;
    assert_eq!(curl(&ca, &["-H", "Content-Type: application/json", "-d", body, &init])?.0, 200);
    assert_eq!(curl(&ca, &[&url("readinessProbe")])?.0, 200);
    Ok(())
}
