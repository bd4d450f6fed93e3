//! The requests, in order. `<name>` in a body stands for a token that an earlier row kept,
//! `<name.accessor>` for its accessor.

/// A request.
pub(super) struct Step {
    /// What it shows.
    pub(super) name: &'static str,
    /// Whose token: a kept one's name, or the text itself; none when empty.
    pub(super) who: &'static str,
    pub(super) method: &'static str,
    /// Below `/v1/`.
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    /// The name of the token in the answer.
    pub(super) keeps: Option<&'static str>,
    /// Asks again as long as the answer has this status.
    pub(super) waits: Option<u16>,
    denied: bool,
}

impl Step {
    const fn keep(mut self, name: &'static str) -> Self {
        self.keeps = Some(name);
        self
    }

    /// The caller is refused: anywhere else that would mean that the table is wrong.
    const fn denied(mut self) -> Self {
        self.denied = true;
        self
    }

    const fn until_it_ends(mut self) -> Self {
        self.waits = Some(200);
        self.denied = true;
        self
    }

    /// What is revoked behind the scenes is refused for a moment before it is gone.
    const fn until_it_is_gone(mut self) -> Self {
        self.waits = Some(403);
        self
    }

    pub(super) const fn may_be_denied(&self) -> bool {
        self.denied
    }
}

const fn ask(
    name: &'static str,
    who: &'static str,
    method: &'static str,
    path: &'static str,
    body: &'static str,
) -> Step {
    Step { name, who, method, path, body, keeps: None, waits: None, denied: false }
}

const fn post(name: &'static str, who: &'static str, path: &'static str, body: &'static str) -> Step {
    ask(name, who, "POST", path, body)
}

/// A new token, asked for by root.
const fn create(name: &'static str, body: &'static str) -> Step {
    post(name, "root", "auth/token/create", body)
}

/// What a kept token is.
const fn lookup(name: &'static str, who: &'static str) -> Step {
    ask(name, who, "GET", "auth/token/lookup-self", "")
}

/// A policy, written by root.
const fn policy(name: &'static str, path: &'static str, body: &'static str) -> Step {
    ask(name, "root", "PUT", path, body)
}

pub(super) const STEPS: &[Step] = &[
    policy(
        "policy reader",
        "sys/policies/acl/reader",
        r#"{"policy":"path \"secret/*\" { capabilities = [\"read\"] }"}"#,
    ),
    policy(
        "policy creator",
        "sys/policies/acl/creator",
        r#"{"policy":"path \"auth/token/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }"}"#,
    ),
    policy(
        "policy boss",
        "sys/policies/acl/boss",
        r#"{"policy":"path \"auth/token/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\", \"sudo\"] }"}"#,
    ),
    // Shapes of a new token.
    create("a child of root is root", "{}").keep("rootling"),
    lookup("a root child's own data", "rootling"),
    create("no body", "").keep("bodiless"),
    create("a policy", r#"{"policies":["reader"]}"#).keep("child"),
    lookup("a child's own data", "child"),
    post("lookup by text", "root", "auth/token/lookup", r#"{"token":"<child>"}"#),
    post("lookup by accessor", "root", "auth/token/lookup-accessor", r#"{"accessor":"<child.accessor>"}"#),
    post("lookup-self by POST", "child", "auth/token/lookup-self", "{}").denied(),
    create("ttl in words", r#"{"policies":["reader"],"ttl":"1h"}"#).keep("hour"),
    lookup("ttl in words, looked up", "hour"),
    create("ttl as a number", r#"{"policies":["reader"],"ttl":3600}"#),
    create("ttl as digits", r#"{"policies":["reader"],"ttl":"3600"}"#),
    create("ttl of root", r#"{"ttl":"1h"}"#).keep("mortalroot"),
    lookup("a root token that ends", "mortalroot"),
    post("an ending root makes no endless one", "mortalroot", "auth/token/create", "{}"),
    post("an ending root makes one that ends", "mortalroot", "auth/token/create", r#"{"ttl":"30m"}"#),
    create("ttl over the system's", r#"{"policies":["reader"],"ttl":"10000h"}"#),
    create("ttl with days", r#"{"policies":["reader"],"ttl":"2d"}"#),
    create("ttl that is no duration", r#"{"policies":["reader"],"ttl":"soon"}"#),
    create("ttl below zero", r#"{"policies":["reader"],"ttl":"-1h"}"#),
    create("period", r#"{"policies":["reader"],"period":"1h"}"#).keep("periodic"),
    lookup("period, looked up", "periodic"),
    create("period and ttl", r#"{"policies":["reader"],"period":"1h","ttl":"2h"}"#),
    create("period and explicit max", r#"{"policies":["reader"],"period":"2h","explicit_max_ttl":"1h"}"#),
    create("period over the system's", r#"{"policies":["reader"],"period":"10000h"}"#),
    create("period of root", r#"{"period":"1h"}"#),
    create("explicit max", r#"{"policies":["reader"],"explicit_max_ttl":"1h"}"#).keep("capped"),
    lookup("explicit max, looked up", "capped"),
    create("explicit max below ttl", r#"{"policies":["reader"],"ttl":"2h","explicit_max_ttl":"1h"}"#),
    create("explicit max above ttl", r#"{"policies":["reader"],"ttl":"1h","explicit_max_ttl":"2h"}"#).keep("growing"),
    create("explicit max over the system's", r#"{"policies":["reader"],"explicit_max_ttl":"10000h"}"#),
    create("uses", r#"{"policies":["reader"],"num_uses":3}"#).keep("three"),
    create("uses as digits", r#"{"policies":["reader"],"num_uses":"3"}"#),
    create("uses below zero", r#"{"policies":["reader"],"num_uses":-1}"#),
    create("not renewable", r#"{"policies":["reader"],"renewable":false}"#).keep("fixed"),
    lookup("not renewable, looked up", "fixed"),
    create("no parent", r#"{"policies":["reader"],"no_parent":true}"#).keep("orphan"),
    lookup("no parent, looked up", "orphan"),
    create("no default policy", r#"{"policies":["reader"],"no_default_policy":true}"#),
    create("default alone", r#"{"policies":["default"]}"#),
    create("default and none of it", r#"{"policies":["default"],"no_default_policy":true}"#),
    create("policies in disorder", r#"{"policies":["Reader"," boss","reader","BOSS "]}"#),
    create("policies as text", r#"{"policies":"reader,boss"}"#),
    create("an empty policy", r#"{"policies":[""]}"#),
    create("root among others", r#"{"policies":["root","reader"]}"#),
    create("a policy nobody wrote", r#"{"policies":["nobody-wrote-it"]}"#),
    create("an internal policy", r#"{"policies":["response-wrapping"]}"#),
    create("a display name", r#"{"policies":["reader"],"display_name":"My App! 2"}"#).keep("shown"),
    lookup("a display name, looked up", "shown"),
    create("metadata", r#"{"policies":["reader"],"meta":{"who":"ci","build":"5"}}"#).keep("meta"),
    lookup("metadata, looked up", "meta"),
    create("a type that is none", r#"{"policies":["reader"],"type":"bogus"}"#),
    create("type service", r#"{"policies":["reader"],"type":"service"}"#),
    create("a chosen text", r#"{"policies":["reader"],"id":"custom-token-1"}"#).keep("custom"),
    lookup("a chosen text, looked up", "custom"),
    create("a chosen text twice", r#"{"policies":["reader"],"id":"custom-token-1"}"#),
    create("a chosen text with s.", r#"{"policies":["reader"],"id":"s.custom"}"#),
    create("a chosen text with hvs.", r#"{"policies":["reader"],"id":"hvs.custom"}"#),
    create("a chosen text with a dot", r#"{"policies":["reader"],"id":"custom.token"}"#),
    create("an alias without a role", r#"{"policies":["reader"],"entity_alias":"x"}"#),
    create("a body that is no object", "[]"),
    create("a body that is no JSON", "{"),
    create("a field nobody knows", r#"{"policies":["reader"],"colour":"red"}"#),
    // Batch tokens.
    create("batch", r#"{"policies":["reader","creator"],"type":"batch","ttl":"1h","meta":{"a":"b"}}"#).keep("batch"),
    lookup("batch, looked up", "batch"),
    create("batch with uses", r#"{"policies":["reader"],"type":"batch","num_uses":2}"#),
    create("batch with a period", r#"{"policies":["reader"],"type":"batch","period":"1h"}"#),
    create("batch with an explicit max", r#"{"policies":["reader"],"type":"batch","explicit_max_ttl":"1h"}"#),
    create("batch with a chosen text", r#"{"policies":["reader"],"type":"batch","id":"custom-batch"}"#),
    create("batch root", r#"{"type":"batch"}"#),
    create("batch renewable", r#"{"policies":["reader"],"type":"batch","renewable":true}"#),
    create("batch orphan", r#"{"policies":["reader"],"type":"batch","no_parent":true}"#).keep("batchling"),
    lookup("batch orphan, looked up", "batchling"),
    post("batch tokens have no children", "batch", "auth/token/create", "{}"),
    post("batch tokens are not renewed", "batch", "auth/token/renew-self", "{}"),
    post("batch tokens are not renewed by text", "root", "auth/token/renew", r#"{"token":"<batch>"}"#),
    post("batch tokens are not revoked", "batch", "auth/token/revoke-self", ""),
    post("batch tokens are not revoked by text", "root", "auth/token/revoke", r#"{"token":"<batch>"}"#),
    post("batch tokens are not made orphans", "root", "auth/token/revoke-orphan", r#"{"token":"<batch>"}"#),
    post("batch tokens are found by text", "root", "auth/token/lookup", r#"{"token":"<batch>"}"#),
    // Without sudo.
    create("a creator", r#"{"policies":["creator","reader"]}"#).keep("creator"),
    post("policies are the parent's", "creator", "auth/token/create", "{}").keep("grandchild"),
    lookup("policies are the parent's, looked up", "grandchild"),
    post("a subset", "creator", "auth/token/create", r#"{"policies":["reader"]}"#),
    post(
        "a subset without default",
        "creator",
        "auth/token/create",
        r#"{"policies":["reader"],"no_default_policy":true}"#,
    ),
    post("no subset", "creator", "auth/token/create", r#"{"policies":["reader","boss"]}"#),
    post("the parent's without default", "creator", "auth/token/create", r#"{"no_default_policy":true}"#),
    post("empty names", "creator", "auth/token/create", r#"{"policies":["", " "]}"#),
    create("policies as empty text", r#"{"policies":""}"#),
    post("no root from others", "creator", "auth/token/create", r#"{"policies":["root"]}"#),
    post("no orphan without sudo", "creator", "auth/token/create", r#"{"no_parent":true}"#),
    post("no period without sudo", "creator", "auth/token/create", r#"{"period":"1h"}"#),
    post("no chosen text without sudo", "creator", "auth/token/create", r#"{"id":"custom-token-2"}"#),
    post("no batch beyond the subset", "creator", "auth/token/create", r#"{"policies":["boss"],"type":"batch"}"#),
    post("a batch child", "creator", "auth/token/create", r#"{"type":"batch"}"#).keep("batchchild"),
    lookup("a batch child, looked up", "batchchild"),
    post("create-orphan", "creator", "auth/token/create-orphan", r#"{"policies":["reader"]}"#).keep("made-orphan"),
    lookup("create-orphan, looked up", "made-orphan"),
    post("create-orphan without policies", "creator", "auth/token/create-orphan", "{}"),
    post("create-orphan beyond the subset", "creator", "auth/token/create-orphan", r#"{"policies":["boss"]}"#),
    post(
        "create-orphan with a period",
        "creator",
        "auth/token/create-orphan",
        r#"{"policies":["reader"],"period":"1h"}"#,
    ),
    post("no create for readers", "child", "auth/token/create", "{}").denied(),
    post("no revoke-orphan without sudo", "creator", "auth/token/revoke-orphan", r#"{"token":"<child>"}"#),
    ask("no accessors without sudo", "creator", "LIST", "auth/token/accessors", "").denied(),
    // With sudo.
    create("a boss", r#"{"policies":["boss"]}"#).keep("boss"),
    post("sudo goes beyond the subset", "boss", "auth/token/create", r#"{"policies":["reader","nobody-wrote-it"]}"#),
    post("sudo makes no root", "boss", "auth/token/create", r#"{"policies":["root"]}"#),
    post("sudo makes orphans", "boss", "auth/token/create", r#"{"policies":["reader"],"no_parent":true}"#),
    post("sudo makes periodic tokens", "boss", "auth/token/create", r#"{"policies":["reader"],"period":"30m"}"#),
    post("sudo chooses texts", "boss", "auth/token/create", r#"{"policies":["reader"],"id":"custom-token-3"}"#),
    ask("sudo lists accessors", "boss", "LIST", "auth/token/accessors", ""),
    // Uses.
    post("counted tokens have no children", "three", "auth/token/create", "{}").denied(),
    lookup("a refusal spends a use", "three"),
    lookup("the last use", "three"),
    lookup("no use left", "three").denied(),
    post("a spent token is gone", "root", "auth/token/lookup-accessor", r#"{"accessor":"<three.accessor>"}"#)
        .until_it_is_gone(),
    create("a counted creator", r#"{"policies":["creator"],"num_uses":2}"#).keep("counted"),
    post("a counted creator has no children", "counted", "auth/token/create", "{}"),
    post("a counted token is renewed", "counted", "auth/token/renew-self", "{}"),
    lookup("a counted creator, spent", "counted").denied(),
    create("one use", r#"{"policies":["reader"],"num_uses":1}"#).keep("once"),
    post("one use revokes itself", "once", "auth/token/revoke-self", ""),
    lookup("one use, revoked", "once").denied(),
    // Renewal.
    post("renew-self", "hour", "auth/token/renew-self", "{}"),
    lookup("renew-self, looked up", "hour"),
    post("renew-self with an increment", "hour", "auth/token/renew-self", r#"{"increment":"30m"}"#),
    lookup("renew-self with an increment, looked up", "hour"),
    post("renew by text", "root", "auth/token/renew", r#"{"token":"<child>","increment":7200}"#),
    post("renew by accessor", "root", "auth/token/renew-accessor", r#"{"accessor":"<child.accessor>"}"#),
    post("renew a periodic one", "root", "auth/token/renew", r#"{"token":"<periodic>","increment":"2h"}"#),
    post("renew beyond the explicit max", "root", "auth/token/renew", r#"{"token":"<growing>","increment":"4h"}"#),
    post("renew beyond the system's max", "root", "auth/token/renew", r#"{"token":"<child>","increment":"10000h"}"#),
    post("renew a fixed one", "root", "auth/token/renew", r#"{"token":"<fixed>"}"#),
    post("renew-self of a fixed one", "fixed", "auth/token/renew-self", "{}"),
    post("renew a root token", "root", "auth/token/renew", r#"{"token":"<rootling>"}"#),
    post("renew-self of a root token", "rootling", "auth/token/renew-self", "{}"),
    post("renew an unknown token", "root", "auth/token/renew", r#"{"token":"unknown"}"#).denied(),
    post("renew without a token", "root", "auth/token/renew", "{}"),
    post("renew an unknown accessor", "root", "auth/token/renew-accessor", r#"{"accessor":"unknown"}"#).denied(),
    post("renew without an accessor", "root", "auth/token/renew-accessor", "{}"),
    post("renew with a bad increment", "root", "auth/token/renew", r#"{"token":"<child>","increment":"soon"}"#),
    // Lookups that find nothing.
    post("lookup of an unknown token", "root", "auth/token/lookup", r#"{"token":"unknown"}"#).denied(),
    post("lookup without a token", "root", "auth/token/lookup", "{}"),
    post("lookup of an unknown accessor", "root", "auth/token/lookup-accessor", r#"{"accessor":"unknown"}"#).denied(),
    post("lookup without an accessor", "root", "auth/token/lookup-accessor", "{}"),
    post("an accessor is no token", "root", "auth/token/lookup", r#"{"token":"<child.accessor>"}"#).denied(),
    lookup("an unknown caller", "unknown").denied(),
    lookup("no caller", "").denied(),
    lookup("a caller by accessor", "child.accessor").denied(),
    lookup("a caller with a batch prefix", "b.AAAA").denied(),
    ask("a method that nobody takes", "root", "DELETE", "auth/token/lookup-self", ""),
    ask("reading where one writes", "root", "GET", "auth/token/create", ""),
    ask("a path that nobody serves", "root", "GET", "auth/token/nothing", ""),
    // What policies grant, by token.
    post(
        "capabilities of one's own",
        "creator",
        "sys/capabilities-self",
        r#"{"paths":["auth/token/create","secret/a","sys/raw"]}"#,
    ),
    post("capabilities by text", "root", "sys/capabilities", r#"{"token":"<child>","paths":["secret/a"]}"#),
    post(
        "capabilities by accessor",
        "root",
        "sys/capabilities-accessor",
        r#"{"accessor":"<child.accessor>","path":"secret/a"}"#,
    ),
    post("capabilities of root", "root", "sys/capabilities-self", r#"{"path":"anything"}"#),
    post("capabilities of an unknown token", "root", "sys/capabilities", r#"{"token":"unknown","paths":["a"]}"#),
    post(
        "capabilities of an unknown accessor",
        "root",
        "sys/capabilities-accessor",
        r#"{"accessor":"unknown","paths":["a"]}"#,
    ),
    post("capabilities of no path", "root", "sys/capabilities-self", "{}"),
    // The end: trees.
    post("a grandparent", "root", "auth/token/create", r#"{"policies":["creator"]}"#).keep("old"),
    post("a parent", "old", "auth/token/create", "{}").keep("middle"),
    post("a child below", "middle", "auth/token/create", "{}").keep("young"),
    post("a batch child below", "middle", "auth/token/create", r#"{"type":"batch"}"#).keep("youngbatch"),
    post("an orphan below", "middle", "auth/token/create-orphan", "{}").keep("free"),
    post("revoke", "root", "auth/token/revoke", r#"{"token":"<old>"}"#),
    lookup("revoked", "old").denied(),
    lookup("the parent went with it", "middle").denied(),
    lookup("the child went with it", "young").denied(),
    lookup("the batch child went with it", "youngbatch").denied(),
    lookup("the orphan stayed", "free"),
    post("lookup of a revoked token", "root", "auth/token/lookup", r#"{"token":"<old>"}"#).denied(),
    post("lookup of a revoked accessor", "root", "auth/token/lookup-accessor", r#"{"accessor":"<old.accessor>"}"#)
        .denied(),
    post("revoke twice", "root", "auth/token/revoke", r#"{"token":"<old>"}"#),
    post("revoke an unknown token", "root", "auth/token/revoke", r#"{"token":"unknown"}"#),
    post("revoke without a token", "root", "auth/token/revoke", "{}"),
    post("revoke by accessor", "root", "auth/token/revoke-accessor", r#"{"accessor":"<shown.accessor>"}"#),
    lookup("revoked by accessor", "shown").denied(),
    post("revoke by accessor twice", "root", "auth/token/revoke-accessor", r#"{"accessor":"<shown.accessor>"}"#),
    post("revoke without an accessor", "root", "auth/token/revoke-accessor", "{}"),
    post("revoke-self", "meta", "auth/token/revoke-self", ""),
    lookup("revoked itself", "meta").denied(),
    post("a parent to be lost", "creator", "auth/token/create", "{}").keep("lost"),
    post("a child to be left", "lost", "auth/token/create", "{}").keep("left"),
    post("revoke-orphan", "boss", "auth/token/revoke-orphan", r#"{"token":"<lost>"}"#),
    lookup("revoked and orphaned", "lost").denied(),
    lookup("left as an orphan", "left"),
    post("revoke-orphan of an unknown token", "root", "auth/token/revoke-orphan", r#"{"token":"unknown"}"#),
    post("revoke-orphan without a token", "root", "auth/token/revoke-orphan", "{}"),
    create("a chosen text after its end", r#"{"policies":["reader"],"id":"custom-token-9"}"#).keep("nine"),
    post("a chosen text ends", "nine", "auth/token/revoke-self", ""),
    create("a chosen text again", r#"{"policies":["reader"],"id":"custom-token-9"}"#),
    // The end: time.
    create("a second", r#"{"policies":["reader"],"ttl":"1s"}"#).keep("second"),
    create("a batch second", r#"{"policies":["reader"],"type":"batch","ttl":"1s"}"#).keep("batchsecond"),
    lookup("a second later", "second").until_it_ends(),
    lookup("a batch second later", "batchsecond").until_it_ends(),
    post("an expired token is not renewed", "second", "auth/token/renew-self", "{}").denied(),
    post("an expired token is not found", "root", "auth/token/lookup", r#"{"token":"<second>"}"#).denied(),
];
