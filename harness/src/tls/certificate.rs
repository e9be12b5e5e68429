//! What a certificate says.

use std::fmt::Write as _;
use std::net::IpAddr;

use holdline_model::tls::Certificate;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What a certificate says (DER). Of one that cannot be read, only the fingerprint is known.
#[must_use]
pub fn describe(der: &[u8]) -> Certificate {
    let fingerprint = hexadecimal(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
    let Ok(certificate) = X509::from_der(der) else {
        return Certificate { fingerprint, ..Certificate::default() };
    };
    let said = certificate.tbs_certificate();
    let alternatives = said.get_extension::<SubjectAltName>().ok().flatten();
    let names = alternatives.iter().flat_map(|(_, names)| names.0.iter().filter_map(name)).collect();
    Certificate {
        fingerprint,
        serial: hexadecimal(said.serial_number().as_bytes()),
        subject: said.subject().to_string(),
        names,
        not_after: said.validity().not_after.to_date_time().to_string(),
    }
}

/// From when to when a certificate is valid, in seconds since 1970; `None` of one that cannot be read.
pub(super) fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let certificate = X509::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
    Some((seconds(&validity.not_before), seconds(&validity.not_after)))
}

/// A host name or an address; nothing else can be asked for.
fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(address) => match address.as_bytes() {
            bytes if bytes.len() == 4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            bytes => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        GeneralName::OtherName(_)
        | GeneralName::Rfc822Name(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::UniformResourceIdentifier(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_is_read() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = ["shop.test", "127.0.0.1", "::1"].map(str::to_owned);
        let mut parameters = rcgen::CertificateParams::new(names).expect("names");
        parameters.serial_number = Some(vec![1, 0xab].into());
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "shop");
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let said = describe(certificate.der());
        assert_eq!((said.serial.as_str(), said.fingerprint.len()), ("01ab", 64));
        assert!(said.subject.contains("CN=shop"), "{}", said.subject);
        assert_eq!(said.names, ["shop.test", "127.0.0.1", "::1"]);
        assert_eq!(said.not_after, "2031-02-03T00:00:00Z");
        assert!(validity(certificate.der()).is_some_and(|(from, to)| from < to));
        assert_eq!(describe(b"none").serial, "");
    }
}
