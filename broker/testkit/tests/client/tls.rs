//! TLS: whom the client trusts, and what it shows of itself.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use warder_client::{Client, Retry, proto};
use warder_testkit::{Failure, Result, Warder, temp_dir};

use crate::told;

/// A CA in `folder/<name>.pem`, and a certificate of it in `folder/<name>-leaf.pem` with its key.
fn authority(folder: &Path, name: &str, usage: ExtendedKeyUsagePurpose) -> Result {
    let made = |why: rcgen::Error| Failure::new("make a certificate", why);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().map_err(made)?;
    fs::write(folder.join(name).with_extension("pem"), params.self_signed(&key).map_err(made)?.pem())?;
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(made)?;
    leaf.extended_key_usages = vec![usage];
    let key = KeyPair::generate().map_err(made)?;
    fs::write(folder.join(format!("{name}-leaf.pem")), leaf.signed_by(&key, &issuer).map_err(made)?.pem())?;
    fs::write(folder.join(format!("{name}-key.pem")), key.serialize_pem())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_trusts_the_named_ca_and_shows_its_certificate() -> Result {
    let folder = temp_dir()?;
    let here = |name: &str| folder.path().join(name);
    authority(folder.path(), "server", ExtendedKeyUsagePurpose::ServerAuth)?;
    authority(folder.path(), "clients", ExtendedKeyUsagePurpose::ClientAuth)?;
    authority(folder.path(), "others", ExtendedKeyUsagePurpose::ClientAuth)?;
    let config = format!(
        "storage.type = \"memory\"\naudit.file = {{ type = \"file\", path = \"{0}/audit.log\" }}\n[listener]\n\
         address = \"127.0.0.1:0\"\ntls.cert_file = \"{0}/server-leaf.pem\"\ntls.key_file = \"{0}/server-key.pem\"\n\
         tls.client_ca_file = \"{0}/clients.pem\"\n",
        folder.path().display()
    );
    fs::write(here("warder.toml"), config)?;
    let warder = Warder::serve(&here("warder.toml")).start()?;
    let address = format!("https://{}", warder.address());
    let builder = || Client::builder(&address).retry(Retry { attempts: 1, ..Retry::default() });
    let shown = |name: &str| (here(&format!("{name}-leaf.pem")), here(&format!("{name}-key.pem")));
    let (chain, key) = shown("clients");
    let good = told("build", builder().ca_file(here("server.pem")).client_certificate(chain, key).build())?;
    let status = told("status", good.sys().status(proto::SysServiceStatusRequest {}).await)?;
    assert!(status.status.is_some_and(|status| !status.initialized));
    let (chain, key) = shown("clients");
    let wrong_ca = builder().ca_file(here("clients.pem")).client_certificate(chain, key);
    let (chain, key) = shown("others");
    let wrong_certificate = builder().ca_file(here("server.pem")).client_certificate(chain, key);
    let none = builder().ca_file(here("server.pem"));
    for (what, builder) in [("CA", wrong_ca), ("certificate", wrong_certificate), ("no certificate", none)] {
        let client = told("build", builder.build())?;
        let error = client.sys().status(proto::SysServiceStatusRequest {}).await.err().ok_or(what)?;
        assert!(matches!(error.code(), "unreachable" | "interrupted"), "{what}: {error}");
    }
    let missing = builder().ca_file(here("missing.pem")).build().err().ok_or("a missing file is taken")?;
    assert!(missing.code() == "usage" && missing.message().contains("missing.pem"), "{missing}");
    Ok(())
}
