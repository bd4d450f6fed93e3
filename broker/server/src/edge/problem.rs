//! Refusals, and how `/api/v1` shows them: `application/problem+json` (RFC 9457).
//!
//! Invariant: nothing but [`Error`]'s public half, and numbers of our own, reaches the caller.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use warder_core::{
    error::{Error, ErrorKind},
    json,
    secret::Secret,
};

use super::{Outcome, reply, status};

/// An error on its way out of a door: small, because it travels in every `Result` here.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Inner>);

#[derive(Debug)]
struct Inner {
    error: Error,
    status: Option<StatusCode>,
    allow: Option<String>,
    extra: Vec<(&'static str, String)>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Box::new(Inner { error, status: None, allow: None, extra: Vec::new() }))
    }
}

impl Refusal {
    /// Bad input at `field`.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Error::invalid(field, detail).into()
    }

    /// No such route.
    pub(crate) fn no_route() -> Self {
        Error::new(ErrorKind::NotFound, "no such route: see the API's list of routes").into()
    }

    /// The route does not take this method; `allow` lists those it takes.
    pub(crate) fn method(allow: String) -> Self {
        let detail = format!("this route takes {allow}");
        Self::from(Error::new(ErrorKind::MethodNotAllowed, detail)).with(|inner| inner.allow = Some(allow))
    }

    /// A status more exact than the kind's own (408, 414, 431).
    pub(crate) fn status(self, status: StatusCode) -> Self {
        self.with(|inner| inner.status = Some(status))
    }

    /// Adds a member: `text` is checked JSON text that is no secret.
    pub(crate) fn member(self, name: &'static str, text: impl Into<String>) -> Self {
        self.with(|inner| inner.extra.push((name, text.into())))
    }

    /// Says which methods of the route are left, where the broker did not take this one.
    pub(crate) fn allowing(self, methods: impl FnOnce() -> String) -> Self {
        let refused = self.0.error.kind == ErrorKind::MethodNotAllowed && self.0.allow.is_none();
        if refused { self.with(|inner| inner.allow = Some(methods())) } else { self }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(&mut self.0);
        self
    }

    /// The error inside.
    pub(crate) const fn error(&self) -> &Error {
        &self.0.error
    }

    /// The added members: names and JSON texts.
    pub(crate) fn members(&self) -> &[(&'static str, String)] {
        &self.0.extra
    }

    /// As `/api/v1` answers it.
    pub(crate) fn native(&self, request_id: &str) -> Response<Full<Bytes>> {
        let code = self.0.status.unwrap_or_else(|| status::of(self.0.error.kind).native);
        self.finish(reply::typed(code, "application/problem+json", self.document(code, request_id)))
    }

    /// As `/v1` answers it: `{"errors":[..]}`.
    pub(crate) fn vault(&self) -> Response<Full<Bytes>> {
        let code = self.0.status.unwrap_or_else(|| status::of(self.0.error.kind).vault);
        let mut text = br#"{"errors":["#.to_vec();
        json::write_string(&mut text, &self.vault_words());
        text.extend_from_slice(b"]}\n");
        let mut response = self.finish(reply::typed(code, "application/json", Secret::new(text)));
        if self.0.allow.is_none() && self.0.error.kind == ErrorKind::MethodNotAllowed {
            let allow = super::vault::methods(self.0.error.takes);
            response.headers_mut().extend(HeaderValue::from_str(&allow).ok().map(|allow| (header::ALLOW, allow)));
        }
        response
    }

    fn finish(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let headers = response.headers_mut();
        if let Some(allow) = self.0.allow.as_deref().and_then(|a| HeaderValue::from_str(a).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(after) = self.0.error.retry_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"warder\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response.extensions_mut().insert(Outcome::refused(self.0.error.kind));
        response
    }

    /// The problem by itself, as one result among others.
    pub(crate) fn problem(&self, request_id: &str) -> Secret {
        self.document(self.0.status.unwrap_or_else(|| status::of(self.0.error.kind).native), request_id)
    }

    fn document(&self, code: StatusCode, request_id: &str) -> Secret {
        let error = &self.0.error;
        let quoted = |text: &str| {
            let mut out = Vec::with_capacity(text.len() + 2);
            json::write_string(&mut out, text);
            String::from_utf8_lossy(&out).into_owned()
        };
        let mut members = vec![
            ("type", quoted(&format!("urn:warder:problem:{}", error.kind.code()))),
            ("title", quoted(status::of(error.kind).title)),
            ("status", code.as_u16().to_string()),
            ("detail", quoted(&error.detail)),
            ("code", quoted(error.kind.code())),
            ("request_id", quoted(request_id)),
        ];
        let optional =
            [("field", error.field.as_deref()), ("plugin", error.plugin.as_deref()), ("mount", error.mount.as_deref())];
        members.extend(optional.into_iter().filter_map(|(name, text)| Some((name, quoted(text?)))));
        members.extend(error.done.then(|| ("done", "true".to_owned())));
        members.extend(error.retry_seconds().map(|after| ("retry_after_seconds", after.to_string())));
        members.extend(self.0.extra.iter().cloned());
        json::compose(members.iter().map(|(name, text)| (*name, text.as_str())))
    }

    /// The texts that Vault's clients look for.
    fn vault_words(&self) -> String {
        let error = &self.0.error;
        match error.kind {
            ErrorKind::PermissionDenied => "1 error occurred:\n\t* permission denied\n\n".to_owned(),
            ErrorKind::Sealed | ErrorKind::Uninitialized => "Vault is sealed".to_owned(),
            ErrorKind::Unauthenticated => "permission denied".to_owned(),
            ErrorKind::MethodNotAllowed if self.0.allow.is_none() => "unsupported operation".to_owned(),
            _ => match &error.field {
                Some(field) if !error.detail.contains(field.as_str()) => format!("{field}: {}", error.detail),
                _ => error.detail.clone().into_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body(response: Response<Full<Bytes>>) -> String {
        use http_body_util::BodyExt as _;
        let mut whole = Box::pin(response.into_body().collect());
        let waker = std::task::Waker::noop();
        match whole.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            std::task::Poll::Ready(Ok(body)) => String::from_utf8(body.to_bytes().to_vec()).unwrap(),
            _ => panic!("a full body is ready at once"),
        }
    }

    #[test]
    fn a_problem_has_every_member_in_order() {
        let mut error = Error::invalid("limit", "expected a number").in_plugin("kv", "secret/");
        error.retry_after = Some(Duration::from_millis(2001));
        let response = Refusal::from(error).member("version", "3").native("r-1");
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            body(response),
            r#"{"type":"urn:warder:problem:invalid_request","title":"Invalid request","status":400,"detail":"expected a number","code":"invalid_request","request_id":"r-1","field":"limit","plugin":"kv","mount":"secret/","retry_after_seconds":3,"version":3}"#
        );
    }

    #[test]
    fn a_wrong_method_says_which_are_right() {
        let response = Refusal::method("GET, PUT".to_owned()).native("r-1");
        assert_eq!((response.status().as_u16(), response.headers()[header::ALLOW].as_bytes()), (405, &b"GET, PUT"[..]));
    }

    #[test]
    fn vault_clients_get_the_words_they_look_for() {
        for (error, code, words) in [
            (Error::denied(), 403, "1 error occurred:\\n\\t* permission denied\\n\\n"),
            (Error::new(ErrorKind::Unauthenticated, "x"), 403, "permission denied"),
            (Error::sealed(), 503, "Vault is sealed"),
            (Error::new(ErrorKind::PreconditionFailed, "no match"), 400, "no match"),
            (Error::invalid("cas", "expected a number"), 400, "cas: expected a number"),
        ] {
            let response = Refusal::from(error).vault();
            assert_eq!(response.status(), code);
            assert_eq!(body(response), format!("{{\"errors\":[\"{words}\"]}}\n"));
        }
    }
}
