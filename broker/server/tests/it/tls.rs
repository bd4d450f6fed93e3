//! TLS with certificates of a test's own: what is spoken, and whom either side trusts.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::running::{BINARY, Running};

/// A CA whose certificate lies in `folder/<name>.pem`.
pub(crate) struct Authority {
    folder: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder: folder.to_owned(), file, issuer: Issuer::new(params, key) }
    }

    /// Files of a certificate and its key.
    pub(crate) fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> [String; 2] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["crt", "key"].map(|kind| self.folder.join(format!("{name}.{kind}")));
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        files.map(|file| file.display().to_string())
    }

    pub(crate) fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }
}

pub(crate) fn serve(folder: &Path, authority: &Authority, more: &str) -> Running {
    let [certificate, key] = authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    Running::serve(folder, &format!("tls.cert_file = \"{certificate}\"\ntls.key_file = \"{key}\"\n{more}"))
}

/// The status and version of HTTP that curl saw; `000` for none.
fn curl(warder: &Running, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}"])
        .args(arguments)
        .arg(format!("https://{}/livez", warder.address))
        .output()
        .expect("curl is installed: apt-get install curl");
    String::from_utf8(output.stdout).unwrap()
}

/// `warder status`; a server that is reached is not initialized, which is exit code 7.
fn status(warder: &Running, arguments: &[&str]) -> (i32, String) {
    let output: Output = Command::new(BINARY)
        .arg("status")
        .args(arguments)
        .env("WARDER_ADDR", format!("https://{}", warder.address))
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn tls_1_3_is_served_and_1_2_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let warder = serve(folder.path(), &authority, "");
    let trusting = ["--cacert", authority.file()];
    assert_eq!(curl(&warder, &[&trusting[..], &["--tlsv1.3", "--http1.1"]].concat()), "200 1.1");
    assert_eq!(curl(&warder, &[&trusting[..], &["--tlsv1.3", "--http2"]].concat()), "200 2");
    let old = curl(&warder, &[&trusting[..], &["--tls-max", "1.2"]].concat());
    assert!(old.starts_with("000"), "{old}");
    assert!(curl(&warder, &[&trusting[..], &["--tlsv1.3"]].concat()).starts_with("200"), "it still serves");
}

#[test]
fn the_command_line_trusts_the_named_ca_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let foreign = Authority::new(folder.path(), "foreign");
    let warder = serve(folder.path(), &authority, "");
    assert_eq!(status(&warder, &["--cacert", authority.file()]).0, 7);
    let (code, words) = status(&warder, &["--cacert", foreign.file()]);
    assert_eq!(code, 3, "{words}");
    assert!(words.contains("UnknownIssuer") && words.contains("--cacert"), "{words}");
}

#[test]
fn where_a_client_ca_is_set_only_its_certificates_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let clients = Authority::new(folder.path(), "clients");
    let foreign = Authority::new(folder.path(), "foreign");
    let warder = serve(folder.path(), &authority, &format!("tls.client_ca_file = \"{}\"", clients.file()));
    let good = clients.sign("good", ExtendedKeyUsagePurpose::ClientAuth);
    let bad = foreign.sign("bad", ExtendedKeyUsagePurpose::ClientAuth);
    for (shown, served) in [(None, false), (Some(&bad), false), (Some(&good), true)] {
        let mut of_curl = vec!["--cacert", authority.file()];
        let mut of_ours = of_curl.clone();
        if let Some([certificate, key]) = shown {
            of_curl.extend(["--cert", certificate, "--key", key]);
            of_ours.extend(["--client-cert", certificate, "--client-key", key]);
        }
        let seen = curl(&warder, &of_curl);
        assert_eq!(seen.starts_with("200"), served, "{shown:?}: {seen}");
        let (code, words) = status(&warder, &of_ours);
        assert_eq!(code, if served { 7 } else { 3 }, "{shown:?}: {words}");
    }
    let (code, words) = status(&warder, &["--client-cert", &good[0]]);
    assert_eq!(code, 2);
    assert!(words.contains("--client-key"), "{words}");
}
