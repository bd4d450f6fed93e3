//! Warder's rules: model, tokens, policy, routing, cache, audit; no sockets, no files, no wasm
