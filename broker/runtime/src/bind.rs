//! The contract's world as Rust types and traits, generated from `sdk-wit/wit`.
//!
//! Only this crate sees them; ports speak core's plain types. Every import may trap, and the
//! exports run on wasmtime's own stacks so that a call can be parked and dropped.

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../sdk-wit/wit",
    world: "warder:plugin/backend-plugin",
    imports: {
        "warder:plugin/clock": trappable,
        "warder:plugin/sealed": trappable,
        "warder:plugin/caller": trappable,
        "warder:plugin/telemetry": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    with: {
        "warder:plugin/sealed.value": crate::capability::sealed::Value,
        "warder:plugin/keys.key": crate::capability::keys::Key,
        "warder:plugin/http.request": crate::capability::absent::Absent,
        "warder:plugin/http.response": crate::capability::absent::Absent,
        "warder:plugin/sql.connection": crate::capability::absent::Absent,
        "warder:plugin/tcp.channel": crate::capability::absent::Absent,
        "warder:plugin/journal.effect": crate::capability::absent::Absent,
    },
    trappable_error_type: { "warder:plugin/types.error" => crate::fault::Fault },
});
