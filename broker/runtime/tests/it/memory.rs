//! The key claim: no byte of a secret enters the plugin's linear memory. The plugin itself reads
//! every byte of its memory after each host call of a key-value route, and counts.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use warder_core::{
    port::backend::{PluginAnswer, PluginReply},
    secret::Secret,
};

use warder_runtime::RuntimeConfig;

use crate::sandbox::{Sandbox, call, config};

/// Occurs nowhere in the plugin's own constants.
const SECRET: &str = "swordfish-7Qx";
const DOCUMENT: &str = r#"{"password":"swordfish-7Qx"}"#;
/// So that the plugin can look for what it does not hold.
const MASK: u8 = 0x5a;

/// The secret as it is, its first eight bytes, in hex, and in base64 at all three alignments.
fn needles() -> String {
    let inner = |pad: &str| {
        let text = STANDARD_NO_PAD.encode(format!("{pad}{SECRET}"));
        let skip = (pad.len() * 4).div_ceil(3);
        text[skip..text.len() - 1].to_owned()
    };
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let plain = [SECRET.to_owned(), SECRET[..8].to_owned(), hex, inner(""), inner("x"), inner("xx")];
    let masked = |text: &String| text.bytes().map(|byte| format!("{:02x}", byte ^ MASK)).collect::<String>();
    plain.iter().map(masked).collect::<Vec<_>>().join(",")
}

fn document(reply: PluginReply) -> (String, Vec<u8>) {
    let PluginAnswer::Document { data, secrets } = reply.answer else { panic!("a document") };
    (data, secrets[0].1.bytes.expose().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_secret_is_ever_in_guest_memory() {
    let sandbox = Sandbox::with(RuntimeConfig { cpu: Duration::from_secs(30), ..config() }).await;
    let (data, secret) = scanned(&sandbox, "scan").await;
    assert_eq!(data, r#"{"data":null,"hits":[0, 0, 0, 0, 0, 0, 0, 0]}"#);
    assert_eq!(secret, DOCUMENT.as_bytes(), "the secret went through all the same");
    let (data, _) = scanned(&sandbox, "scan-control").await;
    assert!(!data.contains("\"hits\":[0]"), "the control found nothing: {data}");
}

async fn scanned(sandbox: &Sandbox, what: &str) -> (String, Vec<u8>) {
    let mut call = call(&format!("do/{what}/{}", needles()));
    call.secrets[0].1.bytes = Secret::from(DOCUMENT);
    let ran = sandbox.plugin.handle(sandbox.invocation(), call).await;
    document(ran.result.expect("the scan ends"))
}
