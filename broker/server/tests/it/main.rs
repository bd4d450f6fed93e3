//! The real binary, driven from outside: the quick start by curl, the command line, and what
//! only raw bytes on a socket can show.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a fixture that breaks ends its test")]

mod command_line;
mod config;
mod drain;
mod every_door;
mod every_method;
mod frames;
mod greedy;
mod hostile;
mod listeners;
mod metrics;
mod openapi;
mod openssl;
mod place;
mod proxies;
mod quick_start;
mod quorum;
mod rate_limits;
mod raw;
mod restarts;
mod running;
mod shed;
mod slow;
mod streams;
mod stuck;
mod tls;
mod twins;
mod watch_command;
mod wire_limits;
