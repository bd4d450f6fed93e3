//! Warder: the secrets broker gateway
