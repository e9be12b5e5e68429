//! The PROXY protocol, in front of services that take it and of those that do not.

use holdline_model::reason::{Reason, Remedy};
use holdline_model::words::{Fate, Grade};

use crate::common::{Place, read_result};
use crate::planted::{fixtures, run};

#[test]
fn services_that_want_a_header_get_one_that_names_both_ends() {
    for version in ["v1", "v2"] {
        for transport in ["tcp", "tcp6", "unix"] {
            let scenario = format!("proxy-{version}-{transport}");
            let planted = run(&scenario, &format!("wants-proxy-{version}"), &[]);
            let trial = &planted.trial;
            let served = (trial.grade, trial.fates[&Fate::Served]);
            assert_eq!(served, (Grade::Held, 20), "{scenario}: {:?}", trial.losses);
            assert!(trial.books.is_balanced(), "{scenario}: {:?}", trial.books);
            planted.said("named", 19);
        }
    }
}

#[test]
fn services_that_want_another_header_or_none_refuse_it() {
    for (scenario, service) in [("proxy-v1-tcp", "wants-proxy-v2"), ("proxy-v2-tcp", "wants-proxy-v1")] {
        let planted = run(scenario, service, &[]);
        let trial = &planted.trial;
        assert_eq!((trial.fates[&Fate::Served], trial.lost()), (0, 20), "{service}: {:?}", trial.losses);
        planted.said("refused", 19);
    }
    let bare = run("pool-after-a-lull", "wants-proxy-v1", &[]).trial;
    assert_eq!((bare.fates[&Fate::Served], bare.lost()), (0, 4), "{:?}", bare.losses);
    // It takes the header for a request of HTTP/0.9, and answers as that does: without a status.
    let plain = run("proxy-v1-tcp", "keeps-and-says-close", &[]).trial;
    assert_eq!((plain.fates[&Fate::Served], plain.fates[&Fate::WrongReply]), (0, 20), "{:?}", plain.losses);
}

#[test]
fn who_is_asked_without_the_header_that_he_wants_is_found_out_before_the_load() {
    for version in ["v1", "v2"] {
        let place = Place::new();
        let planted = fixtures();
        let text = std::fs::read_to_string(planted.join(format!("wants-proxy-{version}.toml")))
            .expect("a description");
        let asked = text
            .replace("reply = false, timeout = \"30s\"", "timeout = \"3s\"")
            .replace("{source}", planted.to_str().expect("UTF-8"));
        assert_ne!(asked, text);
        std::fs::write(place.path("service.toml"), asked).expect("room");
        let scenario = planted.join("scenarios/pool-after-a-lull.toml");
        let scenario = scenario.to_str().expect("UTF-8");
        let arguments = ["run", scenario, "-s", "./service.toml", "--out", "out", "--show-progress", "none"];
        let output = place.holdline(&arguments).output().expect("holdline runs");
        let trial = read_result(&place.path("out").join("run.json")).trials.pop().expect("a trial");
        assert_eq!((output.status.code(), trial.attempts), (Some(2), 0));
        let Some(Reason::NoRightReply { remedy, .. }) = trial.why else { panic!("{:?}", trial.why) };
        assert_eq!(remedy, Remedy::ExpectsHeader, "{version}");
    }
}
