//! The load client's side of TLS, as far as it is no business of single connections: whom it trusts, by what it shows
//! who it is, and what the certificates say that servers show.
//!
//! The protocol itself is rustls's, with the cryptography of ring. The files that `[tls]` names are read before
//! anything is started; those that the service makes itself as it starts (`{dir}/…`) once it listens.

mod certificate;
mod files;
mod witness;

use std::sync::Arc;

use holdline_model::tls::{Certificates, Tls};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;

pub use self::certificate::describe;
pub use self::files::{Folders, TlsError};
pub use self::witness::Witness;

/// How many sessions of a server are remembered, where handshakes are resumed.
const SESSIONS_MAX: usize = 32;

/// All that connections over TLS have in common. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    witness: Arc<Witness>,
    /// Whether handshakes are resumed.
    resumes: bool,
}

impl TlsClient {
    /// A client that speaks TLS as this table says, and offers these protocols. Its files are read now.
    ///
    /// # Errors
    ///
    /// A file is missing or is not what it should be.
    pub fn new(tls: &Tls, alpn: &[String], folders: &Folders) -> Result<Self, TlsError> {
        let trusted = folders.trusted(tls)?;
        let witness = Arc::new(Witness::new(trusted, &provider())?);
        let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Own)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&witness) as _);
        let mut config = match folders.identity(tls)? {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain, identity.key)
                .map_err(|error| identity.files.misfit(error))?,
        };
        config.alpn_protocols = alpn.iter().map(|name| name.clone().into_bytes()).collect();
        let resumes = tls.resumes();
        config.resumption = resumption(resumes);
        let name =
            ServerName::try_from(tls.name().to_owned()).map_err(|_| TlsError::Name(tls.name().to_owned()))?;
        Ok(Self { config: Arc::new(config), name, witness, resumes })
    }

    /// A client that takes any certificate, and has nothing to show: to see whether somebody speaks TLS at all.
    ///
    /// # Errors
    ///
    /// [`TlsError::Own`].
    pub fn of_any() -> Result<Self, TlsError> {
        let tls = Tls { insecure: Some(true), ..Tls::default() };
        Self::new(&tls, &[], &Folders::default())
    }

    /// A client that speaks alike, for another thread: it sees its own sessions' certificates alone, and resumes none
    /// but its own.
    pub(crate) fn apart(&self) -> Self {
        let witness = Arc::new(self.witness.apart());
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::clone(&witness) as _);
        // A session is resumed by the verifier alone that has seen it begin.
        config.resumption = resumption(self.resumes);
        Self { config: Arc::new(config), name: self.name.clone(), witness, resumes: self.resumes }
    }

    /// What a session is made of: its configuration, and the name that it asks for.
    pub(crate) fn session(&self) -> (Arc<ClientConfig>, ServerName<'static>) {
        (Arc::clone(&self.config), self.name.clone())
    }

    /// Who sees the certificates of this client's sessions.
    pub(crate) fn witness(&self) -> &Arc<Witness> {
        &self.witness
    }
}

/// What these certificates say, in their order.
#[must_use]
pub fn describe_all(certificates: &Certificates) -> Vec<holdline_model::tls::Certificate> {
    certificates.all().map(describe).collect()
}

fn resumption(resumes: bool) -> Resumption {
    if resumes { Resumption::in_memory_sessions(SESSIONS_MAX) } else { Resumption::disabled() }
}

fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}
