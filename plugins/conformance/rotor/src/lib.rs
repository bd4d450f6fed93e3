//! A plugin that makes its values itself: nobody writes them, and a rotation makes the next one.
//! The testkit's tests hold what a rotation must be.

use warder_plugin::{Charset, prelude::*};

/// What stands in the store beside the sealed value.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    version: u64,
}

/// Captures and fields, by name.
#[derive(Deserialize)]
struct Made {
    path: String,
    length: u32,
    fail: bool,
    rounds: u64,
}

/// The plugin.
pub const PLUGIN: Plugin = Plugin::secrets("rotor", env!("CARGO_PKG_VERSION"), "Passwords that it makes itself.")
    .routes(&[Route::at("made/{path...}", "One password.")
        .fields(&[
            Field::integer("length", "Its characters.").default("20"),
            Field::integer("rounds", "Goes round and round so often, to take its time.").default("0"),
            Field::boolean("fail", "Fails when everything is written.").default("false"),
        ])
        .read(handler!(read))
        .rotate(handler!(rotate))])
    .secret_routes(&[SecretRoute::new(SecretView::Value, "{path...}", "made/{path...}")
        .value_at("/data")
        .about_at("/metadata")]);

fn read(host: &Host, call: Call<Made>) -> Result<Reply> {
    let path = call.input.path;
    let Some(Record { version }) = host.json(&format!("about/{path}"))? else { return Ok(nothing()) };
    let value = host.secret(&format!("value/{path}"))?.ok_or_else(|| Error::internal("the value is missing"))?;
    let answer = serde_json::json!({ "data": null, "metadata": { "version": version } });
    Ok(reply(&answer)?.secret("/data", value).version(version))
}

fn rotate(host: &Host, call: Call<Made>) -> Result<Reply> {
    let Made { path, length, fail, rounds } = call.input;
    for round in 0..rounds {
        std::hint::black_box(round);
    }
    let Record { version } = host.json(&format!("about/{path}"))?.unwrap_or_default();
    let record = Record { version: version + 1 };
    let password = host.generate(length, Charset::Alphanumeric)?;
    host.put_secret(&format!("value/{path}"), &host.compose(&[], &[("password", &password)])?)?;
    host.put_json(&format!("about/{path}"), &record)?;
    if fail {
        return Err(Error::invalid("it was asked to fail"));
    }
    Ok(reply(&serde_json::json!({ "version": record.version }))?.version(record.version))
}

warder_plugin::export!(PLUGIN);
