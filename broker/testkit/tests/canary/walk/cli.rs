//! The command line: values from files and standard input, tokens from the environment, and what
//! people do wrong.

use serde_json::{Value, json};
use warder_testkit::{Failure, Result};

use super::Walk;

pub(super) fn walk(walk: &mut Walk<'_>) -> Result {
    secrets(walk)?;
    tokens(walk)?;
    mistakes(walk)
}

fn secrets(walk: &mut Walk<'_>) -> Result {
    let path = &*format!("{}/cli", walk.folder);
    let (first, second, third) = (walk.value("put"), walk.value("patch"), walk.value("put a whole object"));
    walk.run(&["put", path, "password=-"], &first, 0, &[])?;
    walk.run(&["get", path], "", 0, &["put"])?;
    walk.run(&["get", path, "--output", "json"], "", 0, &["put"])?;
    walk.run(&["get", path, "--output", "yaml"], "", 0, &["put"])?;
    walk.run(&["get", path, "--field", "password"], "", 0, &["put"])?;
    walk.run(&["patch", path, "-"], &json!({ "more": second }).to_string(), 0, &[])?;
    walk.run(&["get", path], "", 0, &["put", "patch"])?;
    walk.run(&["put", path, "-", "--cas", "2"], &json!({ "whole": third }).to_string(), 0, &[])?;
    walk.run(&["put", path, "-", "--cas", "2"], &json!({ "whole": third }).to_string(), 6, &[])?;
    walk.run(&["put", path, "-", "--create-only"], &json!({ "whole": third }).to_string(), 6, &[])?;
    walk.run(&["list", walk.folder], "", 0, &[])?;
    walk.run(&["versions", path], "", 0, &[])?;
    walk.run(&["delete", path], "", 0, &[])?;
    walk.run(&["undelete", path, "--versions", "3"], "", 0, &[])?;
    walk.run(&["delete", path, "--versions", "1", "--destroy"], "", 0, &[])?;
    walk.run(&["status"], "", 0, &[])?;
    walk.run(&["mount", "list"], "", 0, &[])?;
    walk.run(&["audit", "list"], "", 0, &[])
}

fn tokens(walk: &mut Walk<'_>) -> Result {
    let path = &*format!("{}/cli", walk.folder);
    let comment = walk.word("policy write");
    let text = format!("# {comment}\npath \"secret/data/canary/*\" {{ capabilities = [\"read\"] }}");
    walk.run(&["policy", "write", "cli", "-"], &text, 0, &[])?;
    walk.run(&["policy", "read", "cli"], "", 0, &["policy write"])?;
    walk.run(&["policy", "write", "bad", "-"], &format!("path {comment} {{"), 8, &[])?;
    walk.may_quote("policy write");
    walk.run(&["policy", "explain", "secret/data/canary/cli", "read", "--policy", "cli"], "", 0, &[])?;
    let made = walk.broker.command(
        Some(&walk.keys.root_token),
        &["token", "create", "--policy", "cli", "--output", "json"],
        "",
    )?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let token = made["token"].as_str().ok_or("no token was made")?;
    let kind = walk.kind("token create");
    walk.marks.token(&kind, token);
    walk.run_as(Some(token), &["token", "lookup"], "", 0, &[])?;
    walk.run_as(Some(token), &["put", path, "a=-"], &comment, 4, &[])?;
    walk.run_as(Some(token), &["token", "renew"], "", 0, &[])?;
    walk.run(&["token", "list"], "", 0, &[])?;
    walk.run_as(Some(token), &["token", "revoke", "--self"], "", 0, &[])?;
    walk.run_as(Some(token), &["token", "lookup"], "", 4, &[])
}

fn mistakes(walk: &mut Walk<'_>) -> Result {
    let path = &*format!("{}/cli", walk.folder);
    let (typed, named, bad, wrong) = (
        walk.word("a value as an argument"),
        walk.word("an argument without a name"),
        walk.word("standard input that is no JSON"),
        walk.word("a wrong token"),
    );
    walk.run(&["put", path, &format!("password={typed}")], "", 2, &[])?;
    walk.run(&["put", path, &named], "", 2, &[])?;
    walk.run(&["put", path, "-"], &format!("{{\"a\": {bad}"), 2, &[])?;
    walk.run(&["put", path, "-"], &format!("\"{bad}\""), 2, &[])?;
    walk.run_as(Some(&wrong), &["get", path], "", 4, &[])?;
    walk.run_as(Some(&format!("{wrong}\u{1}")), &["get", path], "", 2, &[])?;
    walk.run(&["operator", "unseal"], &bad, 0, &[])
}

impl Walk<'_> {
    /// As root, with an answer in JSON.
    pub(super) fn told_by(&mut self, arguments: &[&str], input: &str) -> Result<Value> {
        self.run(arguments, input, 0, &[])?;
        let heard = self.answers.last().ok_or("no answer was kept")?;
        Ok(serde_json::from_slice(&heard.body)?)
    }

    /// As root.
    pub(super) fn run(&mut self, arguments: &[&str], input: &str, code: i32, shows: &[&str]) -> Result {
        let token = self.keys.root_token.clone();
        self.run_as(Some(&token), arguments, input, code, shows)
    }

    fn run_as(&mut self, token: Option<&str>, arguments: &[&str], input: &str, code: i32, shows: &[&str]) -> Result {
        let output = self.broker.command(token, arguments, input)?;
        let place = format!("warder {}", arguments.join(" "));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let seen = output.status.code();
        self.heard(place.clone(), output.stderr, output.stdout, shows);
        if seen == Some(code) {
            return Ok(());
        }
        Err(Failure::from(format!("{place}: exit code {seen:?} instead of {code}: {words}")))
    }
}
