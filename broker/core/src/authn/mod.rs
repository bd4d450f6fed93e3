//! Tokens: who asks.
