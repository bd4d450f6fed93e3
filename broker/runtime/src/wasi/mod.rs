//! Stubs for the WASI imports that a guest's standard library names: nothing works.
//!
//! The environment is empty, stderr is kept so that a panic has words, every other function
//! traps with its name. Invariant: no stub reaches the operating system.

mod stderr;

pub(crate) use stderr::Stderr;
use wasmtime::{
    StoreContextMut,
    component::{
        Component, ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType, Val, types::ComponentItem,
    },
};

use crate::{fault::Misuse, host::Host};

/// Interfaces that may be imported, without version. None of clocks, filesystem, sockets, http
/// and random is among them: their contract counterparts are, where Warder has one.
pub(crate) const OFFERED: [&str; 14] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    // Seeds hash maps: answered per mount, not at random.
    "wasi:random/insecure-seed",
];

/// The one host resource behind every WASI resource type.
struct Stub;

/// The handle of stderr, the only stream that exists.
const STDERR: u32 = 2;
/// The handle of a pollable: whatever is waited for is ready.
const READY: u32 = 3;

#[derive(ComponentType, Lower)]
#[component(variant)]
#[expect(dead_code, reason = "the variant is part of the type; nothing fails here")]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Stub>),
    #[component(name = "closed")]
    Closed,
}

/// Defines every `wasi:` import of the component.
pub(crate) fn link(linker: &mut Linker<Host>, component: &Component) -> wasmtime::Result<()> {
    let engine = linker.engine().clone();
    for (name, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        if !name.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (export, item) in interface.exports(&engine) {
            match item.ty {
                ComponentItem::Resource(_) => {
                    instance.resource(export, ResourceType::host::<Stub>(), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(_) => stub(&mut instance, name, export)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn stub(instance: &mut LinkerInstance<'_, Host>, interface: &str, function: &str) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Host>;
    match function {
        "get-environment" | "get-arguments" => answer(instance, function, || Val::List(Vec::new())),
        "initial-cwd" | "get-terminal-stdin" | "get-terminal-stdout" | "get-terminal-stderr" => {
            answer(instance, function, || Val::Option(None))
        }
        "insecure-seed" => instance.func_wrap(function, |cx: Cx<'_>, (): ()| Ok((seed(cx.data()),))),
        "get-stderr" => instance.func_wrap(function, |_: Cx<'_>, (): ()| Ok((Resource::<Stub>::new_own(STDERR),))),
        "[method]output-stream.check-write" => {
            instance.func_wrap(function, |_: Cx<'_>, (_,): (Resource<Stub>,)| Ok((Ok::<u64, StreamError>(4096),)))
        }
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            instance.func_wrap(function, |mut cx: Cx<'_>, (_, bytes): (Resource<Stub>, Vec<u8>)| {
                cx.data_mut().stderr.write(&bytes);
                Ok((Ok::<(), StreamError>(()),))
            })
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            instance.func_wrap(function, |_: Cx<'_>, (_,): (Resource<Stub>,)| Ok((Ok::<(), StreamError>(()),)))
        }
        "[method]output-stream.subscribe" => {
            instance.func_wrap(function, |_: Cx<'_>, (_,): (Resource<Stub>,)| Ok((Resource::<Stub>::new_own(READY),)))
        }
        "[method]pollable.block" => instance.func_wrap(function, |_: Cx<'_>, (_,): (Resource<Stub>,)| Ok(())),
        "[method]pollable.ready" => instance.func_wrap(function, |_: Cx<'_>, (_,): (Resource<Stub>,)| Ok((true,))),
        "exit" | "exit-with-code" => instance.func_new(function, |_, _, _, _| Err(Misuse::Exit.into())),
        _ => {
            let name = format!("{interface}.{function}");
            instance.func_new(function, move |_, _, _, _| Err(Misuse::Wasi(name.clone()).into()))
        }
    }
}

fn answer(
    instance: &mut LinkerInstance<'_, Host>,
    function: &str,
    value: impl Fn() -> Val + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    instance.func_new(function, move |_, _, _, results| {
        if let Some(result) = results.first_mut() {
            *result = value();
        }
        Ok(())
    })
}

/// The same for every call of a mount, so that answers can be repeated; unknown to callers.
fn seed(host: &Host) -> (u64, u64) {
    let Some(call) = &host.call else { return (0, 0) };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, call.mount.fingerprint_key.expose());
    let tag = ring::hmac::sign(&key, b"warder hash seed");
    let half = |at: usize| tag.as_ref().iter().skip(at).take(8).fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    (half(0), half(8))
}
