//! Watching secrets, from outside: the real binary, `curl -N` and a client that Python makes of the
//! protobufs alone.

mod doors;
mod ends;
mod events;
mod history;
mod python;
mod slow;
mod stage;
