//! That a supervisor is ready is seen from outside; services that bring their own workers are asked.

use holdline_model::words::Fate;

use crate::support::{Place, result, stderr};

/// Answers squares, and says of each connection that it was accepted.
const SERVER: &str = r#"
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=128)
while True:
    connection, _ = listener.accept()
    print("accepted", flush=True)
    line = connection.makefile().readline().strip()
    if line:
        connection.sendall(f"{line}*{line}={int(line) ** 2}\n".encode())
    connection.close()
"#;

#[test]
fn a_server_is_connected_to_by_attempts_alone() {
    assert_eq!(accepted("ready = { listening = true, workers = false }"), (7, 7));
}

#[test]
fn a_service_is_asked_before_the_load_and_nothing_of_it_is_counted() {
    let (accepted, served) = accepted("ready = { reply = true }");
    assert_eq!(served, 7);
    assert!(accepted > 7, "{accepted}");
}

/// How many connections a server accepted that is ready as this says, and how many attempts it served.
fn accepted(ready: &str) -> (usize, u64) {
    let place = Place::new();
    place.write("counts/server.py", SERVER);
    let description = "name = \"counts\"\nabout = \"counts connections\"\nversion = [\"echo\", \"1\"]\n\
                       runs = [\"itself\"]\nprotocol = \"square\"\ntransports = [\"tcp\"]\n\
                       socket = { holder = \"supervisor\", passing = \"own\" }\n\
                       start = [\"python3\", \"{source}/server.py\", \"{host}\", \"{port}\"]\n";
    place.write("counts/supervisor.toml", &format!("{description}{ready}\n"));
    let scenario = "name = \"few\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nattempts = 7\n\
                    send-lag = \"2s\"\n";
    place.write("few.toml", scenario);
    let arguments = ["run", "./few.toml", "-s", "./counts", "--out", "out"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let trial = result(&place.path("out")).trials.remove(0);
    let log = place.path("out").join(&trial.folder).join("supervisor.log");
    let log = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    let accepted = log.lines().filter(|line| *line == "accepted").count();
    (accepted, trial.fates.get(&Fate::Served).copied().unwrap_or(0))
}
