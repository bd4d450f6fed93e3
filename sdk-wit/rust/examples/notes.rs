//! A whole plugin: notes whose bodies stay sealed.

use warder_plugin::prelude::*;

/// What stands in the store beside a note's sealed body.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    title: String,
    version: u64,
}

/// Captures and fields of a note, by name.
#[derive(Deserialize)]
struct Note {
    path: String,
    title: Option<String>,
    expect: Option<u64>,
}

/// The plugin: what the host is told, and what serves it.
pub const PLUGIN: Plugin = Plugin::secrets("notes", env!("CARGO_PKG_VERSION"), "Notes with sealed bodies.").routes(&[
    Route::at("notes/{path...}", "One note.")
        .fields(&[
            Field::text("title", "Shown in the clear.").default("\"untitled\""),
            Field::integer("expect", "Write only over this version."),
            Field::document("body", "Any JSON; stays sealed.").sensitive(),
        ])
        .read(handler!(read))
        .write(handler!(write))
        .delete(handler!(delete)),
    Route::at("notes/", "Names of all notes.").list(|host, _| Ok(names(host.children("note/", None, None)?))),
]);

fn read(host: &Host, call: Call<Note>) -> Result<Reply> {
    let path = call.input.path;
    let Some(Record { title, version }) = host.json(&format!("note/{path}"))? else { return Ok(nothing()) };
    let body = host.secret(&format!("body/{path}"))?.ok_or_else(|| Error::internal("the body is missing"))?;
    let answer = serde_json::json!({ "title": title, "version": version, "body": null });
    Ok(reply(&answer)?.secret("/body", body).version(version))
}

fn write(host: &Host, mut call: Call<Note>) -> Result<Reply> {
    let body = call.secret("/body").ok_or_else(|| Error::invalid("a note needs a body"))?;
    let Note { path, title, expect } = call.input;
    let Record { version, .. } = host.json(&format!("note/{path}"))?.unwrap_or_default();
    if let Some(expect) = expect.filter(|expect| *expect != version) {
        return Err(Error::precondition(format!("the note is at version {version}, not {expect}")));
    }
    let record = Record { title: title.unwrap_or_default(), version: version + 1 };
    host.put_json(&format!("note/{path}"), &record)?;
    host.put_secret(&format!("body/{path}"), &body)?;
    Ok(reply(&serde_json::json!({ "version": record.version }))?.version(record.version))
}

fn delete(host: &Host, call: Call<Note>) -> Result<Reply> {
    host.delete(&format!("note/{}", call.input.path))?;
    host.delete(&format!("body/{}", call.input.path))?;
    Ok(nothing())
}

warder_plugin::export!(PLUGIN);
