//! The contract, generated.

#![allow(missing_docs, unsafe_code, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../../../sdk-wit/wit",
    world: "warder:plugin/backend-plugin",
    pub_export_macro: true,
    generate_all,
});
