//! `operator generate-root` and `operator rekey`: what those do who hold key shares.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use warder_core::{json::compose, secret::Secret};
use zeroize::Zeroizing;

use super::{
    Shared,
    client::{Ask, Client},
    failure::Failure,
    input, output,
};

const ROOT: &str = "sys/generate-root";
const ROOT_SHARES: &str = "sys/generate-root/shares";
const REKEY: &str = "sys/rekey";
const REKEY_SHARES: &str = "sys/rekey/shares";
const REKEY_VERIFY: &str = "sys/rekey/verify";

/// Where a share comes from, and what it is for.
#[derive(Args, Debug)]
pub(crate) struct Share {
    /// File with the share, or - for standard input; a prompt unless given.
    file: Option<String>,
    /// The attempt that it is for, as whoever began it was told; else the one under way.
    #[arg(long)]
    nonce: Option<String>,
}

/// Make a root token, by enough key shares.
#[derive(Debug, Subcommand)]
#[command(after_help = "One person begins, and gets a nonce and a one-time password. As many as are needed to unseal \
    give their\nshares; the last of them gets the token, which only the one-time password makes readable.\n\nExamples:\n  \
    warder operator generate-root start\n  \
    warder operator generate-root share --nonce NONCE           (asks for a key share; repeat with others)\n  \
    warder operator generate-root share share.txt\n  \
    warder operator generate-root decode                        (asks for the encoded token and the password)\n  \
    warder operator generate-root status\n  \
    warder operator generate-root cancel")]
pub(crate) enum GenerateRoot {
    /// Begin: shows the nonce and, once, the one-time password.
    Start {
        /// File with a one-time password of your own, or - for standard input.
        #[arg(long, value_name = "FILE")]
        otp: Option<String>,
    },
    /// Give one key share.
    Share(Share),
    /// Show how far it has come.
    Status,
    /// Give up, and forget the shares that were given.
    Cancel,
    /// Make the token readable: from two prompts, or two lines of standard input. Asks no server.
    Decode,
}

impl GenerateRoot {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        if matches!(self, Self::Decode) {
            return decode(shared);
        }
        let client = Client::new(shared)?;
        let value = match self {
            Self::Start { otp } => {
                let otp = otp.map(|file| input::line(Some(&file), "")).transpose()?;
                let body = otp.map_or_else(|| Ok(Secret::from("{}")), |otp| members(&[("otp", &otp)]))?;
                client.ask(Ask::new(Method::POST, ROOT).json(body)).await?
            }
            Self::Share(share) => share.give(&client, ROOT, ROOT_SHARES).await?,
            Self::Cancel => {
                client.ask(Ask::new(Method::DELETE, ROOT)).await?;
                output::done("given up");
                return Ok(());
            }
            Self::Status | Self::Decode => client.ask(Ask::new(Method::GET, ROOT)).await?,
        };
        output::show_as(shared.output, &value, root)
    }
}

fn root(value: &Value) -> String {
    let text = |name: &str| output::plain(&value[name]);
    if value["complete"] == json!(true) {
        return format!(
            "Encoded token: {}\n\nMake it readable with the one-time password: `warder operator generate-root decode`.\n",
            text("encoded_token")
        );
    }
    let mut shown = attempt(value);
    if value["otp"].as_str().is_some_and(|otp| !otp.is_empty()) {
        shown += &format!("\nOne-time password: {}\n\nKeep it now: nothing shows it again.\n", text("otp"));
    }
    shown
}

fn attempt(value: &Value) -> String {
    if value["started"] != json!(true) {
        return "Nothing is under way.\n".to_owned();
    }
    let text = |name: &str| output::plain(&value[name]);
    let needed = if value["required"].is_null() { text("threshold") } else { text("required") };
    format!("Nonce: {}\nProgress: {} of {needed}\n", text("nonce"), text("progress"))
}

fn decode(shared: &Shared) -> Result<(), Failure> {
    let (encoded, otp) = input::pair("Encoded token: ", "One-time password (not shown): ")?;
    let other = || Failure::usage("these are no encoded token and its one-time password");
    let mixed = Zeroizing::new(STANDARD_NO_PAD.decode(encoded.expose()).map_err(|_| other())?);
    if mixed.len() != otp.len() {
        return Err(other());
    }
    let token: Zeroizing<Vec<u8>> =
        Zeroizing::new(mixed.iter().zip(otp.expose()).map(|(one, pad)| one ^ pad).collect());
    let token = std::str::from_utf8(&token).ok().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
    let value = json!({ "token": token.ok_or_else(other)? });
    output::show_as(shared.output, &value, |value| output::plain(&value["token"]))
}

/// Make new key shares, by enough of the old ones.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "With --verify the old shares stay valid until enough of the new ones were given back.\n\nExamples:\n  \
    warder operator rekey start --shares 5 --threshold 3 --verify\n  \
    warder operator rekey share --nonce NONCE           (asks for an old share; repeat with others)\n  \
    warder operator rekey share share.txt\n  \
    warder operator rekey verify                        (asks for a new share; repeat with others)\n  \
    warder operator rekey status\n  \
    warder operator rekey cancel"
)]
pub(crate) enum Rekey {
    /// Begin: shows the nonce.
    Start {
        /// Key shares to make.
        #[arg(long)]
        shares: u8,
        /// Key shares that will be needed to unseal.
        #[arg(long)]
        threshold: u8,
        /// The new shares count only once enough of them were given back.
        #[arg(long)]
        verify: bool,
    },
    /// Give one of the old key shares; the last one needed shows the new shares, once.
    Share(Share),
    /// Give one of the new key shares back.
    Verify(Share),
    /// Show how far it has come.
    Status,
    /// Give up: the old shares stay.
    Cancel,
}

impl Rekey {
    pub(super) async fn run(self, shared: &Shared) -> Result<(), Failure> {
        let client = Client::new(shared)?;
        let value = match self {
            Self::Start { shares, threshold, verify } => {
                let body = json!({ "shares": shares, "threshold": threshold, "verify": verify });
                client.ask(Ask::new(Method::POST, REKEY).json(body.to_string())).await?
            }
            Self::Share(share) => share.give(&client, REKEY, REKEY_SHARES).await?,
            Self::Verify(share) => {
                let value = share.give(&client, REKEY_VERIFY, REKEY_VERIFY).await?;
                return output::show_as(shared.output, &value, verified);
            }
            Self::Status => client.ask(Ask::new(Method::GET, REKEY)).await?,
            Self::Cancel => {
                client.ask(Ask::new(Method::DELETE, REKEY)).await?;
                output::done("given up");
                return Ok(());
            }
        };
        output::show_as(shared.output, &value, rekey)
    }
}

fn rekey(value: &Value) -> String {
    if value["complete"] != json!(true) {
        let waits = value["verification_nonce"].as_str().is_some_and(|nonce| !nonce.is_empty());
        let words = "The new shares are made and wait for `warder operator rekey verify`.\n";
        return attempt(value) + if waits { words } else { "" };
    }
    let shares = value["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines =
        shares.iter().enumerate().map(|(at, share)| format!("Key share {}: {}\n", at + 1, output::plain(share)));
    let advice = match value["verification_required"] == json!(true) {
        true => format!(
            "\nKeep them now: nothing shows them again. They open nothing yet: give enough of them back with\n\
             `warder operator rekey verify`. Nonce: {}\n",
            output::plain(&value["verification_nonce"])
        ),
        false => "\nKeep them now: nothing shows them again. They open the barrier from now on; the old ones do \
                  not any more.\n"
            .to_owned(),
    };
    lines.chain([advice]).collect()
}

fn verified(value: &Value) -> String {
    match value["complete"] == json!(true) {
        true => "The new shares open the barrier from now on; the old ones do not any more.\n".to_owned(),
        false => attempt(value),
    }
}

impl Share {
    /// Gives it to what is begun at one path, at another.
    async fn give(self, client: &Client, begun: &str, shares: &str) -> Result<Value, Failure> {
        let nonce = match self.nonce {
            Some(nonce) => nonce,
            None => output::plain(&client.ask(Ask::new(Method::GET, begun)).await?["nonce"]),
        };
        let prompt = format!("Key share for {} (not shown): ", output::printable(&nonce));
        let key = input::line(self.file.as_deref(), &prompt)?;
        let body = members(&[("nonce", &Secret::from(nonce.as_str())), ("key", &key)])?;
        client.ask(Ask::new(Method::POST, shares).json(body)).await
    }
}

/// A JSON object of texts.
pub(super) fn members(texts: &[(&str, &Secret)]) -> Result<Secret, Failure> {
    let mut quoted = Vec::with_capacity(texts.len());
    for (name, secret) in texts {
        let text = secret.expose_str().ok_or_else(|| Failure::usage(format!("the {name} is not text")))?;
        // Room for every byte escaped, so that the buffer never moves and leaves a copy behind.
        let mut out = Zeroizing::new(Vec::with_capacity(text.len() * 6 + 2));
        warder_core::json::write_string(&mut out, text);
        quoted.push((*name, out));
    }
    Ok(compose(quoted.iter().map(|(name, text)| (*name, std::str::from_utf8(text).unwrap_or("null")))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_told_in_words() {
        assert_eq!(root(&json!({"started": false})), "Nothing is under way.\n");
        let begun = json!({"started": true, "nonce": "n-1", "progress": 0, "required": 2, "otp": "pad"});
        let shown = root(&begun);
        assert!(shown.starts_with("Nonce: n-1\nProgress: 0 of 2\n") && shown.contains("One-time password: pad\n"));
        let waiting = json!({"started": true, "nonce": "n-2", "progress": 1, "threshold": 3});
        assert_eq!(verified(&waiting), "Nonce: n-2\nProgress: 1 of 3\n");
        let made =
            json!({"complete": true, "keys": ["aa", "bb"], "verification_required": true, "verification_nonce": "v"});
        let shown = rekey(&made);
        assert!(shown.starts_with("Key share 1: aa\nKey share 2: bb\n") && shown.contains("Nonce: v"), "{shown}");
    }

    #[test]
    fn texts_become_a_document() {
        let body = members(&[("nonce", &Secret::from("a\"b")), ("key", &Secret::from("k"))]).unwrap();
        assert_eq!(body.expose_str(), Some(r#"{"nonce":"a\"b","key":"k"}"#));
        assert!(members(&[("key", &Secret::from(&[0xff][..]))]).is_err());
    }
}
