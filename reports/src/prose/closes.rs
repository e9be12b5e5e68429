//! What is said of how servers closed connections of WebSocket.

use holdline_model::result::TrialResult;

use crate::text::count;

/// How often by which status code.
pub(crate) fn closes(trial: &TrialResult) -> Option<String> {
    let said = |(code, times): (&u16, &u64)| match code {
        1005 => format!("{} without a status code", count(*times)),
        1006 => format!("{} cut without a close (1006)", count(*times)),
        code => format!("{} with status code {code}", count(*times)),
    };
    let all: Vec<String> = trial.close_codes.iter().map(said).collect();
    (!all.is_empty()).then(|| format!("by the server: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn closes_are_told_by_their_codes() {
        let mut trial = sample::held("a", "b");
        assert_eq!(closes(&trial), None);
        trial.close_codes = [(1001, 2), (1006, 1)].into();
        let text = closes(&trial).expect("closes");
        assert!(text.contains("2 with status code 1001") && text.contains("1 cut"), "{text}");
    }
}
