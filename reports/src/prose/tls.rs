//! What is said of a trial's TLS handshakes.

use holdline_model::result::{CertificateResult, TlsResult, TrialResult};

use crate::text::{count, counted, duration, plain};

/// How many there were, how many failed and why, and which certificate was shown when.
pub(crate) fn tls(trial: &TrialResult) -> Option<String> {
    let TlsResult { completed, resumed, failed, certificates } = trial.tls.as_ref()?;
    let mut text = counted(*completed, "handshake");
    if *resumed > 0 {
        text.push_str(&format!(", {} of them resumed", count(*resumed)));
    }
    let total: u64 = failed.values().sum();
    if total > 0 {
        let causes = failed.iter().map(|(why, n)| format!("{} {}", count(*n), why.replace('_', " ")));
        text.push_str(&format!(
            ", {} failed ({})",
            count(total),
            plain(&causes.collect::<Vec<_>>().join(", "))
        ));
    }
    for certificate in certificates {
        text.push_str(&format!("; {}", shown(certificate)));
    }
    Some(text)
}

fn shown(certificate: &CertificateResult) -> String {
    let CertificateResult { certificate, shown, first_ns, last_ns } = certificate;
    let (first, last) = (duration(*first_ns), duration(*last_ns));
    let which = plain(&certificate.in_short());
    format!("certificate {which} shown {} times from {first} to {last}", count(*shown))
}

#[cfg(test)]
mod tests {
    use holdline_model::tls::Certificate;

    use super::*;
    use crate::sample;

    #[test]
    fn who_speaks_no_tls_has_nothing_to_tell_and_who_does_tells_of_each_certificate() {
        let mut trial = sample::held("a", "b");
        assert_eq!(tls(&trial), None);
        let certificate = Certificate { subject: "CN=\u{1b}[31m".into(), ..Certificate::default() };
        let certificate =
            CertificateResult { certificate, shown: 7, first_ns: 2_000_000, last_ns: 3_000_000 };
        trial.tls = Some(TlsResult {
            completed: 7,
            resumed: 2,
            failed: [("cut".to_owned(), 1)].into(),
            certificates: vec![certificate],
        });
        let text = tls(&trial).expect("a text");
        assert!(
            text.contains("2 of them resumed") && text.contains("1 cut") && text.contains("2.00 ms"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
