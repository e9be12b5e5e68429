//! How TLS handshakes went, and which certificate was shown when.

use std::num::NonZeroU64;

use crate::facts::TrialFacts;
use crate::record::{ClientRecord, Outcome};
use crate::result::{CertificateResult, TlsResult};
use crate::series::Series;
use crate::words::Stage;

/// Counts them; `None` where the load client does not speak TLS.
pub(crate) fn count(client: Series<'_, ClientRecord>, facts: &TrialFacts) -> Option<TlsResult> {
    let certificates = facts.certificates.as_ref()?;
    let unseen = |certificate: &crate::tls::Certificate| CertificateResult {
        certificate: certificate.clone(),
        ..CertificateResult::default()
    };
    let mut result =
        TlsResult { certificates: certificates.iter().map(unseen).collect(), ..TlsResult::default() };
    for record in client.iter() {
        result.completed += u64::from(record.tls.is_some());
        result.resumed += u64::from(record.tls.is_some() && record.resumed);
        let failed = match record.outcome {
            Outcome::Tls(failure) => Some(failure.in_short()),
            Outcome::TimedOut(Stage::Tls) => Some("timed_out".to_owned()),
            _ => None,
        };
        if let Some(failed) = failed {
            *result.failed.entry(failed).or_default() += 1;
        }
        let shown =
            record.certificate.and_then(|which| result.certificates.get_mut(usize::from(which.get()) - 1));
        if let Some(shown) = shown {
            let at_ns =
                record.tls.or(record.finished).map_or(0, NonZeroU64::get).saturating_sub(facts.start_ns);
            shown.first_ns = if shown.shown == 0 { at_ns } else { shown.first_ns.min(at_ns) };
            shown.last_ns = shown.last_ns.max(at_ns);
            shown.shown += 1;
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::tls::{Certificate, TlsFailure};

    fn record(attempt: u32, tls_ns: u64, certificate: u16, outcome: Outcome) -> ClientRecord {
        ClientRecord {
            tls: NonZeroU64::new(tls_ns),
            finished: NonZeroU64::new(900),
            certificate: NonZeroU16::new(certificate),
            outcome,
            ..ClientRecord::planned(attempt, 0, false)
        }
    }

    #[test]
    fn each_certificate_is_counted_from_its_first_to_its_last_handshake() {
        let client = [
            record(0, 110, 1, Outcome::Replied),
            record(1, 150, 2, Outcome::Closed),
            record(2, 130, 1, Outcome::Replied),
            ClientRecord { resumed: true, ..record(3, 160, 0, Outcome::Replied) },
            record(4, 0, 2, Outcome::Tls(TlsFailure::Expired)),
            record(5, 0, 0, Outcome::Tls(TlsFailure::Cut)),
            record(6, 0, 0, Outcome::TimedOut(Stage::Tls)),
            record(7, 170, 2, Outcome::TimedOut(Stage::FirstByte)),
        ];
        let certificate = |serial: &str| Certificate { serial: serial.to_owned(), ..Certificate::default() };
        let certificates = Some(vec![certificate("01"), certificate("02")]);
        let facts = TrialFacts { start_ns: 100, certificates, ..TrialFacts::default() };
        let result = count((&client).into(), &facts).expect("TLS");
        assert_eq!((result.completed, result.resumed), (5, 1));
        let failed: Vec<(&str, u64)> = result.failed.iter().map(|(why, n)| (why.as_str(), *n)).collect();
        assert_eq!(failed, [("cut", 1), ("expired", 1), ("timed_out", 1)]);
        let shown = result
            .certificates
            .iter()
            .map(|it| (it.certificate.serial.as_str(), it.shown, it.first_ns, it.last_ns));
        assert_eq!(shown.collect::<Vec<_>>(), [("01", 2, 10, 30), ("02", 3, 50, 800)]);
        assert_eq!(count((&client).into(), &TrialFacts::default()), None);
    }
}
