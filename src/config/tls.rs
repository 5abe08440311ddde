//! TLS of the checks that use it: whom they trust, made once for all checks of a file that trust the same.
//!
//! Reading certificates blocks, and so belongs on the loader's thread, as all of this module's parent does.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::settled::{Patience, settled, sleep};
use crate::budget::{Budget, Budgets, CERTIFICATES_OF_ONE, Reservation, size};

/// The most bytes of a `ca-file`: some 200 certificates are a quarter of it.
pub const MAX_CA_FILE: usize = 1 << 20;

/// Different files that one configuration may name in `ca-file`.
const MAX_CA_FILES: usize = 100;

/// The parameters of TLS of a check. Equal when the same is verified against the same certificates, so that a
/// `ca-file` with new contents under its old name makes another check.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// SNI and the name that is verified; none: the backend's address is verified, and no SNI sent.
    pub server_name: Option<ServerName<'static>>,
    /// Whose signature a certificate must have.
    pub trust: Trust,
}

/// Whose signature a certificate must have.
#[derive(Clone, PartialEq)]
pub struct Trust {
    from: TrustFrom,
    /// DER; empty for [`TrustFrom::Anyone`].
    roots: Arc<Vec<CertificateDer<'static>>>,
    client: Client,
    room: Room,
}

/// Where the trusted certificates come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TrustFrom {
    /// The host's trust store.
    Host,
    /// `ca-file`: an absolute path.
    File(String),
    /// `insecure-skip-verify`: from nowhere, since nothing is verified.
    Anyone,
}

/// What rustls makes of the rest of [`Trust`], and so equal to any other.
#[derive(Clone)]
struct Client(Arc<ClientConfig>);

impl PartialEq for Client {
    fn eq(&self, _: &Client) -> bool {
        true
    }
}

/// Their part of [`Budgets::certificates`], and so equal to any other.
#[derive(Clone)]
struct Room {
    _certificates: Option<Arc<Reservation>>,
}

impl PartialEq for Room {
    fn eq(&self, _: &Room) -> bool {
        true
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} certificates", self.from, self.roots.len())
    }
}

impl Trust {
    /// Reads the certificates. Blocks.
    ///
    /// # Errors
    /// In words: what is wrong with the file.
    pub fn load(from: TrustFrom) -> Result<Trust, String> {
        let roots = match &from {
            TrustFrom::Anyone => Vec::new(),
            // A store that is there only in part is used as far as it goes.
            TrustFrom::Host => rustls_native_certs::load_native_certs().certs,
            TrustFrom::File(path) => {
                let bytes = settled(Path::new(path), MAX_CA_FILE, Patience::SHORT, &mut sleep);
                let system = |e| crate::probe::text::words(e).into_owned();
                certificates(&bytes.map_err(|e| e.words(MAX_CA_FILE, system))?)?
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous();
        let mut store = RootCertStore::empty();
        let (good, _) = store.add_parsable_certificates(roots.iter().cloned());
        if good == 0 && matches!(from, TrustFrom::File(_)) {
            return Err("none of its certificates can be used as a trust anchor".into());
        }
        let verifier: Arc<dyn ServerCertVerifier> = if good == 0 {
            Arc::new(Unverified { provider, trusts: from == TrustFrom::Anyone })
        } else {
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
                .build()
                .map_err(|e| e.to_string())?
        };
        let mut client = builder.with_custom_certificate_verifier(verifier).with_no_client_auth();
        // A resumed session shows no certificate, and each probe is to see one.
        client.resumption = Resumption::disabled();
        Ok(Trust {
            from,
            roots: Arc::new(roots),
            client: Client(Arc::new(client)),
            room: Room { _certificates: None },
        })
    }

    /// Where the certificates came from.
    pub fn from(&self) -> &TrustFrom {
        &self.from
    }

    /// How many certificates were found.
    pub fn certificates(&self) -> usize {
        self.roots.len()
    }

    /// Bytes that they take: as they were read, and what the verifier makes of them.
    fn size(&self) -> usize {
        self.roots.iter().map(|c| 2 * c.len() + 500).sum()
    }

    /// For the prober.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.0.clone()
    }
}

impl Tls {
    /// The name to verify for a backend at `address`.
    pub fn name_for(&self, address: IpAddr) -> ServerName<'static> {
        self.server_name.clone().unwrap_or_else(|| ServerName::from(address))
    }
}

/// A name that a certificate can be for: a host name, with or without the last dot, or an address.
pub fn server_name(text: &str) -> Option<ServerName<'static>> {
    let name = text.strip_suffix('.').unwrap_or(text);
    ServerName::try_from(name.to_owned()).ok()
}

/// What a file's checks trust, each read once.
pub(super) struct Trusts {
    loaded: HashMap<TrustFrom, Result<Trust, String>>,
    certificates: Arc<Budget>,
    /// Bytes that those of this file take so far, and may take.
    spent: usize,
    most: usize,
}

impl Trusts {
    /// None yet; they are taken from those budgets.
    pub(super) fn new(budgets: &Budgets) -> Trusts {
        Trusts {
            loaded: HashMap::new(),
            certificates: budgets.certificates.clone(),
            spent: 0,
            most: CERTIFICATES_OF_ONE.min(budgets.certificates.limit()),
        }
    }

    /// As [`Trust::load`], or as it was before.
    pub(super) fn get(&mut self, from: TrustFrom) -> Result<Trust, String> {
        if let Some(known) = self.loaded.get(&from) {
            return known.clone();
        }
        if self.loaded.len() >= MAX_CA_FILES + 2 {
            return Err(format!("more than {MAX_CA_FILES} different files"));
        }
        let made = Trust::load(from.clone()).and_then(|trust| self.within(trust));
        self.loaded.insert(from, made.clone());
        made
    }

    fn within(&mut self, mut trust: Trust) -> Result<Trust, String> {
        let bytes = trust.size();
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.most {
            self.certificates.count_refusal();
            return Err(format!("all certificates together take more than {}", size(self.most)));
        }
        let room = self
            .certificates
            .reserve(bytes)
            .ok_or("no memory for its certificates beside those of the configurations before; try again")?;
        trust.room = Room { _certificates: Some(Arc::new(room)) };
        Ok(trust)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate in PEM form".into()),
        Ok(all) => Ok(all),
        Err(_) => Err("not well-formed PEM".into()),
    }
}

/// Looks at no certificate: for `insecure-skip-verify`, and for a host without a trust store, where no issuer is
/// known.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
    trusts: bool,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.trusts {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::UnknownIssuer.into())
        }
    }

    // Whose key it is does not matter, so neither does who has it: certificates too odd to be read pass as well.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
