use super::*;

fn read(text: &str) -> Loss {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The cause and what a server said are parts of that sentence.
#[test]
fn a_sentence_of_a_file_that_has_no_values_is_read_and_told_as_it_is() {
    let old = read(
        r#"{"kind":"refused","cause":{"what":"worker_exited","pid":5},"example":"x",
            "said":[{"count":2},{"text":" refused: nobody listened for "},{"ns":300000000},{"text":" after"}]}"#,
    );
    assert!(matches!(old.known, Known::Said(_)));
    assert_eq!(old.to_string(), "2 refused: nobody listened for 300 ms after");
    assert_eq!(read(&serde_json::to_string(&old).expect("JSON")), old);
}

#[test]
fn each_way_is_read_back_as_it_was_written() {
    let queue = Queue { held: 5, limit: 4, drops: None };
    let place = Place::Unknown;
    let stuck = vec![Stuck { pid: 7, by: Stall::CouldNotAccept(24) }];
    let closer = Closer::Accepter { pid: 7, end: End::Exited };
    for how in [
        How::PoisonUnrecorded { attempt: 1, got: PoisonReply::Status(500) },
        How::WorkerDied { pid: None },
        How::NobodyListened { silence: Silence::FromNs(7), failed_starts: 0 },
        How::NeverConnected { queue: Some(queue) },
        How::Closed { by: closer, cut: Cut { resets: 1, ..Cut::default() } },
        How::TooLong,
        How::TimedOut { place, partly: 0, in_tls: 0, stuck, failed_starts: 2 },
        How::QueueFull { inode: 9, queue, from_ns: 1, lasted_ns: 2 },
        How::Late { deadline_ns: 1, longest_ns: 2, spent: Some(Span { part: Part::InQueue, lasted_ns: 1 }) },
    ] {
        let loss = Loss::new(3, how).after(Some(Cause::WorkerExited { pid: 7 }));
        assert_eq!(read(&serde_json::to_string(&loss).expect("JSON")), loss);
    }
}
