//! A plugin that people log in by, with a name and a password that it keeps as they are: it is for
//! the tests of lockouts and nothing else. The answer to a good login is empty.

use warder_plugin::prelude::*;

#[derive(Serialize, Deserialize)]
struct Record {
    password: String,
}

/// Captures and fields, by name.
#[derive(Deserialize)]
struct Person {
    name: String,
    password: String,
}

/// The plugin.
pub const PLUGIN: Plugin = Plugin::secrets("doorman", env!("CARGO_PKG_VERSION"), "Names and passwords, for tests.")
    .routes(&[
        Route::at("users/{name}", "One name.")
            .fields(&[Field::text("password", "Its password.").required()])
            .write(handler!(write)),
        Route::at("login/{name}", "Whether the password is right.")
            .fields(&[Field::text("password", "As set.").required()])
            .write(handler!(login))
            .public(),
    ]);

fn write(host: &Host, call: Call<Person>) -> Result<Reply> {
    let Person { name, password } = call.input;
    host.put_json(&format!("user/{name}"), &Record { password })?;
    Ok(nothing())
}

fn login(host: &Host, call: Call<Person>) -> Result<Reply> {
    let Person { name, password } = call.input;
    match host.json::<Record>(&format!("user/{name}"))? {
        Some(record) if record.password == password => Ok(nothing()),
        _ => Err(Error::denied("wrong name or password")),
    }
}

warder_plugin::export!(PLUGIN);
