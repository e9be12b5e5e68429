//! TLS handshakes that came to nothing, by why.

use std::collections::BTreeMap;

use super::said::{Said, count};
use super::story::Story;
use crate::record::{ClientRecord, Outcome};
use crate::tls::{TlsFailure, Which};
use crate::words::{Blame, Fate};

/// One line for each reason, and for each certificate that was the reason.
pub(super) fn failed(story: &Story<'_>) -> Vec<Said> {
    let mut groups: BTreeMap<(TlsFailure, Which), Vec<&ClientRecord>> = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::NoReply)) {
        if let Outcome::Tls(failure) = record.outcome {
            let certificate = record.certificate.filter(|_| failure.is_of_certificate());
            groups.entry((failure, certificate)).or_default().push(record);
        }
    }
    let say = |((failure, certificate), lost): ((TlsFailure, Which), Vec<&ClientRecord>)| {
        let head = count(lost.len() as u64, format!(" failed in the TLS handshake: {failure}"));
        if failure == TlsFailure::NotTls {
            return Said::quoting(head, story, &lost);
        }
        let shown = certificate
            .and_then(|which| story.facts.certificates.as_ref()?.get(usize::from(which.get()) - 1));
        let said = match shown {
            Some(certificate) => head.text(format!(" ({certificate})")),
            None => head,
        };
        Said::after(said, story.out_of_descriptors(&lost))
    };
    groups.into_iter().map(say).collect()
}
