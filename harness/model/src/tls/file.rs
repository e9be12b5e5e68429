//! `[tls]` as descriptions and scenarios write it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Beside, PemFile, Tls};
use crate::file::{At, Problem};

/// For whom a client asks that is not told: the service is on this machine.
pub const SERVER_NAME_DEFAULT: &str = "localhost";
/// The longest name of a protocol (RFC 7301, section 3.1).
const ALPN_BYTES_MAX: usize = 255;
/// The longest name of a server (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;

/// How the load client speaks TLS to the service. Relative paths count from the folder of this file; `{dir}/` at the
/// beginning of one stands for the trial's folder, `{source}/` for that of the description.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsFile {
    /// Certificates (PEM) of whom the client trusts. Default: whom this machine trusts.
    pub ca: Option<At<String>>,
    /// The name that the client asks for (SNI) and that the certificate has to bear; or an IP address. Default:
    /// localhost.
    pub server_name: Option<At<String>>,
    /// Protocols that the client offers (ALPN), in order of preference; an empty list offers none. Default:
    /// http/1.1 over HTTP, else none.
    pub alpn: Option<At<Vec<At<String>>>>,
    /// Certificate (PEM) by which the client shows who it is, with those that lead to whom the server trusts.
    /// Default: none.
    pub client_cert: Option<At<String>>,
    /// The key (PEM) of that certificate. Default: the one in the same file.
    pub client_key: Option<At<String>>,
    /// Whether any certificate will do; not with `ca`. Default: false.
    pub insecure: Option<At<bool>>,
    /// Whether later handshakes may resume what earlier ones have agreed on. Default: false, each client is new.
    pub resumption: Option<bool>,
}

/// What a table says.
pub(crate) fn tls(file: &TlsFile, beside: Beside) -> Result<Tls, Problem> {
    if let (Some(At { value: true, .. }), Some(ca)) = (&file.insecure, &file.ca) {
        return Err(ca
            .problem("any certificate will do, so that nobody is asked who has signed it")
            .expecting("`ca`, or `insecure = true`"));
    }
    if let (None, Some(key)) = (&file.client_cert, &file.client_key) {
        return Err(key
            .problem("a key is of no use without its certificate")
            .expecting("`client-cert` beside it"));
    }
    let pem = |path: &Option<At<String>>| path.as_ref().map(|path| pem(path, beside)).transpose();
    Ok(Tls {
        ca: pem(&file.ca)?,
        server_name: file.server_name.as_ref().map(server_name).transpose()?,
        alpn: file.alpn.as_ref().map(|list| list.value.iter().map(protocol).collect()).transpose()?,
        client_cert: pem(&file.client_cert)?,
        client_key: pem(&file.client_key)?,
        insecure: file.insecure.as_ref().map(|insecure| insecure.value),
        resumption: file.resumption,
    })
}

fn pem(path: &At<String>, beside: Beside) -> Result<PemFile, Problem> {
    if path.value.is_empty() || path.value.contains('\0') {
        return Err(path.problem("this is no path").expecting("the path of a file in PEM"));
    }
    Ok(PemFile { path: path.value.clone(), beside })
}

fn server_name(name: &At<String>) -> Result<String, Problem> {
    let is_address = name.value.parse::<std::net::IpAddr>().is_ok();
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(is_plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = name.value.len() <= NAME_BYTES_MAX && name.value.split('.').all(is_label);
    if is_address || is_name {
        return Ok(name.value.clone());
    }
    Err(name
        .problem("a certificate cannot bear this name")
        .expecting("a host name like `shop.test`, without scheme and port, or an IP address"))
}

fn protocol(name: &At<String>) -> Result<String, Problem> {
    if (1..=ALPN_BYTES_MAX).contains(&name.value.len()) {
        return Ok(name.value.clone());
    }
    Err(name.problem("this is no name of a protocol").expecting("something like \"http/1.1\""))
}
