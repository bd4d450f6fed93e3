//! Tokens: what one client does to a token every other sees from its answer on.

mod api;
mod counted;
mod family;
