//! Deeds whose dependencies the host must see.

use crate::{
    Deed, Reply,
    bind::warder::plugin::{
        caller, clock,
        sealed::{self, Charset},
        store,
        types::ErrorKind,
    },
    error, told,
};

pub(crate) fn act(deed: &Deed) -> Option<Reply> {
    Some(match deed.what.as_str() {
        "now" => told([clock::now().to_string(), clock::now().to_string()]),
        "reached" => told([reached(&deed.arg)]),
        "caller" => told([caller::display_name(), caller::remote_address()]),
        "generate" => sealed::generate(32, &Charset::Hex).and_then(|value| told([value.len().to_string()])),
        "read" => store::get(&deed.arg).and_then(|found| told([found.is_some().to_string()])),
        "refuse" => Err(refusal(&deed.arg)),
        _ => return None,
    })
}

/// `1000,2000`: asks for both.
fn reached(moments: &str) -> String {
    let ask = |moment: &str| clock::reached(moment.parse().unwrap_or_default()).to_string();
    moments.split(',').map(ask).collect::<Vec<_>>().join(",")
}

fn refusal(kind: &str) -> crate::Error {
    let kind = match kind {
        "precondition" => ErrorKind::Precondition,
        "throttled" => ErrorKind::Throttled,
        "integrity" => ErrorKind::Integrity,
        _ => ErrorKind::Other("strange".into()),
    };
    let mut refusal = error(kind, "as asked");
    refusal.retry_after_ms = Some(2500);
    refusal
}
