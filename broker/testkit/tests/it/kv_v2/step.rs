//! Random requests to a KV v2 mount: mostly meaningful, some not.

use std::fmt;

use proptest::{
    prelude::*,
    strategy::{BoxedStrategy, Union},
};
use warder_testkit::{Call, Http};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

/// One request. `{p}` in the target stands for the sequence's own prefix.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Step {
    method: &'static str,
    target: String,
    media: Option<&'static str>,
    body: Option<String>,
}

impl Step {
    /// Puts the mount's settings where every sequence starts.
    pub(super) fn settings() -> Self {
        Self::with_body(
            "POST",
            "config".to_owned(),
            r#"{"max_versions":0,"cas_required":false,"delete_version_after":"0s"}"#.to_owned(),
        )
    }

    /// The request to this server.
    pub(super) fn call<'a>(&self, http: &'a Http, prefix: &str) -> Call<'a> {
        let target = format!("/v1/secret/{}", self.target.replace("{p}", prefix));
        let mut call = http.call(self.method, &target);
        if let Some(media) = self.media {
            call = call.header("Content-Type", media);
        }
        match &self.body {
            Some(body) => call.body(body.as_str()),
            None => call,
        }
    }

    /// Whether it is of this method.
    pub(super) fn is(&self, method: &str) -> bool {
        self.method == method
    }

    /// Whether its path ends in a slash.
    pub(super) fn is_for_folder(&self) -> bool {
        self.target.split('?').next().is_some_and(|path| path.ends_with('/'))
    }

    /// Whether its body has this text.
    pub(super) fn has(&self, text: &str) -> bool {
        self.body.as_deref().is_some_and(|body| body.contains(text))
    }

    const fn bare(method: &'static str, target: String) -> Self {
        Self { method, target, media: None, body: None }
    }

    const fn with_body(method: &'static str, target: String, body: String) -> Self {
        Self { method, target, media: Some(JSON), body: Some(body) }
    }

    const fn patch(target: String, body: String) -> Self {
        Self { method: "PATCH", target, media: Some(MERGE), body: Some(body) }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method, self.target, self.body)
    }
}

/// Any request.
pub(super) fn step() -> BoxedStrategy<Step> {
    prop_oneof![
        18 => put(),
        12 => read("data", "version"),
        8 => patch(),
        5 => path().prop_map(|path| Step::bare("DELETE", format!("data/{path}"))),
        14 => versions(),
        8 => path().prop_map(|path| Step::bare("GET", format!("metadata/{path}"))),
        5 => (path(), settings()).prop_map(|(path, body)| Step::with_body("POST", format!("metadata/{path}"), body)),
        4 => (path(), settings()).prop_map(|(path, body)| Step::patch(format!("metadata/{path}"), body)),
        2 => path().prop_map(|path| Step::bare("DELETE", format!("metadata/{path}"))),
        2 => Just(Step::bare("GET", "config".to_owned())),
        3 => settings().prop_map(|body| Step::with_body("POST", "config".to_owned(), body)),
        7 => list(),
        5 => read("subkeys", "depth"),
        2 => read("subkeys", "version"),
        5 => odd(),
    ]
    .boxed()
}

/// Few, so that requests meet; one has a folder of its own name, some need percent-encoding.
fn path() -> BoxedStrategy<String> {
    some(&[
        (24, "{p}/a"),
        (4, "{p}/b"),
        (4, "{p}/f/c"),
        (2, "{p}/f"),
        (1, "{p}/f/d/e"),
        (1, "{p}/a%20b"),
        (1, "{p}/%C3%BC.."),
    ])
}

fn put() -> BoxedStrategy<Step> {
    let method = prop_oneof![3 => Just("POST"), 1 => Just("PUT")];
    (method, path(), body())
        .prop_map(|(method, path, body)| Step::with_body(method, format!("data/{path}"), body))
        .boxed()
}

fn patch() -> BoxedStrategy<Step> {
    let media = prop_oneof![12 => Just(Some(MERGE)), 1 => Just(Some(JSON)), 1 => Just(None)];
    (path(), body(), media)
        .prop_map(|(path, body, media)| Step { media, ..Step::patch(format!("data/{path}"), body) })
        .boxed()
}

/// The body of a put or patch: data and options, each perhaps wrong.
fn body() -> BoxedStrategy<String> {
    let members = (data(), options(), some(&[(15, ""), (1, r#""stray":1"#)])).prop_map(|(data, options, stray)| {
        let members: Vec<String> = [data, options, stray].into_iter().filter(|text| !text.is_empty()).collect();
        format!("{{{}}}", members.join(","))
    });
    prop_oneof![24 => members, 1 => some(&[(1, "{\"data\":"), (1, "[]"), (1, "{}"), (1, ""), (1, "nul"), (1, "{\"data\":{\"a\":01}}")])]
        .boxed()
}

/// No null inside a list: OpenBao's patch would drop it, RFC 7396 keeps it.
fn data() -> BoxedStrategy<String> {
    some(&[
        (6, r#""data":{"x":1}"#),
        (6, r#""data":{"x":2,"y":"s"}"#),
        (3, r#""data":{}"#),
        (3, r#""data":{"n":{"a":{"b":[1,{"c":"d"}]},"t":true}}"#),
        (3, r#""data":{"x":null,"n":{"a":null,"z":"\u0000\n\"<&>"}}"#),
        (2, r#""data":{"f":1.0,"e":1e3,"i":12345678901234567890,"\u00fc/~":""}"#),
        (2, ""),
        (5, r#""data":null"#),
        (1, r#""data":"s""#),
        (1, r#""data":[1]"#),
        (1, r#""data":5"#),
    ])
}

fn options() -> BoxedStrategy<String> {
    some(&[
        (30, ""),
        (6, r#""options":{"cas":0}"#),
        (6, r#""options":{"cas":1}"#),
        (4, r#""options":{"cas":2}"#),
        (2, r#""options":{"cas":3}"#),
        (2, r#""options":{}"#),
        (1, r#""options":{"cas":"1"}"#),
        (1, r#""options":{"cas":"x"}"#),
        (1, r#""options":{"cas":-1}"#),
        (1, r#""options":{"cas":1.5}"#),
        (1, r#""options":null"#),
        (1, r#""options":"x""#),
    ])
}

fn read(kind: &'static str, query: &'static str) -> BoxedStrategy<Step> {
    let value = some(&[(10, ""), (4, "1"), (4, "2"), (2, "3"), (1, "0"), (1, "99"), (1, "-1"), (1, "x"), (1, "1.0")]);
    (path(), value)
        .prop_map(move |(path, value)| {
            let query = if value.is_empty() { String::new() } else { format!("?{query}={value}") };
            Step::bare("GET", format!("{kind}/{path}{query}"))
        })
        .boxed()
}

fn versions() -> BoxedStrategy<Step> {
    let kind = some(&[(4, "delete"), (4, "undelete"), (3, "destroy")]);
    let list = some(&[
        (6, r#"{"versions":[1]}"#),
        (6, r#"{"versions":[2]}"#),
        (4, r#"{"versions":[1,2]}"#),
        (3, r#"{"versions":["3"]}"#),
        (2, r#"{"versions":"1,2"}"#),
        (2, r#"{"versions":2}"#),
        (1, r#"{"versions":[0]}"#),
        (1, r#"{"versions":[99,-1]}"#),
        (1, r#"{"versions":[]}"#),
        (1, r#"{"versions":["x"]}"#),
        (1, r#"{"versions":[1.5]}"#),
        (1, r#"{"versions":null}"#),
        (1, r#"{"versions":{}}"#),
        (1, r#"{"versions":""}"#),
        (1, "{}"),
    ]);
    (kind, path(), list).prop_map(|(kind, path, body)| Step::with_body("POST", format!("{kind}/{path}"), body)).boxed()
}

/// Settings of a key or of the mount.
fn settings() -> BoxedStrategy<String> {
    some(&[
        (4, r#"{"max_versions":1}"#),
        (4, r#"{"max_versions":2}"#),
        (2, r#"{"max_versions":"3","cas_required":false}"#),
        (1, r#"{"max_versions":0}"#),
        (1, r#"{"max_versions":"x"}"#),
        (2, r#"{"cas_required":true}"#),
        (2, r#"{"cas_required":"false"}"#),
        (1, r#"{"cas_required":"x"}"#),
        (2, r#"{"delete_version_after":"1h"}"#),
        (2, r#"{"delete_version_after":7200}"#),
        (1, r#"{"delete_version_after":"2h30m"}"#),
        (1, r#"{"delete_version_after":"0s"}"#),
        (1, r#"{"delete_version_after":"-1s"}"#),
        (1, r#"{"delete_version_after":"x"}"#),
        (4, r#"{"custom_metadata":{"owner":"ops","tier":"1"}}"#),
        (2, r#"{"custom_metadata":{"owner":"dev"},"max_versions":5}"#),
        (1, r#"{"custom_metadata":{}}"#),
        (1, r#"{"custom_metadata":null}"#),
        (1, r#"{"custom_metadata":"x"}"#),
        (1, r#"{"custom_metadata":{"":"x"}}"#),
        (1, r#"{"custom_metadata":{"k":""}}"#),
        (1, r#"{"custom_metadata":{"k":"\u0001"}}"#),
        (1, r#"{"stray":1}"#),
        (1, "{}"),
    ])
}

fn list() -> BoxedStrategy<Step> {
    let folder =
        some(&[(5, "{p}/"), (2, "{p}"), (2, "{p}/f/"), (1, "{p}/f"), (1, "{p}/f/d/"), (1, "{p}/none/"), (1, "{p}/a/")]);
    let query = some(&[
        (6, ""),
        (1, "limit=1"),
        (1, "limit=2&after=a"),
        (1, "after=b"),
        (1, "limit=0"),
        (1, "limit=-1"),
        (1, "limit=x"),
    ]);
    (folder, query, any::<bool>())
        .prop_map(|(folder, query, verb)| match (verb, query.is_empty()) {
            (true, true) => Step::bare("LIST", format!("metadata/{folder}")),
            (true, false) => Step::bare("LIST", format!("metadata/{folder}?{query}")),
            (false, true) => Step::bare("GET", format!("metadata/{folder}?list=true")),
            (false, false) => Step::bare("GET", format!("metadata/{folder}?list=true&{query}")),
        })
        .boxed()
}

/// Routes and verbs that are not there, and writes to folders.
fn odd() -> BoxedStrategy<Step> {
    let bodied = |method, target: &str| Step::with_body(method, target.to_owned(), r#"{"data":{"x":1}}"#.to_owned());
    let bare = |method, target: &str| Step::bare(method, target.to_owned());
    proptest::sample::select(vec![
        bare("GET", "data/{p}/none"),
        bare("GET", "data/{p}/a/"),
        bare("GET", "data/"),
        bare("GET", "metadata/{p}/"),
        bare("GET", "delete/{p}/a"),
        bare("DELETE", "destroy/{p}/a"),
        bare("LIST", "data/{p}/"),
        bare("GET", "metadata/{p}/?list=false"),
        bodied("POST", "data/{p}/a/"),
        bodied("POST", "data/"),
        bodied("POST", "subkeys/{p}/a"),
        bare("DELETE", "config"),
        bare("DELETE", "data/{p}/none"),
        Step::patch("config".to_owned(), "{}".to_owned()),
        Step::patch("metadata/{p}/none".to_owned(), r#"{"max_versions":1}"#.to_owned()),
    ])
    .boxed()
}

/// One of these texts, by weight.
fn some(texts: &[(u32, &'static str)]) -> BoxedStrategy<String> {
    Union::new_weighted(texts.iter().map(|(weight, text)| (*weight, Just((*text).to_owned()))).collect()).boxed()
}
