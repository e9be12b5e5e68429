use super::*;

fn file(path: &str, beside: Beside) -> PemFile {
    PemFile { path: path.to_owned(), beside }
}

#[test]
fn paths_count_from_the_file_that_names_them() {
    let place = |path: &str, beside| format!("{:?}", file(path, beside).place());
    assert_eq!(place("ca.pem", Beside::Description), "Description(\"ca.pem\")");
    assert_eq!(place("x/ca.pem", Beside::Scenario), "Scenario(\"x/ca.pem\")");
    for beside in [Beside::Description, Beside::Scenario] {
        assert_eq!(place("/etc/ca.pem", beside), "Absolute(\"/etc/ca.pem\")");
        assert_eq!(place("{dir}/ca.pem", beside), "Made(\"ca.pem\")");
        assert_eq!(place("{source}/ca.pem", beside), "Description(\"ca.pem\")");
    }
}

#[test]
fn a_scenario_overrides_key_by_key_but_neither_half_of_an_identity_nor_of_trust() {
    let described = Tls {
        ca: Some(file("ca.pem", Beside::Description)),
        server_name: Some("shop.test".to_owned()),
        client_cert: Some(file("me.pem", Beside::Description)),
        client_key: Some(file("me.key", Beside::Description)),
        ..Tls::default()
    };
    assert_eq!(described.overridden_by(&Tls::default()), described);
    let insecure = Tls { insecure: Some(true), resumption: Some(true), ..Tls::default() };
    let both = described.overridden_by(&insecure);
    assert_eq!((&both.ca, both.is_insecure(), both.resumes()), (&None, true, true));
    assert_eq!((both.name(), &both.client_key), ("shop.test", &described.client_key));
    let other = Tls { client_cert: Some(file("both.pem", Beside::Scenario)), ..Tls::default() };
    let both = described.overridden_by(&other);
    assert_eq!((&both.client_cert, &both.client_key), (&other.client_cert, &None));
    assert_eq!(insecure.overridden_by(&Tls { ca: described.ca.clone(), ..Tls::default() }).insecure, None);
}

#[test]
fn each_failure_is_read_back_and_has_a_word_and_a_sentence_of_its_own() {
    let all: Vec<TlsFailure> =
        TlsFailure::NAMED.iter().copied().chain([40, 48, 116, 255].map(TlsFailure::Alert)).collect();
    let mut words: Vec<String> = all.iter().map(|failure| failure.in_short()).collect();
    let mut sentences: Vec<String> = all.iter().map(ToString::to_string).collect();
    for failure in all {
        let json = serde_json::to_string(&failure).expect("JSON");
        assert_eq!(serde_json::from_str::<TlsFailure>(&json).expect("a failure"), failure);
    }
    let count = words.len();
    for list in [&mut words, &mut sentences] {
        list.sort();
        list.dedup();
        assert_eq!(list.len(), count);
    }
}

#[test]
fn certificates_are_kept_once_each_and_so_many_at_most() {
    let mut kept = Certificates::default();
    let first = kept.keep(b"one");
    assert_eq!((kept.keep(b"two"), kept.keep(b"one")), (kept.keep(b"two"), first));
    assert!(kept.keep(b"").is_none());
    let more = (0..2_000_u32).filter(|number| kept.keep(&number.to_be_bytes()).is_some()).count();
    assert_eq!(more + 2, kept.all().count());
    assert!(more < 2_000);
    assert_eq!(kept.all().next(), Some(&b"one"[..]));
}

#[test]
fn certificates_that_others_have_kept_are_kept_once_and_found_again() {
    let (mut all, mut others) = (Certificates::default(), Certificates::default());
    let one = all.keep(b"one");
    let theirs = [others.keep(b"two"), others.keep(b"one")];
    let here = all.take_in(&others);
    assert_eq!(theirs.map(|which| here.of(which)), [all.keep(b"two"), one]);
    assert!(all.all().eq([b"one", b"two"]));
}
