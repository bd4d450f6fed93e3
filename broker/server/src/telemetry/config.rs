//! Where telemetry goes, and how much of it.

use std::{fmt, path::PathBuf, time::Duration};

/// What is sent to a collector; nothing without an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// The collector.
    pub endpoint: Option<Endpoint>,
    /// What it speaks.
    pub protocol: Protocol,
    /// PEM file: CAs that its certificate is signed by. Without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// Lines of `name: value` that go with every request to it; they may hold a secret.
    pub headers_file: Option<PathBuf>,
    /// What this process is called there.
    pub service_name: String,
    /// Whether spans are sent.
    pub traces: bool,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// Whether log lines are sent.
    pub logs: bool,
    /// Of so many requests that belong to no trace yet, one begins a trace; zero: none.
    pub sample_one_in: u32,
    /// Period of metrics.
    pub interval: Duration,
    /// For one request to the collector.
    pub timeout: Duration,
    /// Spans, and as many log lines, that may wait.
    pub queue: usize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: Protocol::Grpc,
            ca_file: None,
            headers_file: None,
            service_name: "warder".to_owned(),
            traces: true,
            metrics: true,
            logs: true,
            sample_one_in: 1,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            queue: 8192,
        }
    }
}

/// What a collector speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC; port 4317 by custom.
    #[default]
    Grpc,
    /// OTLP as protobuf over HTTP/1.1; port 4318 by custom.
    Http,
}

/// `http://HOST:PORT` or `https://HOST:PORT`, with a path in front of OTLP's own if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether it speaks TLS.
    pub(super) tls: bool,
    /// Name or address; of IPv6 without brackets.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// Empty, or begins with a slash and does not end in one.
    pub(super) path: String,
}

impl Endpoint {
    /// None when it is no such URL. User names and queries are none: they would hold secrets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        let plain = uri.query().is_none() && !authority.as_str().contains('@') && !text.contains('#');
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16()?;
        let path = uri.path().trim_end_matches('/').to_owned();
        (plain && !host.is_empty() && port > 0).then_some(Self { tls, host, port, path })
    }

    /// `HOST:PORT` as URLs have it.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_port_and_without_secrets() {
        for text in ["http://127.0.0.1:4317", "https://otel.example:4318/tenant", "http://[::1]:4317"] {
            assert_eq!(Endpoint::parse(text).map(|endpoint| endpoint.to_string()), Some(text.to_owned()));
        }
        assert_eq!(Endpoint::parse("http://a:1/").map(|endpoint| endpoint.path), Some(String::new()));
        for text in
            ["", "a:4317", "http://a", "ftp://a:1", "http://u:p@a:1", "http://a:1/?key=b", "http://:1", "http://a:0"]
        {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }
}
