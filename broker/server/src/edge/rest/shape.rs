//! Cutting an answer's document into the native shape by the pointers of its route.
//!
//! Invariant: secret text is copied as a span into one buffer that is zeroized; it never becomes
//! a tree of values.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use warder_core::{
    error::{Error, ErrorKind},
    json,
    path::Path,
    request::{Document, LeaseShown, Reply as Answered, Shown},
    secret::Secret,
};

use super::{
    super::{
        problem::Refusal,
        reply::{self, Reply},
    },
    leases, warned,
};

/// What is known about a version, each as JSON text.
#[derive(Debug, Default)]
pub(in crate::edge) struct Known<'a> {
    pub(in crate::edge) version: Option<&'a str>,
    pub(in crate::edge) created_at: Option<&'a str>,
    pub(in crate::edge) deletion_time: Option<&'a str>,
    pub(in crate::edge) destroyed: Option<&'a str>,
    pub(in crate::edge) custom: Option<&'a str>,
}

impl<'a> Known<'a> {
    pub(in crate::edge) fn of(about: &'a str) -> Result<Self, Error> {
        let mut known = Self::default();
        if json::kind(about) != json::Kind::Object {
            return Ok(known);
        }
        for (name, text) in json::members(about).map_err(Error::internal)? {
            match &*name {
                "version" => known.version = Some(text),
                "created_at" | "created_time" => known.created_at = Some(text),
                "deletion_time" if text != "\"\"" => known.deletion_time = Some(text),
                "destroyed" => known.destroyed = Some(text),
                "custom_metadata" if json::kind(text) == json::Kind::Object => known.custom = Some(text),
                _ => {}
            }
        }
        Ok(known)
    }

    /// The version without quotes, for `ETag` and its conditions.
    fn tag(&self) -> Option<&'a str> {
        self.version.map(|text| text.trim_matches('"'))
    }
}

/// Document and pointers of an answer.
pub(in crate::edge) struct Cut<'a> {
    pub(in crate::edge) value: Option<&'a str>,
    pub(super) warnings: &'a [String],
    lease: Option<&'a LeaseShown>,
    pub(in crate::edge) known: Known<'a>,
}

impl<'a> Cut<'a> {
    /// Of an answer without a document.
    pub(super) fn nothing(answered: &'a Answered) -> Self {
        Self { value: None, warnings: &answered.warnings, lease: None, known: Known::default() }
    }
}

/// Takes the document of an answer apart; a write's answer is itself what is known.
pub(in crate::edge) fn cut<'a>(document: &'a Document, answered: &'a Answered) -> Result<Cut<'a>, Refusal> {
    let text = document.expose_str().ok_or_else(|| Error::internal("an answer is not UTF-8"))?;
    let (value_at, about_at) = match answered.route.as_deref() {
        Some(route) => (route.value_at.as_str(), route.about_at.as_deref()),
        None => ("", None),
    };
    let at = |pointer: &str| json::project(text, pointer).map_err(Error::internal);
    let about = match about_at {
        Some(pointer) => at(pointer)?.unwrap_or(text),
        None => "null",
    };
    let lease = answered.lease.as_ref();
    Ok(Cut { value: at(value_at)?, warnings: &answered.warnings, lease, known: Known::of(about)? })
}

/// 200 with [`shown`].
///
/// `kept` remembers it for [`again`].
pub(super) fn secret(path: &Path, cut: &Cut<'_>, kept: Option<&Shown>) -> Result<Reply, Refusal> {
    let made = Made { path: path.clone(), body: shown(path, cut)?, tag: tag(&cut.known) };
    let response = made.reply();
    if let Some(kept) = kept {
        kept.keep(made);
    }
    Ok(response)
}

/// `{"path","data","version","created_at","metadata","lease"}`.
pub(super) fn shown(path: &Path, cut: &Cut<'_>) -> Result<Secret, Refusal> {
    let value = cut.value.ok_or_else(|| Error::internal("the plugin's answer has no value where it said"))?;
    let text = reply_text(path.as_str())?;
    let mut members = vec![("path", text.as_str()), ("data", value)];
    members.extend(version_members(&cut.known));
    members.extend(cut.known.deletion_time.map(|text| ("deletion_time", text)));
    members.push(("metadata", cut.known.custom.unwrap_or("{}")));
    let lease = cut.lease.map(leases::member).transpose()?;
    members.extend(lease.as_ref().and_then(|text| Some(("lease", text.expose_str()?))));
    Ok(warned(json::compose(members), cut.warnings))
}

/// The answer that [`secret`] made of the same cached answer before, for the same path.
pub(super) fn again(shown: &Shown, path: &Path) -> Option<Reply> {
    shown.get::<Made>().filter(|made| made.path == *path).map(Made::reply)
}

/// A secret as it is shown.
struct Made {
    path: Path,
    body: Secret,
    tag: Option<HeaderValue>,
}

impl Made {
    fn reply(&self) -> Reply {
        let mut response = reply::json(StatusCode::OK, self.body.clone());
        response.headers_mut().extend(self.tag.clone().map(|tag| (header::ETAG, tag)));
        response
    }
}

/// 200 `{"path","field","value","version"}`.
pub(super) fn field(path: &str, name: &str, cut: &Cut<'_>) -> Result<Reply, Refusal> {
    let value = cut.value.filter(|value| json::kind(value) == json::Kind::Object);
    let found = value.map(json::members).transpose().map_err(Error::internal)?.unwrap_or_default();
    let Some((_, text)) = found.into_iter().find(|(had, _)| had == name) else {
        return Err(Error::new(ErrorKind::NotFound, "the secret has no such field").at("field").into());
    };
    let (path, name) = (reply_text(path)?, reply_text(name)?);
    let mut members = vec![("path", path.as_str()), ("field", name.as_str()), ("value", text)];
    members.extend(cut.known.version.map(|text| ("version", text)));
    Ok(body(StatusCode::OK, json::compose(members), cut))
}

/// `{"path","version","created_at"}` after a write.
pub(super) fn written(status: StatusCode, path: &str, cut: &Cut<'_>) -> Result<Reply, Refusal> {
    let path = reply_text(path)?;
    let mut members = vec![("path", path.as_str())];
    members.extend(version_members(&cut.known));
    Ok(body(status, json::compose(members), cut))
}

fn body(status: StatusCode, text: Secret, cut: &Cut<'_>) -> Reply {
    tagged(reply::json(status, warned(text, cut.warnings)), &cut.known)
}

/// 404 with what is still known.
pub(super) fn gone(known: &Known<'_>) -> Refusal {
    let destroyed = known.destroyed == Some("true");
    let words = if destroyed { "this version was destroyed" } else { "this version was deleted" };
    let members = [("version", known.version), ("deletion_time", known.deletion_time), ("destroyed", known.destroyed)];
    let refusal = Refusal::from(Error::new(ErrorKind::NotFound, words));
    members.into_iter().fold(refusal, |refusal, (name, text)| match text {
        Some(text) => refusal.member(name, text),
        None => refusal,
    })
}

/// Whether `If-None-Match` already holds this version (RFC 9110, section 13.1.2).
pub(super) fn unchanged(headers: &HeaderMap, known: &Known<'_>) -> Result<Option<Reply>, Refusal> {
    let Some(value) = headers.get(header::IF_NONE_MATCH) else { return Ok(None) };
    let bad = || Error::invalid("If-None-Match", "expected * or quoted versions, such as \"3\"");
    let text = value.to_str().map_err(|_| bad())?.trim();
    let tags: Vec<&str> = text.split(',').map(|tag| tag.trim().trim_start_matches("W/")).collect();
    if text != "*" && !tags.iter().all(|tag| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"')) {
        return Err(bad().into());
    }
    let same = |version| text == "*" || tags.iter().any(|tag| tag.trim_matches('"') == version);
    let hit = known.tag().is_some_and(same);
    Ok(hit.then(|| tagged(reply::empty(StatusCode::NOT_MODIFIED), known)))
}

fn version_members<'a>(known: &Known<'a>) -> Vec<(&'static str, &'a str)> {
    let members = [("version", known.version), ("created_at", known.created_at)];
    members.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

fn tagged(mut response: Reply, known: &Known<'_>) -> Reply {
    if let Some(tag) = tag(known) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn tag(known: &Known<'_>) -> Option<HeaderValue> {
    known.tag().and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok())
}

/// JSON text of a string that is no secret (paths and names of fields).
pub(super) fn reply_text(text: &str) -> Result<String, Error> {
    String::from_utf8(reply::quoted(text)).map_err(Error::internal)
}

/// The members of a document behind `path`, as they are.
pub(in crate::edge) fn about(path: &str, document: &Secret) -> Result<Secret, Refusal> {
    let text = document.expose_str().ok_or_else(|| Error::internal("an answer is not UTF-8"))?;
    let path = reply_text(path)?;
    let members = json::members(text).map_err(Error::internal)?;
    let rest = members.iter().map(|(name, text)| (&**name, *text)).filter(|(name, _)| *name != "path");
    Ok(json::compose([("path", path.as_str())].into_iter().chain(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV: &str = r#"{"version":3,"created_time":"2026-11-22T03:36:50Z","deletion_time":"","destroyed":false,"custom_metadata":null}"#;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn what_is_known_is_read_from_its_document() {
        let known = Known::of(KV).unwrap();
        assert_eq!((known.tag(), known.deletion_time, known.custom), (Some("3"), None, None));
        let text = r#"{"version":"v7","deletion_time":"2026-11-22T03:36:50Z","custom_metadata":{"a":"b"}}"#;
        let known = Known::of(text).unwrap();
        assert_eq!(known.tag(), Some("v7"));
        assert!(known.deletion_time.is_some() && known.custom == Some(r#"{"a":"b"}"#));
    }

    #[test]
    fn conditions_compare_versions() {
        let known = Known::of(KV).unwrap();
        for (value, hit) in [("\"3\"", true), ("W/\"3\"", true), ("\"1\", \"3\"", true), ("*", true), ("\"4\"", false)]
        {
            let answer = unchanged(&headers(value), &known).unwrap();
            assert_eq!(answer.is_some(), hit, "{value}");
            assert!(answer.is_none_or(|answer| answer.status() == 304 && answer.headers()[header::ETAG] == "\"3\""));
        }
        for bad in ["3", "\"", "", "\"3\",4"] {
            let refused = unchanged(&headers(bad), &known).unwrap_err();
            assert_eq!(refused.error().field.as_deref(), Some("If-None-Match"), "{bad}");
        }
    }

    #[test]
    fn a_missing_field_is_not_found_and_named() {
        let cut = Cut { value: Some(r#"{"a":"1"}"#), warnings: &[], lease: None, known: Known::default() };
        assert_eq!(field("p", "a", &cut).unwrap().status(), 200);
        let refused = field("p", "b", &cut).unwrap_err();
        assert_eq!((refused.error().kind, refused.error().field.as_deref()), (ErrorKind::NotFound, Some("field")));
    }
}
