//! The client itself, and its short ways to secrets.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    builder::Builder,
    credentials::Credentials,
    error::Error,
    proto,
    renewal::Renewal,
    retry::Retry,
    secret::{Secret, Value},
    services::{AuditApi, AuthApi, LeasesApi, LimitsApi, MountsApi, PoliciesApi, SecretsApi, SysApi, TokensApi},
    wire::Wire,
};

/// A client of one server; cheap to clone, clones share connection and token.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    wire: Wire,
    credentials: Credentials,
    deadline: Duration,
    retry: Retry,
    largest: usize,
}

/// What a write left behind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Written {
    /// The new version; none where the backend has no numbered versions.
    pub version: Option<u64>,
    /// When it was stored, where the backend says so.
    pub created_at: Option<prost_types::Timestamp>,
    /// What the backend wants people to know.
    pub warnings: Vec<String>,
}

/// Secrets.
impl Client {
    /// Reads the latest version of a secret.
    ///
    /// # Errors
    /// `not_found`, `permission_denied` and the others of `SecretsService.Get`.
    pub async fn get(&self, path: impl Into<String>) -> Result<Secret, Error> {
        let asked = proto::SecretsServiceGetRequest { path: path.into(), ..Default::default() };
        self.secrets().get(asked).await.map(Secret::from)
    }

    /// Reads one version of a secret.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_version(&self, path: impl Into<String>, version: u64) -> Result<Secret, Error> {
        let asked = proto::SecretsServiceGetRequest { path: path.into(), version: Some(version), refresh: false };
        self.secrets().get(asked).await.map(Secret::from)
    }

    /// Stores a new version of a secret: a JSON object.
    ///
    /// # Errors
    /// Those of `SecretsService.Put`. See [`Error::may_be_done`].
    pub async fn put(&self, path: impl Into<String>, value: impl Into<Value>) -> Result<Written, Error> {
        self.put_over(path.into(), value.into(), None).await
    }

    /// Stores a new version only over this one; 0: only if there is none.
    ///
    /// # Errors
    /// `precondition_failed` when it is another; else as [`Client::put`].
    pub async fn put_if(
        &self,
        path: impl Into<String>,
        value: impl Into<Value>,
        expected_version: u64,
    ) -> Result<Written, Error> {
        self.put_over(path.into(), value.into(), Some(expected_version)).await
    }

    async fn put_over(&self, path: String, value: Value, expected_version: Option<u64>) -> Result<Written, Error> {
        let asked = proto::SecretsServicePutRequest { path, json: value.into_bytes(), expected_version };
        let proto::SecretsServicePutResponse { version, created_at, warnings, .. } = self.secrets().put(asked).await?;
        Ok(Written { version, created_at, warnings })
    }

    /// Merges into the current version of a secret (RFC 7396).
    ///
    /// # Errors
    /// `not_found` when there is none; else as [`Client::put`].
    pub async fn patch(&self, path: impl Into<String>, value: impl Into<Value>) -> Result<Written, Error> {
        let json = value.into().into_bytes();
        let asked = proto::SecretsServicePatchRequest { path: path.into(), json, expected_version: None };
        let answer = self.secrets().patch(asked).await?;
        Ok(Written { version: answer.version, created_at: answer.created_at, warnings: answer.warnings })
    }

    /// Soft-deletes the latest version of a secret.
    ///
    /// # Errors
    /// Those of `SecretsService.Delete`.
    pub async fn delete(&self, path: impl Into<String>) -> Result<(), Error> {
        let asked = proto::SecretsServiceDeleteRequest { path: path.into(), versions: Vec::new() };
        self.secrets().delete(asked).await.map(drop)
    }

    /// Has the backend replace a secret by a new one that it makes itself.
    ///
    /// # Errors
    /// `method_not_allowed` where it makes none.
    pub async fn rotate(&self, path: impl Into<String>) -> Result<Written, Error> {
        let asked = proto::SecretsServiceRotateRequest { path: path.into(), params_json: Bytes::new() };
        let answer = self.secrets().rotate(asked).await?;
        Ok(Written { version: answer.version, created_at: answer.created_at, warnings: answer.warnings })
    }

    /// The names in a folder; empty: at the top.
    ///
    /// # Errors
    /// `not_found` when there is no such folder.
    pub async fn list(&self, folder: impl Into<String>) -> Result<Vec<String>, Error> {
        let asked = proto::SecretsServiceListRequest { path: folder.into(), ..Default::default() };
        self.secrets().list(asked).await.map(|answer| answer.keys)
    }
}

/// Every method of every service, with its messages.
impl Client {
    /// `SecretsService`.
    #[must_use]
    pub const fn secrets(&self) -> SecretsApi<'_> {
        SecretsApi(self)
    }

    /// `LeaseService`.
    #[must_use]
    pub const fn leases(&self) -> LeasesApi<'_> {
        LeasesApi(self)
    }

    /// `TokenService`.
    #[must_use]
    pub const fn tokens(&self) -> TokensApi<'_> {
        TokensApi(self)
    }

    /// `PolicyService`.
    #[must_use]
    pub const fn policies(&self) -> PoliciesApi<'_> {
        PoliciesApi(self)
    }

    /// `LimitService`.
    #[must_use]
    pub const fn limits(&self) -> LimitsApi<'_> {
        LimitsApi(self)
    }

    /// `MountService`.
    #[must_use]
    pub const fn mounts(&self) -> MountsApi<'_> {
        MountsApi(self)
    }

    /// `SysService`.
    #[must_use]
    pub const fn sys(&self) -> SysApi<'_> {
        SysApi(self)
    }

    /// `AuditService`.
    #[must_use]
    pub const fn audit(&self) -> AuditApi<'_> {
        AuditApi(self)
    }

    /// `AuthService`.
    #[must_use]
    pub const fn auth(&self) -> AuthApi<'_> {
        AuthApi(self)
    }
}

impl Client {
    /// A client of the server at `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
    #[must_use]
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address)
    }

    /// Keeps the token alive as long as what it returns lives, on the runtime that it is called on.
    #[must_use]
    pub fn renew_in_background(&self) -> Renewal {
        Renewal::start(self.clone())
    }

    pub(crate) fn new(wire: Wire, credentials: Credentials, builder: &Builder) -> Self {
        let Builder { deadline, retry, largest, .. } = *builder;
        Self(Arc::new(Shared { wire, credentials, deadline, retry, largest }))
    }

    /// The same server, asked without a token.
    pub(crate) fn stranger(&self) -> Self {
        let Shared { wire, deadline, retry, largest, .. } = &*self.0;
        let (wire, credentials) = (wire.clone(), Credentials::default());
        Self(Arc::new(Shared { wire, credentials, deadline: *deadline, retry: *retry, largest: *largest }))
    }

    pub(crate) fn wire(&self) -> Wire {
        self.0.wire.clone()
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.0.deadline
    }

    pub(crate) fn retry(&self) -> Retry {
        self.0.retry
    }

    pub(crate) fn largest(&self) -> usize {
        self.0.largest
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.0.wire.origin()).finish_non_exhaustive()
    }
}
