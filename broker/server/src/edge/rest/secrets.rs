//! `/api/v1/secrets`: the value, its versions, its names.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, StatusCode, header};
use warder_core::{
    error::{Error, ErrorKind},
    json,
    path::Path,
    request::{Address, Answer, Fields, Operation, Reply as Answered, SecretView},
    secret::Secret,
};

use super::{
    super::{Edge, Inbound, parse_path, problem::Refusal, reply, route::Outcome},
    absent, names, only, page, shape, stamp, told,
};

/// The mount that the native API's own root shows.
pub(in crate::edge) const ROOT: &str = "secret/";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Most versions named in one request.
const MAX_VERSIONS: usize = 100;

/// Names at the top of the default mount; none at all is an answer there.
pub(crate) async fn list_root(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    if !inbound.query.flag("list")? {
        return Err(folder_is_no_secret());
    }
    listing(&edge, inbound, parse_path(ROOT)?, true).await
}

/// Reads the value, or lists a folder.
pub(crate) async fn read(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    let path = parse_path(&inbound.capture)?;
    if inbound.query.flag("list")? {
        return listing(&edge, inbound, path.to_folder(), false).await;
    }
    let path = secret_path(path)?;
    inbound.query.only(&["version", "refresh", "field", "list"])?;
    let mut fields = Fields::default();
    if let Some(version) = inbound.query.number("version", u64::from(u32::MAX))? {
        fields.set_string("version", &version.to_string());
    }
    let field = inbound.query.one("field")?.filter(|name| !name.is_empty());
    if field.is_none() && inbound.query.one("field")?.is_some() {
        return Err(Refusal::invalid("field", "expected the name of a field"));
    }
    let answered = ask(&edge, &inbound, Operation::Read, SecretView::Value, &path, fields).await?;
    let plain = field.is_none() && !inbound.headers.contains_key(header::IF_NONE_MATCH);
    if plain && let Some(shown) = answered.shown.as_ref().and_then(|shown| shape::again(shown, &path)) {
        return Ok(stamp(shown, &answered));
    }
    let cut = shape::cut(document(&answered)?, &answered)?;
    let response = match (shape::unchanged(&inbound.headers, &cut.known)?, field) {
        (Some(unchanged), _) => unchanged,
        (None, Some(name)) => shape::field(path.as_str(), name, &cut)?,
        (None, None) => shape::secret(&path, &cut, answered.shown.as_ref())?,
    };
    Ok(stamp(response, &answered))
}

/// Stores a new version.
pub(crate) async fn put(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let fields = value_fields(&edge, &mut inbound).await?;
    write(&edge, inbound, Operation::Update, fields).await
}

/// Merges into the current version (RFC 7396).
pub(crate) async fn patch(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/merge-patch+json", false)?;
    inbound.query.only(&[])?;
    let fields = value_fields(&edge, &mut inbound).await?;
    write(&edge, inbound, Operation::Patch, fields).await
}

/// Deletes the latest version, or named ones; `destroy=true` for good.
pub(crate) async fn delete(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["versions", "destroy"])?;
    let path = secret_path(parse_path(&inbound.capture)?)?;
    let destroy = inbound.query.flag("destroy")?;
    let (operation, view, fields) = match inbound.query.one("versions")? {
        None if destroy => {
            return Err(Refusal::invalid("versions", "destroy=true needs versions: say which, such as versions=1,2"));
        }
        None => (Operation::Delete, SecretView::Value, Fields::default()),
        Some(text) => {
            let mut fields = Fields::default();
            fields.set("versions", versions_of(text)?);
            (Operation::Update, if destroy { SecretView::Destroy } else { SecretView::Remove }, fields)
        }
    };
    let answered = ask(&edge, &inbound, operation, view, &path, fields).await?;
    Ok(stamp(reply::empty(StatusCode::NO_CONTENT), &answered))
}

/// Restores soft-deleted versions.
pub(crate) async fn undelete(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    let path = secret_path(parse_path(&inbound.capture)?)?;
    let body = inbound.fields(&edge).await?;
    only(&body, &["versions"])?;
    let given = body.get("versions").and_then(Secret::expose_str).unwrap_or("null");
    let versions = version_list(given)?;
    let mut fields = Fields::default();
    fields.set("versions", versions.clone());
    let answered = ask(&edge, &inbound, Operation::Update, SecretView::Undelete, &path, fields).await?;
    let path = shape::reply_text(path.as_str())?;
    let text = json::compose([("path", path.as_str()), ("versions", versions.as_str())]);
    Ok(told(StatusCode::OK, text, &answered))
}

/// Has the backend replace the value by a new one, and answers when that is done.
pub(crate) async fn rotate(edge: Arc<Edge>, mut inbound: Inbound) -> Outcome {
    inbound.media("application/json", true)?;
    inbound.query.only(&[])?;
    if inbound.headers.contains_key(IDEMPOTENCY_KEY) {
        let words = "not offered: a repeated rotation rotates once more";
        return Err(Refusal::invalid("Idempotency-Key", words));
    }
    let path = secret_path(parse_path(&inbound.capture)?)?;
    let mut body = inbound.fields(&edge).await?;
    only(&body, &["params"])?;
    let fields = body.take("params").map(|text| parameters("params", &text)).transpose()?.unwrap_or_default();
    let answered = ask(&edge, &inbound, Operation::Rotate, SecretView::Value, &path, fields).await?;
    let response = match &answered.answer {
        Answer::Nothing => shape::written(StatusCode::OK, path.as_str(), &shape::Cut::nothing(&answered))?,
        _ => shape::written(StatusCode::OK, path.as_str(), &shape::cut(document(&answered)?, &answered)?)?,
    };
    Ok(stamp(response, &answered))
}

/// What is known of each version; no values.
pub(crate) async fn versions(edge: Arc<Edge>, inbound: Inbound) -> Outcome {
    inbound.query.only(&["refresh"])?;
    let path = secret_path(parse_path(&inbound.capture)?)?;
    let answered = ask(&edge, &inbound, Operation::Read, SecretView::Versions, &path, Fields::default()).await?;
    Ok(told(StatusCode::OK, shape::about(path.as_str(), document(&answered)?)?, &answered))
}

async fn listing(edge: &Edge, inbound: Inbound, folder: Path, may_be_empty: bool) -> Outcome {
    inbound.query.only(&["list", "after", "limit", "refresh"])?;
    let mut fields = Fields::default();
    let limit = page(&inbound, &mut fields)?;
    let answered = ask(edge, &inbound, Operation::List, SecretView::Listing, &folder, fields).await?;
    match &answered.answer {
        Answer::Names { keys } if !keys.is_empty() => Ok(told(StatusCode::OK, names(keys, limit), &answered)),
        // A page after the last name is empty, too: that is how a walk through pages ends.
        Answer::Names { .. } | Answer::Nothing if may_be_empty => Ok(told(StatusCode::OK, names(&[], None), &answered)),
        _ => Err(absent()),
    }
}

async fn write(edge: &Edge, inbound: Inbound, operation: Operation, mut fields: Fields) -> Outcome {
    let path = secret_path(parse_path(&inbound.capture)?)?;
    if let Some(version) = expected_version(&inbound.headers)? {
        fields.set("cas", version.to_string());
    }
    let answered = ask(edge, &inbound, operation, SecretView::Value, &path, fields).await?;
    let status = if answered.operation == Operation::Create { StatusCode::CREATED } else { StatusCode::OK };
    let response = match &answered.answer {
        Answer::Nothing if operation == Operation::Patch => return Err(absent()),
        Answer::Nothing => shape::written(status, path.as_str(), &shape::Cut::nothing(&answered))?,
        _ => shape::written(status, path.as_str(), &shape::cut(document(&answered)?, &answered)?)?,
    };
    Ok(stamp(response, &answered))
}

async fn ask(
    edge: &Edge,
    inbound: &Inbound,
    operation: Operation,
    view: SecretView,
    path: &Path,
    fields: Fields,
) -> Result<Answered, Refusal> {
    edge.ask(inbound, operation, Address::Secret { view, path: path.clone() }, fields).await
}

/// The document of an answer that must have one.
pub(in crate::edge) fn document(answered: &Answered) -> Result<&Secret, Refusal> {
    match &answered.answer {
        Answer::Document(document) => Ok(document),
        Answer::Gone(document) => Err(shape::gone(&shape::cut(document, answered)?.known)),
        Answer::Nothing => Err(absent()),
        Answer::Names { .. } | Answer::Raw { .. } => {
            Err(Error::new(ErrorKind::MethodNotAllowed, "this path does not hold a secret").into())
        }
    }
}

/// The fields that a rotation brings along: members of a JSON object.
pub(in crate::edge) fn parameters(name: &'static str, text: &Secret) -> Result<Fields, Error> {
    let checked = json::check(text.expose()).map_err(|e| Error::invalid(name, e.to_string()))?;
    if json::kind(checked) != json::Kind::Object {
        return Err(Error::invalid(name, "expected a JSON object"));
    }
    Fields::from_json(text.expose())
}

fn secret_path(path: Path) -> Result<Path, Refusal> {
    if path.is_folder() { Err(folder_is_no_secret()) } else { Ok(path) }
}

fn folder_is_no_secret() -> Refusal {
    Refusal::invalid("path", "a path that ends in '/' is a folder: list it with GET and ?list=true")
}

/// The whole body as the field `""`.
async fn value_fields(edge: &Edge, inbound: &mut Inbound) -> Result<Fields, Refusal> {
    let body = inbound.body(edge).await?;
    let text = json::check(body.expose()).map_err(|e| Error::invalid("body", e.to_string()))?;
    if json::kind(text) != json::Kind::Object {
        return Err(Refusal::invalid("body", "the body must be a JSON object: the secret itself"));
    }
    let mut fields = Fields::default();
    fields.set("", body);
    Ok(fields)
}

/// The version that `If-Match` or `If-None-Match: *` expects: 0 is none at all.
pub(in crate::edge) fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (text(&header::IF_MATCH), text(&header::IF_NONE_MATCH)) {
        (Some(_), Some(_)) => {
            Err(Error::invalid("If-Match", "If-Match and If-None-Match exclude each other: send one"))
        }
        (None, Some("*")) => Ok(Some(0)),
        (None, Some(_)) => Err(Error::invalid("If-None-Match", "expected * (create only)")),
        (Some(tag), None) => {
            let version = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(whole_number);
            let words = "expected one quoted version, such as \"3\"";
            version.map(Some).ok_or_else(|| Error::invalid("If-Match", words))
        }
        (None, None) => Ok(None),
    }
}

fn whole_number(text: &str) -> Option<u64> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

/// `1,2` as a JSON array.
pub(in crate::edge) fn versions_of(text: &str) -> Result<String, Error> {
    let numbers: Option<Vec<u64>> = text.split(',').map(|part| whole_number(part.trim())).collect();
    bounded(numbers)
}

/// A JSON array of versions, checked.
pub(in crate::edge) fn version_list(text: &str) -> Result<String, Error> {
    let elements = json::elements(text).unwrap_or_default();
    bounded(elements.into_iter().map(|part| whole_number(part.trim_matches('"'))).collect())
}

pub(in crate::edge) fn bounded(numbers: Option<Vec<u64>>) -> Result<String, Error> {
    let words = format!("expected 1 to {MAX_VERSIONS} versions, each a whole number of at least 1");
    let fits = numbers.filter(|numbers| (1..=MAX_VERSIONS).contains(&numbers.len()));
    let numbers = fits.ok_or_else(|| Error::invalid("versions", words))?;
    let texts: Vec<String> = numbers.iter().map(u64::to_string).collect();
    Ok(format!("[{}]", texts.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn conditions_become_check_and_set() {
        use header::{IF_MATCH, IF_NONE_MATCH};
        for (pairs, expected) in [
            (&[][..], Ok(None)),
            (&[(IF_MATCH, "\"3\"")], Ok(Some(3))),
            (&[(IF_NONE_MATCH, "*")], Ok(Some(0))),
            (&[(IF_MATCH, "3")], Err("If-Match")),
            (&[(IF_MATCH, "\"0\"")], Err("If-Match")),
            (&[(IF_MATCH, "*")], Err("If-Match")),
            (&[(IF_MATCH, "\"1\", \"2\"")], Err("If-Match")),
            (&[(IF_NONE_MATCH, "\"3\"")], Err("If-None-Match")),
            (&[(IF_MATCH, "\"3\""), (IF_NONE_MATCH, "*")], Err("If-Match")),
        ] {
            let got = expected_version(&headers(pairs)).map_err(|e| e.field.unwrap_or_default());
            assert_eq!(got, expected.map_err(str::to_owned), "{pairs:?}");
        }
    }

    #[test]
    fn versions_are_whole_numbers_from_one() {
        assert_eq!(versions_of("1, 2").unwrap(), "[1,2]");
        assert_eq!(version_list(r#"[2,"3"]"#).unwrap(), "[2,3]");
        for bad in ["", "0", "a", "1,,2", "-1", "1.5", "99999999999"] {
            assert_eq!(versions_of(bad).unwrap_err().field.as_deref(), Some("versions"), "{bad}");
        }
        for bad in ["null", "[]", "[0]", "{}", "[1.5]", "\"1\"", "[null]"] {
            assert_eq!(version_list(bad).unwrap_err().field.as_deref(), Some("versions"), "{bad}");
        }
    }
}
