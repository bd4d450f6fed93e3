//! Whole requests through both doors and gRPC into a broker in memory, with a plugin in plain
//! Rust. First byte `r`: a connection's raw bytes. `g`: a gRPC method, header lines, a message.
//! Else a request line, header lines, a body.
//!
//! Whatever a client sends is answered, and never with 500 or INTERNAL: those are ours.

mod world;

use std::cell::RefCell;

use crate::parts;
use world::World;

/// Requests that one broker serves before a new one takes over: what they store would pile up.
const REQUESTS: usize = 256;

thread_local! {
    static WORLD: RefCell<Option<(World, usize)>> = const { RefCell::new(None) };
}

/// Feeds one input.
pub fn run(mut data: &[u8]) {
    WORLD.with_borrow_mut(|slot| {
        let (world, served) = slot.take().filter(|(_, served)| *served < REQUESTS).unwrap_or_else(|| (World::new(), 0));
        match parts::byte(&mut data) {
            b'r' => connection(&world, data),
            b'g' => method(&world, data),
            _ => request(&world, data),
        }
        *slot = Some((world, served + 1));
    });
}

fn connection(world: &World, bytes: &[u8]) {
    let answer = world.connection(bytes);
    // HTTP/2's answers are frames; it is enough that they came.
    if answer.starts_with(b"HTTP/1.1 ") {
        assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
    }
}

fn request(world: &World, mut data: &[u8]) {
    let (Some(line), Some(headers)) = (parts::text(&mut data), parts::text(&mut data)) else { return };
    let line = line.replace(['\r', '\n'], "");
    let mut text = format!("{line} HTTP/1.1\r\nhost: a\r\nx-vault-token: root\r\ncontent-length: {}\r\n", data.len());
    for header in headers.lines().filter(|header| header.contains(':')) {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    connection(world, &[text.as_bytes(), data].concat());
}

fn method(world: &World, mut data: &[u8]) {
    let method = usize::from(parts::byte(&mut data));
    let Some(headers) = parts::text(&mut data) else { return };
    let headers = headers.lines().filter_map(|line| line.split_once(':'));
    let code = world.grpc(method, headers, data);
    assert_ne!(code, 13, "INTERNAL");
}
