//! Real TLS servers on loopback, and the authorities that sign for them.

#![allow(dead_code)] // each test binary uses its part
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use maglev::config::{CheckKind, Healthcheck, HttpCheck, TcpCheck, Tls, Trust, TrustFrom, server_name};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::probe_support::{V4, check, serve};

/// Two authorities of one name would be taken for one whose signatures are bad.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub type Secure = StreamOwned<ServerConnection, TcpStream>;

/// An authority, with its certificate in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    _dir: tempfile::TempDir,
    pub path: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, issuer.as_ref().pem()).unwrap();
        let path = path.to_str().unwrap().to_owned();
        Authority { issuer, _dir: dir, path }
    }

    /// A server's configuration, with a certificate for `names` changed by `change`.
    pub fn server_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let (chain, key) = self.certificate(names, change);
        Arc::new(
            ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap(),
        )
    }

    /// A server that wants a certificate of this authority from its clients.
    pub fn server_of_few(&self, names: &[&str]) -> Arc<ServerConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().to_vec().into()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let (chain, key) = self.certificate(names, |_| {});
        Arc::new(
            ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain, key)
                .unwrap(),
        )
    }

    fn certificate(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from(made.der().to_vec())];
        (chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub fn server(&self, names: &[&str]) -> Arc<ServerConfig> {
        self.server_with(names, |_| {}, rustls::ALL_VERSIONS)
    }

    /// What trusts this authority.
    pub fn tls(&self, name: Option<&str>) -> Tls {
        tls(TrustFrom::File(self.path.clone()), name)
    }
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub fn tls(from: TrustFrom, name: Option<&str>) -> Tls {
    let server_name = name.map(|n| server_name(n).expect("a name"));
    Tls { server_name, trust: Trust::load(from).unwrap() }
}

/// A TLS peer that does `talk` with each connection once it is there. Its port.
pub fn secure(config: Arc<ServerConfig>, talk: impl Fn(Secure) + Send + Sync + 'static) -> u16 {
    serve(V4, move |socket| talk(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket)))
}

/// Answers one HTTP request, and closes as one should.
pub fn http_server(config: Arc<ServerConfig>, answer: &'static str) -> u16 {
    secure(config, move |mut s| {
        if asked(&mut s).is_some() {
            let _ = s.write_all(answer.as_bytes());
            s.conn.send_close_notify();
            let _ = s.flush();
        }
    })
}

/// Reads a request to its empty line; none when the connection breaks first.
pub fn asked(s: &mut Secure) -> Option<String> {
    let mut seen = Vec::new();
    let mut buf = [0; 16384];
    while !seen.ends_with(b"\r\n\r\n") {
        match s.read(&mut buf) {
            Ok(n) if n > 0 => seen.extend_from_slice(&buf[..n]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&seen).into_owned())
}

pub fn https(port: u16, timeout_ms: u64, tls: Tls) -> Arc<Healthcheck> {
    let kind = HttpCheck { tls: Some(tls), ..HttpCheck::default() };
    Arc::new(check(CheckKind::Http(kind), port, timeout_ms))
}

pub fn ssl(port: u16, timeout_ms: u64, tls: Tls) -> Arc<Healthcheck> {
    Arc::new(check(CheckKind::Tcp(TcpCheck { tls: Some(tls), ..TcpCheck::default() }), port, timeout_ms))
}
