//! The files in PEM that `[tls]` names.

use std::io;
use std::path::{Path, PathBuf};

use holdline_model::tls::{PemFile, Place, Tls};
use include_dir::Dir;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why the load client cannot speak TLS as it is told.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{key}` of [tls] names {}, which cannot be read: {error}", .path.display())]
    Read {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{key}` of [tls] names {}, which holds no {what} in PEM (a block that begins with -----BEGIN {marker}-----)", .path.display())]
    Lacks {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// How that begins.
        marker: &'static str,
    },
    /// A file is no PEM, or what it holds is no certificate.
    #[error("`{key}` of [tls] names {}, in which something is wrong: {why}", .path.display())]
    Wrong {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What.
        why: String,
    },
    /// A key that is not that of the certificate.
    #[error(
        "the key in {} does not fit the certificate in {}, which `client-cert` of [tls] names", .key.display(),
        .certificate.display()
    )]
    Misfit {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// No folder is there that a path could count from.
    #[error(
        "`{key}` of [tls] names {}, but a file that is part of holdline has no folder; give an absolute path",
        .path.display()
    )]
    NoFolder {
        /// The key that names it.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Nobody is trusted.
    #[error(
        "[tls] names nobody to trust, and this machine trusts nobody either: write `ca = \"ca.pem\"`, or \
         `insecure = true`"
    )]
    NobodyTrusted,
    /// A name that no certificate can bear.
    #[error("`server-name` of [tls] is `{0}`, which is neither a host name nor an address")]
    Name(String),
    /// The library refuses for a reason of its own.
    #[error("TLS cannot be set up: {0}")]
    Own(rustls::Error),
}

/// Where the files are that `[tls]` names.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// The folder of the description; `None`: there is none to read from.
    pub description: Option<PathBuf>,
    /// The folder of the description, where that is part of the executable.
    pub embedded: Option<&'static Dir<'static>>,
    /// The folder of the scenario; `None`: it is part of the executable.
    pub scenario: Option<PathBuf>,
    /// The trial's folder, once the service listens.
    pub made: Option<PathBuf>,
}

/// Whose signature counts.
#[derive(Debug)]
pub(super) enum Trusted {
    /// Anybody's.
    Any,
    /// That of these.
    Signers(Vec<CertificateDer<'static>>),
}

/// By what the client shows who it is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) files: IdentityFiles,
}

/// The files of an identity.
#[derive(Debug, Clone)]
pub(super) struct IdentityFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl IdentityFiles {
    /// What it means that the library refuses the two.
    pub(super) fn misfit(&self, error: rustls::Error) -> TlsError {
        let Self { certificate, key } = self.clone();
        match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Misfit { certificate, key },
            other => TlsError::Wrong { key: "client-cert", path: certificate, why: other.to_string() },
        }
    }
}

/// A file's path, and what it holds.
type Text = (PathBuf, Vec<u8>);

impl Folders {
    /// Whether all files that a table names can be read before the service is started.
    #[must_use]
    pub fn hold_all(&self, tls: &Tls) -> bool {
        self.made.is_some() || tls.files().all(|(_, file)| !matches!(file.place(), Place::Made(_)))
    }

    pub(super) fn trusted(&self, tls: &Tls) -> Result<Trusted, TlsError> {
        if tls.is_insecure() {
            return Ok(Trusted::Any);
        }
        let Some(file) = &tls.ca else {
            let certs = rustls_native_certs::load_native_certs().certs;
            return if certs.is_empty() { Err(TlsError::NobodyTrusted) } else { Ok(Trusted::Signers(certs)) };
        };
        let (path, text) = self.read("ca", file)?;
        let signers = certificates("ca", &path, &text)?;
        let mut roots = RootCertStore::empty();
        for signer in &signers {
            let wrong = |error: rustls::Error| TlsError::Wrong {
                key: "ca",
                path: path.clone(),
                why: error.to_string(),
            };
            roots.add(signer.clone()).map_err(wrong)?;
        }
        Ok(Trusted::Signers(signers))
    }

    pub(super) fn identity(&self, tls: &Tls) -> Result<Option<Identity>, TlsError> {
        let Some(file) = &tls.client_cert else { return Ok(None) };
        let (certificate, text) = self.read("client-cert", file)?;
        let chain = certificates("client-cert", &certificate, &text)?;
        let (named, (key_path, text)) = match &tls.client_key {
            Some(file) => ("client-key", self.read("client-key", file)?),
            None => ("client-cert", (certificate.clone(), text)),
        };
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::Lacks {
                key: named,
                path: key_path.clone(),
                what: "private key",
                marker: "PRIVATE KEY",
            },
            other => TlsError::Wrong { key: named, path: key_path.clone(), why: other.to_string() },
        })?;
        Ok(Some(Identity { chain, key, files: IdentityFiles { certificate, key: key_path } }))
    }

    fn read(&self, key: &'static str, file: &PemFile) -> Result<Text, TlsError> {
        let read = |path: PathBuf| match std::fs::read(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(TlsError::Read { key, path, error }),
        };
        let below = |folder: &Option<PathBuf>, path: &Path| match folder {
            Some(folder) => read(folder.join(path)),
            None => Err(TlsError::NoFolder { key, path: path.to_owned() }),
        };
        match file.place() {
            Place::Made(path) => below(&self.made, path),
            Place::Scenario(path) => below(&self.scenario, path),
            Place::Absolute(path) => read(path.to_owned()),
            Place::Description(path) => match self.embedded {
                Some(dir) => {
                    let full = dir.path().join(path);
                    let found = dir.get_file(&full).map(|file| file.contents().to_vec());
                    found.map(|text| (full.clone(), text)).ok_or(TlsError::Read {
                        key,
                        path: full,
                        error: io::ErrorKind::NotFound.into(),
                    })
                }
                None => below(&self.description, path),
            },
        }
    }
}

fn certificates(
    key: &'static str,
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found =
        found.map_err(|error| TlsError::Wrong { key, path: path.to_owned(), why: error.to_string() })?;
    if found.is_empty() {
        return Err(TlsError::Lacks {
            key,
            path: path.to_owned(),
            what: "certificate",
            marker: "CERTIFICATE",
        });
    }
    Ok(found)
}
