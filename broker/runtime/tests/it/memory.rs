//! The key claim: no byte of a secret enters the plugin's linear memory. The plugin itself reads
//! every byte of its memory after each host call of a key-value route, and counts.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use warder_core::port::backend::{PluginAnswer, PluginReply};

use crate::sandbox::{DOC, Sandbox};

const SECRET: &str = "hunter2-AAAA";
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
    let mut config = crate::sandbox::config();
    config.cpu = std::time::Duration::from_secs(30);
    let sandbox = Sandbox::with(config).await;
    let reply = sandbox.run(&format!("do/scan/{}", needles())).await.result.expect("the scan ends");
    let (data, secret) = document(reply);
    assert_eq!(data, r#"{"data":null,"hits":[0, 0, 0, 0, 0, 0, 0, 0]}"#);
    assert_eq!(secret, DOC.as_bytes(), "the secret went through all the same");
    let control = sandbox.run(&format!("do/scan-control/{}", needles())).await.result.expect("the scan ends");
    let (data, _) = document(control);
    assert!(!data.contains("\"hits\":[0]"), "the control found nothing: {data}");
}
