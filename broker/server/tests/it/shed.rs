//! Many more clients than are borne at once: each gets an answer, operators get in, and what is
//! refused is refused before any work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::json;

use crate::{
    raw::{self, Answer},
    running::Running,
};

const CLIENTS: usize = 96;
const EACH: usize = 12;

fn ask(warder: &Running, method: &str, target: &str, token: &str, body: &str) -> Answer {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Type: application/json\r\n\
         X-Vault-Token: {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw::send(warder.address, request.as_bytes())
}

/// A server with these lines of configuration, initialized; and its root token.
fn serve(folder: &std::path::Path, lines: &str) -> (Running, String) {
    let file = folder.join("warder.toml");
    let config = format!(
        "listener.address = \"127.0.0.1:0\"\nlistener.tls_disable = true\nstorage.type = \"redb\"\n\
         storage.path = \"{0}/store\"\naudit.main = {{ type = \"file\", path = \"{0}/audit.log\" }}\n{lines}\n",
        folder.display()
    );
    std::fs::write(&file, config).unwrap();
    let warder = Running::configured(std::process::Stdio::inherit(), &file, &[]);
    let made = ask(&warder, "POST", "/api/v1/sys/init", "", r#"{"shares":1,"threshold":1}"#).json();
    let token = made["root_token"].as_str().unwrap().to_owned();
    (warder, token)
}

#[test]
fn a_crowd_is_answered_one_and_all_and_operators_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let (warder, token) = serve(folder.path(), "limits.requests = 3");
    let (warder, served, shed) = (Arc::new(warder), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (warder, token, served, shed) = (warder.clone(), token.clone(), served.clone(), shed.clone());
            thread::spawn(move || {
                for at in 0..EACH {
                    let target = format!("/api/v1/secrets/crowd/{client}/{at}");
                    let answer = ask(&warder, "PUT", &target, &token, r#"{"a":1}"#);
                    match answer.status {
                        201 => _ = served.fetch_add(1, Ordering::SeqCst),
                        503 => {
                            assert_eq!(answer.json()["code"], "overloaded", "{}", answer.head);
                            assert!(answer.head.contains("\r\nretry-after: 1"), "{}", answer.head);
                            shed.fetch_add(1, Ordering::SeqCst);
                        }
                        status => panic!("{status}: {}", answer.json()),
                    }
                }
            })
        })
        .collect();
    let mut operators = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        assert_eq!(ask(&warder, "GET", "/health", "", "").status, 200);
        assert_eq!(ask(&warder, "GET", "/v1/sys/mounts", &token, "").status, 200);
        operators += 1;
    }
    for client in clients {
        client.join().unwrap();
    }
    let (served, shed) = (served.load(Ordering::SeqCst), shed.load(Ordering::SeqCst));
    assert_eq!(served + shed, (CLIENTS * EACH) as u64);
    assert!(operators > 0 && shed > 0 && served >= EACH as u64, "{operators} {shed} {served}");
    let listed = ask(&warder, "GET", "/v1/sys/mounts", &token, "");
    assert_eq!(listed.status, 200, "nothing is left behind");
    let written = ask(&warder, "PUT", "/api/v1/secrets/after", &token, r#"{"a":1}"#);
    assert_eq!(written.status, 201);
    let metrics = String::from_utf8(ask(&warder, "GET", "/metrics", "", "").body).unwrap();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|text| text.parse::<f64>().ok()).unwrap_or_else(|| panic!("no {name} in {metrics}"))
    };
    assert_eq!(value("warder_load_shed_total"), shed as f64);
    assert_eq!(value("warder_load_requests"), 0.0);
    assert!(value("process_resident_memory_bytes") < 1e9);
}

#[test]
fn bad_tokens_are_throttled_and_one_that_was_good_gets_in_from_the_same_address() {
    let folder = tempfile::tempdir().unwrap();
    let (warder, token) = serve(folder.path(), "limits.failures = 20");
    assert_eq!(ask(&warder, "GET", "/v1/auth/token/lookup-self", &token, "").status, 200, "remembered from here on");
    let (mut unknown, mut throttled) = (0, 0);
    // Ten a second are forgotten again: it may take more than twenty.
    for n in 0..10_000 {
        if throttled == 10 {
            break;
        }
        let answer = ask(&warder, "GET", "/v1/secret/data/a", &format!("hvs.unknown{n}"), "");
        match answer.status {
            403 => unknown += 1,
            429 => {
                throttled += 1;
                let wait = answer.head.lines().find_map(|line| line.strip_prefix("retry-after: "));
                assert!(wait.unwrap().parse::<u64>().unwrap() >= 1, "{}", answer.head);
            }
            status => panic!("{status}: {}", answer.json()),
        }
    }
    assert!(unknown >= 20 && throttled == 10, "{unknown} {throttled}");
    assert_eq!(ask(&warder, "GET", "/v1/auth/token/lookup-self", &token, "").status, 200);
    let metrics = String::from_utf8(ask(&warder, "GET", "/metrics", "", "").body).unwrap();
    assert!(metrics.contains(&format!("warder_login_throttled_total {throttled}\n")), "{metrics}");
    let records = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert_eq!(records.matches("rate_limited").count(), throttled, "each is recorded");
}

#[test]
fn a_limit_that_grpc_meets_says_when_to_come_again() {
    use tonic_types::StatusExt as _;
    use warder_proto::v1::{SecretsServiceGetRequest, secrets_service_client::SecretsServiceClient};
    let warder = Running::dev(&["--root-token", "root"]);
    let limit = json!({"rate": 1, "interval": "1h", "path": "secret/", "group_by": "token_then_ip"}).to_string();
    assert_eq!(ask(&warder, "PUT", "/api/v1/limits/one", "root", &limit).status, 204);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let endpoint = tonic::transport::Channel::from_shared(format!("http://{}", warder.address)).unwrap();
        let mut client = SecretsServiceClient::new(endpoint.connect().await.unwrap());
        let mut told = Vec::new();
        for _ in 0..2 {
            let message = SecretsServiceGetRequest { path: "a".to_owned(), ..Default::default() };
            let mut request = tonic::Request::new(message);
            request.metadata_mut().insert("authorization", "Bearer root".parse().unwrap());
            told.push(client.get(request).await.unwrap_err());
        }
        told
    });
    assert_eq!(told[0].code(), tonic::Code::NotFound);
    assert_eq!(told[1].code(), tonic::Code::ResourceExhausted);
    let details = told[1].get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "rate_limited");
    let wait = details.retry_info().unwrap().retry_delay.unwrap().as_secs();
    assert!((3500..=3600).contains(&wait), "{wait}");
}
