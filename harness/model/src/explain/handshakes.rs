//! TLS handshakes that came to nothing, by why.

use std::collections::BTreeMap;

use super::replies::first_kept;
use super::story::Story;
use crate::record::{ClientRecord, Outcome};
use crate::result::{How, Loss};
use crate::tls::{TlsFailure, Which};
use crate::words::{Blame, Fate};

/// One for each reason, and for each certificate that was the reason.
pub(super) fn failed(story: &Story<'_>) -> Vec<Loss> {
    let mut groups: BTreeMap<(TlsFailure, Which), Vec<&ClientRecord>> = BTreeMap::new();
    for (_, record) in story.lost(Blame::Collateral, Some(Fate::NoReply)) {
        if let Outcome::Tls(failure) = record.outcome {
            let certificate = record.certificate.filter(|_| failure.is_of_certificate());
            groups.entry((failure, certificate)).or_default().push(record);
        }
    }
    let loss = |((failure, which), lost): ((TlsFailure, Which), Vec<&ClientRecord>)| {
        let shown =
            which.and_then(|which| story.facts.certificates.as_ref()?.get(usize::from(which.get()) - 1));
        let how = How::TlsFailed { failure, certificate: shown.cloned().map(Box::new) };
        let loss = Loss::new(lost.len() as u64, how);
        match failure {
            TlsFailure::NotTls => loss.quoting(first_kept(story, &lost)),
            _ => loss.after(story.out_of_descriptors(&lost)),
        }
    };
    groups.into_iter().map(loss).collect()
}
