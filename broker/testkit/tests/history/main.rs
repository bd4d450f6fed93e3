//! What 64 clients saw at once has an order: every answer is the one that a single client would
//! have got, each request taking effect at one moment between its call and its answer
//! (linearizability, Herlihy and Wing, TOPLAS 1990).
//!
//! `checker` looks for that order and `story` tells when there is none; `clients` records real
//! requests to the real binary; the others each hold a model and the load that goes with it.
//!
//! `WARDER_TEST_SEED=n` gives another load; `WARDER_TEST_LONG=1` runs the long forms. The threads
//! of a machine are not repeatable: a seed repeats the requests, not their interleaving.

mod checker;
mod clients;
mod next_request;
mod policies;
mod secrets;
mod story;
mod tokens;
