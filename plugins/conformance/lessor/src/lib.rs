//! A plugin that issues accounts for a time, out of a store of its own that stands for the world
//! outside. The testkit's tests hold what a lease must be.

use warder_plugin::{Charset, Grant, Lease, LeaseGrant, prelude::*};

/// How accounts of a role are issued, and how they end.
#[derive(Serialize, Deserialize)]
struct Role {
    ttl: u32,
    max_ttl: u32,
    renewable: bool,
    /// Revocations fail as long as this stands.
    broken: bool,
}

/// Captures and fields, by name.
#[derive(Deserialize)]
struct Named {
    role: String,
    ttl: i64,
    max_ttl: i64,
    renewable: bool,
    broken: bool,
}

#[derive(Deserialize)]
struct Wanted {
    role: String,
    rounds: u64,
}

#[derive(Deserialize)]
struct Folder {}

#[derive(Deserialize)]
struct What {
    what: String,
}

#[derive(Serialize, Deserialize)]
struct Account {
    role: String,
    lease: String,
}

/// The plugin.
pub const PLUGIN: Plugin = Plugin::secrets("lessor", env!("CARGO_PKG_VERSION"), "Accounts for a time, for tests.")
    .routes(&[
        Route::at("roles/{role}", "How accounts are issued.")
            .fields(&[
                Field::duration("ttl", "Until it must be renewed.").default("0"),
                Field::duration("max_ttl", "Until it ends for good.").default("0"),
                Field::boolean("renewable", "May be renewed.").default("true"),
                Field::boolean("broken", "Revocations fail.").default("false"),
            ])
            .write(handler!(write_role)),
        Route::at("creds/{role}", "A new account.")
            .fields(&[Field::integer("rounds", "Goes round so often, to take its time.").default("0")])
            .read(handler!(issue))
            .write(handler!(issue))
            .issues_lease(),
        Route::at("accounts/", "Accounts that exist.").list(handler!(accounts)),
        Route::at("accounts/{what}", "One account.").read(handler!(account)),
        Route::at("forgotten/{what}", "An account without a lease, where one is due.")
            .read(handler!(forgotten))
            .issues_lease(),
        Route::at("unasked/{what}", "An account with a lease, where none is due.").read(handler!(unasked)),
    ])
    .secret_routes(&[SecretRoute::new(SecretView::Value, "{role}", "creds/{role}")])
    .renew(renew)
    .revoke(revoke);

fn write_role(host: &Host, call: Call<Named>) -> Result<Reply> {
    let Named { role, ttl, max_ttl, renewable, broken } = call.input;
    let seconds = |given: i64| u32::try_from(given).map_err(|_| Error::invalid("expected no negative time"));
    host.put_json(
        &format!("role/{role}"),
        &Role { ttl: seconds(ttl)?, max_ttl: seconds(max_ttl)?, renewable, broken },
    )?;
    Ok(nothing())
}

fn role(host: &Host, name: &str) -> Result<Role> {
    host.json(&format!("role/{name}"))?.ok_or_else(|| Error::not_found("no such role"))
}

fn issue(host: &Host, call: Call<Wanted>) -> Result<Reply> {
    let Wanted { role: name, rounds } = call.input;
    let role = role(host, &name)?;
    let lease = call.lease_id.ok_or_else(|| Error::internal("there is no lease"))?;
    for round in 0..rounds {
        std::hint::black_box(round);
    }
    let answer = made(host, &name, &lease)?;
    let Role { ttl, max_ttl, renewable, .. } = role;
    Ok(answer.grant(Grant::Lease(LeaseGrant { ttl, max_ttl, renewable })))
}

/// An account named after its lease.
fn made(host: &Host, role: &str, lease: &str) -> Result<Reply> {
    let username = suffix(lease);
    let password = host.generate(24, Charset::Alphanumeric)?;
    host.put_json(&format!("account/{username}"), &Account { role: role.to_owned(), lease: lease.to_owned() })?;
    host.put_secret(&format!("password/{username}"), &password)?;
    let answer = serde_json::json!({ "username": username, "password": null });
    Ok(reply(&answer)?.secret("/password", password))
}

fn suffix(lease: &str) -> &str {
    lease.rsplit('/').next().unwrap_or(lease)
}

fn accounts(host: &Host, _: Call<Folder>) -> Result<Reply> {
    Ok(names(host.children("account/", None, None)?))
}

fn account(host: &Host, call: Call<What>) -> Result<Reply> {
    match host.json::<Account>(&format!("account/{}", call.input.what))? {
        Some(account) => reply(&account),
        None => Ok(nothing()),
    }
}

fn forgotten(host: &Host, call: Call<What>) -> Result<Reply> {
    let lease = call.lease_id.ok_or_else(|| Error::internal("there is no lease"))?;
    made(host, &call.input.what, &lease)
}

fn unasked(host: &Host, call: Call<What>) -> Result<Reply> {
    let grant = LeaseGrant { ttl: 60, max_ttl: 0, renewable: true };
    Ok(made(host, "unasked", &call.input.what)?.grant(Grant::Lease(grant)))
}

fn renew(host: &Host, lease: &Lease) -> Result<u32> {
    let Role { ttl, .. } = role(host, suffix(&lease.path))?;
    Ok(if lease.increment == 0 { ttl } else { lease.increment })
}

fn revoke(host: &Host, lease: &Lease) -> Result<()> {
    if role(host, suffix(&lease.path)).is_ok_and(|role| role.broken) {
        return Err(Error::unavailable("the world outside does not answer"));
    }
    let username = suffix(&lease.id);
    host.delete(&format!("account/{username}"))?;
    host.delete(&format!("password/{username}"))
}

warder_plugin::export!(PLUGIN);
