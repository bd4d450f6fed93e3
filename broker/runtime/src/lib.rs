//! Runs plugins: wasmtime, grants, capabilities, limits
