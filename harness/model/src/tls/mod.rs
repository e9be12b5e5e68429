//! TLS between the load client and the service: how files say it, and how handshakes end.

mod certificates;
mod failure;
pub mod file;

use std::path::Path;

pub use certificates::{Certificate, Certificates, NO_CERTIFICATES, Which};
pub use failure::TlsFailure;

/// What stands for the trial's folder at the beginning of a path.
const DIR: &str = "{dir}/";
/// What stands for the description's folder at the beginning of a path.
const SOURCE: &str = "{source}/";

/// How the load client speaks TLS. What is `None` has its default; see [`file::TlsFile`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whom the client trusts; `None`: whom the machine trusts.
    pub ca: Option<PemFile>,
    /// For whom it asks, and whose name the certificate has to bear.
    pub server_name: Option<String>,
    /// Protocols that it offers, in order of preference.
    pub alpn: Option<Vec<String>>,
    /// By what it shows who it is itself.
    pub client_cert: Option<PemFile>,
    /// The key of that certificate; `None`: it stands in the same file.
    pub client_key: Option<PemFile>,
    /// Whether any certificate will do.
    pub insecure: Option<bool>,
    /// Whether later handshakes may resume what earlier ones have agreed on.
    pub resumption: Option<bool>,
}

/// A file in PEM that a description or a scenario names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile {
    /// The path as it is written.
    pub path: String,
    /// Beside what it is to be looked for.
    pub beside: Beside,
}

/// Whose folder a relative path counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// That of the supervisor's description.
    Description,
    /// That of the scenario.
    Scenario,
}

/// Where a file in PEM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the trial's folder: the service makes it as it starts.
    Made(&'a Path),
    /// In the description's folder.
    Description(&'a Path),
    /// In the scenario's folder.
    Scenario(&'a Path),
    /// At an absolute path.
    Absolute(&'a Path),
}

impl PemFile {
    /// Where it is to be found.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        let path = &self.path;
        if let Some(rest) = path.strip_prefix(DIR) {
            Place::Made(Path::new(rest))
        } else if let Some(rest) = path.strip_prefix(SOURCE) {
            Place::Description(Path::new(rest))
        } else if path.starts_with('/') {
            Place::Absolute(Path::new(path))
        } else {
            match self.beside {
                Beside::Description => Place::Description(Path::new(path)),
                Beside::Scenario => Place::Scenario(Path::new(path)),
            }
        }
    }
}

impl Tls {
    /// The same, but for what another says. Whom to trust is one matter, and so is a certificate with its key.
    #[must_use]
    pub fn overridden_by(&self, other: &Self) -> Self {
        let trusts = other.ca.is_some() || other.insecure.is_some();
        let shows = other.client_cert.is_some();
        let (trust, shown) = (if trusts { other } else { self }, if shows { other } else { self });
        Self {
            ca: trust.ca.clone(),
            insecure: trust.insecure,
            client_cert: shown.client_cert.clone(),
            client_key: shown.client_key.clone(),
            server_name: other.server_name.clone().or_else(|| self.server_name.clone()),
            alpn: other.alpn.clone().or_else(|| self.alpn.clone()),
            resumption: other.resumption.or(self.resumption),
        }
    }

    /// Every file that it names, with the key that names it.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PemFile)> {
        let named = [("ca", &self.ca), ("client-cert", &self.client_cert), ("client-key", &self.client_key)];
        named.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?)))
    }

    /// Whether any certificate will do.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure.unwrap_or(false)
    }

    /// Whether later handshakes may resume what earlier ones have agreed on.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.resumption.unwrap_or(false)
    }

    /// For whom the client asks.
    #[must_use]
    pub fn name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(file::SERVER_NAME_DEFAULT)
    }
}

#[cfg(test)]
mod tests;
