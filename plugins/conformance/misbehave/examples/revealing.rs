//! Imports `reveal`, which is granted to nobody.

mod bind {
    #![allow(missing_docs, unsafe_code, clippy::all, reason = "generated code")]
    wit_bindgen::generate!({
        path: "../../../sdk-wit/wit",
        world: "warder:plugin/revealing-backend-plugin",
        generate_all,
        pub_export_macro: true,
    });
}

use bind::{
    exports::warder::plugin::backend::{Description, Guest, Lease, MountKind, Request, Response, Target},
    warder::plugin::types::{Error, ErrorKind},
};

struct Plugin;

fn refused() -> Error {
    Error { kind: ErrorKind::Unsupported, detail: String::new(), code: None, retry_after_ms: None, not_applied: None }
}

impl Guest for Plugin {
    fn describe() -> Description {
        Description {
            name: "revealing".into(),
            version: "0.1.0".into(),
            kind: MountKind::Secrets,
            doc: "Reveals".to_owned(),
            routes: Vec::new(),
            secret_routes: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn exists(_: Target) -> Result<bool, Error> {
        Err(refused())
    }

    fn handle(request: Request) -> Result<Response, Error> {
        {
            let shown: usize =
                request.secrets.iter().map(|(_, value)| bind::warder::plugin::reveal::reveal(value).len()).sum();
            Err(Error { detail: shown.to_string(), ..refused() })
        }
    }

    fn renew(_: Lease) -> Result<u32, Error> {
        Err(refused())
    }

    fn revoke(_: Lease) -> Result<(), Error> {
        Err(refused())
    }

    fn run_task(_: String, _: u64) -> Result<(), Error> {
        Err(refused())
    }
}

bind::export!(Plugin with_types_in bind);
