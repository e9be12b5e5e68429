//! Proxies that are given a new certificate, twice, while they serve: who was shown which is what the replies say of the
//! configuration that answered.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use flate2::read::GzDecoder;
use holdline_model::result::{TlsResult, TrialResult};
use holdline_model::words::Grade;
use libtest_mimic::{Failed, Trial};

use super::authority::Authority;
use super::common::{Place, read_result};
use super::copied::copy;
use super::lag::lagged;
use super::told::{test, unhindered};

/// The folder of descriptions, scenarios and templates.
const FOLDER: &str = "tls";
const VERSIONS: [&str; 3] = ["1", "2", "3"];

/// A trial, and for each version that answered the certificates that were shown, resumed handshakes aside.
struct Told {
    trial: TrialResult,
    shown: BTreeMap<String, BTreeSet<String>>,
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("certificates-of-apache", "tls/apache", || are_told_apart("apache")),
        test("certificates-of-caddy", "tls/caddy", || are_told_apart("caddy")),
        test("certificates-of-h2o", "tls/h2o", || are_told_apart("h2o")),
        test("certificates-of-haproxy", "tls/haproxy", || are_told_apart("haproxy")),
        test("certificates-of-lighttpd", "tls/lighttpd", || are_told_apart("lighttpd")),
        test("certificates-of-nginx", "tls/nginx", || are_told_apart("nginx")),
    ]
}

/// Whoever answered as a version had shown the certificate of that version, whether or not handshakes are resumed.
fn are_told_apart(proxy: &str) -> Result<(), Failed> {
    for (scenario, resumes) in [("renewed", false), ("renewed-resumed", true)] {
        let told = run(scenario, proxy)?;
        let Some(tls) = &told.trial.tls else { return Err(format!("{scenario}: no TLS").into()) };
        holds(&told, tls, resumes)
            .map_err(|why| format!("{scenario}: {why}; {tls:?}, {:?}", told.trial.losses))?;
    }
    Ok(())
}

fn holds(told: &Told, tls: &TlsResult, resumes: bool) -> Result<(), String> {
    if !matches!(told.trial.grade, Grade::Held | Grade::Delayed) {
        return Err(format!("{} {:?}", told.trial.grade, told.trial.reason));
    }
    let subjects: Vec<&str> = tls.certificates.iter().map(|it| it.certificate.subject.as_str()).collect();
    if subjects != VERSIONS.map(|version| format!("CN=version {version}")) {
        return Err(format!("shown were {subjects:?}"));
    }
    let fingerprint =
        |version: usize| BTreeSet::from([tls.certificates[version].certificate.fingerprint.clone()]);
    let expected: BTreeMap<String, BTreeSet<String>> = VERSIONS
        .iter()
        .enumerate()
        .map(|(index, version)| ((*version).to_owned(), fingerprint(index)))
        .collect();
    if told.shown != expected {
        return Err(format!("by version: {:?}", told.shown));
    }
    let shown: u64 = tls.certificates.iter().map(|certificate| certificate.shown).sum();
    let adds_up = shown + tls.resumed == told.trial.attempts && tls.completed == told.trial.attempts;
    if !adds_up || (tls.resumed > 0) != resumes {
        return Err(format!("{shown} shown, {} resumed, of {}", tls.resumed, told.trial.attempts));
    }
    let is_later = |pair: &[holdline_model::result::CertificateResult]| pair[0].first_ns < pair[1].first_ns;
    if tls.certificates.windows(2).all(is_later) { Ok(()) } else { Err("out of order".to_owned()) }
}

fn run(scenario: &str, proxy: &str) -> Result<Told, Failed> {
    // A proxy that takes longer to come up than until the next upgrade never shows what is between the two.
    let is_hindered = |told: &Told| lagged(&told.trial) || told.shown.len() < VERSIONS.len();
    unhindered(|| once(scenario, proxy), is_hindered)
}

fn once(scenario: &str, proxy: &str) -> Result<Told, Failed> {
    let place = Place::new();
    let folder = place.path(FOLDER);
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/chains").join(FOLDER), &folder)?;
    let authority = Authority::new();
    fs::write(folder.join("ca.pem"), authority.certificate())?;
    for version in VERSIONS {
        let signed = authority.sign(&format!("version {version}"));
        fs::write(folder.join(format!("server-{version}.pem")), signed.both())?;
    }
    let (scenario, proxy) =
        (format!("./{FOLDER}/scenarios/{scenario}.toml"), format!("./{FOLDER}/{proxy}.toml"));
    let arguments = ["run", &scenario, "-s", &proxy, "--out", "out", "--show-progress", "none"];
    let output = place.holdline(&arguments).output()?;
    let result = place.path("out").join("run.json");
    if !result.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let trial = read_result(&result).trials.pop().ok_or("there was no trial")?;
    let shown = by_version(&place.path("out").join(&trial.folder).join("attempts.csv.gz"))?;
    Ok(Told { trial, shown })
}

fn by_version(attempts: &Path) -> Result<BTreeMap<String, BTreeSet<String>>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_reader(GzDecoder::new(fs::File::open(attempts)?));
    let headers = reader.headers()?.clone();
    let column =
        |name: &str| headers.iter().position(|header| header == name).ok_or(format!("no column `{name}`"));
    let (version, certificate) = (column("version")?, column("certificate")?);
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in reader.records() {
        let row = row?;
        if !row[version].is_empty() && !row[certificate].is_empty() {
            shown.entry(row[version].to_owned()).or_default().insert(row[certificate].to_owned());
        }
    }
    Ok(shown)
}
