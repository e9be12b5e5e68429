//! Which of a command's listeners is probed: over IPv4, IPv6 and Unix sockets.

use holdline_model::words::Fate;

use super::{probe, service, trial_of};
use crate::common::Place;

/// Probes a planted service that listens at these addresses.
fn probed(place: &Place, options: &[&str], addresses: &[&str]) -> (Option<i32>, String, String) {
    let service = service("probed.py");
    let command = [&["python3", service.as_str()], addresses].concat();
    probe(place, options, &command)
}

#[track_caller]
fn goes_to(options: &[&str], addresses: &[&str], said: &[&str]) {
    let place = Place::new();
    let (_, output, errors) = probed(&place, options, addresses);
    for said in said {
        assert!(errors.contains(said), "{said}: {errors}");
    }
    assert!(place.path("out/run.json").exists(), "{output}{errors}");
    let noise = trial_of(&place, "nothing");
    assert!(noise.fates[&Fate::Served] > 0, "{:?} {errors}", noise.fates);
    let left = place.path("").read_dir().expect("a folder").flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "out").collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn what_takes_both_families_is_probed_over_ipv4_or_as_it_is_named() {
    goes_to(&[], &["[::]:8131"], &["[::]:8131", "dual-stack", "127.0.0.1:8131 is probed"]);
    goes_to(&["--address", "[::1]:8132"], &["[::]:8132"], &["[::1]:8132 is probed"]);
    goes_to(&[], &["[::1]:8133"], &["[::1]:8133 is probed"]);
}

#[test]
fn unix_sockets_are_probed_wherever_they_are_and_none_is_left() {
    // Below /tmp, which is the trial's own, and in the folder where it is started.
    goes_to(&[], &["/tmp/holdline-probed.sock"], &["/tmp/holdline-probed.sock is probed"]);
    goes_to(&[], &["./web.sock"], &["web.sock is probed"]);
}

#[test]
fn of_several_listeners_the_one_that_is_named_is_probed() {
    let place = Place::new();
    let both = ["--also", "127.0.0.1:8134", "127.0.0.1:8135"];
    for options in [&[][..], &["--address", "127.0.0.1:8136"]] {
        let (code, _, errors) = probed(&place, options, &both);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("127.0.0.1:8134") && errors.contains("127.0.0.1:8135"), "{errors}");
        assert!(!place.path("out").exists(), "{errors}");
    }
    goes_to(&["--address", "127.0.0.1:8135"], &both, &["127.0.0.1:8135 is probed"]);
    // A port goes before a Unix socket, as programs have it to be controlled by.
    goes_to(
        &[],
        &["--also", "/tmp/control", "127.0.0.1:8137"],
        &["/tmp/control", "127.0.0.1:8137 is probed"],
    );
}

#[test]
fn a_path_that_is_another_in_each_trial_is_refused() {
    let place = Place::new();
    let shell = format!("exec python3 {} $TMPDIR/x", service("probed.py"));
    let (code, _, errors) = probe(&place, &[], &["sh", "-c", &shell]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("TMPDIR"), "{errors}");
}
