//! Looks at each certificate that a server shows: keeps it for the record, and says whether it is trusted.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsError;
use super::certificate::validity;
use super::files::Trusted;

/// Looks at certificates.
#[derive(Debug)]
pub struct Witness {
    trust: Trust,
    provider: CryptoProvider,
    /// The certificate that was shown last, until somebody asks.
    shown: Mutex<Option<CertificateDer<'static>>>,
}

/// Which certificates are trusted.
#[derive(Debug, Clone)]
enum Trust {
    /// All.
    Any,
    /// Those that one of these has signed, and these themselves.
    Signed { by: Arc<WebPkiServerVerifier>, known: Vec<CertificateDer<'static>> },
}

impl Witness {
    pub(super) fn new(trusted: Trusted, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let trust = match trusted {
            Trusted::Any => Trust::Any,
            Trusted::Signers(known) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(known.iter().cloned());
                let builder =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider.clone()));
                let by = builder.build().map_err(|error| TlsError::Own(Error::General(error.to_string())))?;
                Trust::Signed { by, known }
            }
        };
        Ok(Self { trust, provider: provider.clone(), shown: Mutex::new(None) })
    }

    /// One that trusts the same, for sessions of another thread.
    pub(super) fn apart(&self) -> Self {
        Self { trust: self.trust.clone(), provider: self.provider.clone(), shown: Mutex::new(None) }
    }

    /// The certificate that was shown since the last call. Sessions are driven one after the other, so that it is
    /// that of the session that has just taken something in.
    pub(crate) fn take(&self) -> Option<CertificateDer<'static>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, certificate: &CertificateDer<'_>) {
        let shown = certificate.clone().into_owned();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.note(end_entity);
        match &self.trust {
            Trust::Any => Ok(ServerCertVerified::assertion()),
            // One that signs itself is a certificate of an authority for most tools that make one (`openssl req
            // -x509`), and no server's for webpki; but whom else should be trusted than who is named?
            Trust::Signed { known, .. } if known.contains(end_entity) => {
                known_itself(end_entity, server_name, now)
            }
            Trust::Signed { by, .. } => {
                by.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate that is trusted itself: whether it holds now, and for this name.
fn known_itself(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (from, to) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
    if now.as_secs() < from {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > to {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    Ok(ServerCertVerified::assertion())
}
