//! That a supervisor is ready is seen from outside: no connection asks for it.

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
    let place = Place::new();
    place.write("counts/server.py", SERVER);
    let description = "name = \"counts\"\nabout = \"counts connections\"\nversion = [\"echo\", \"1\"]\n\
                       runs = [\"itself\"]\nprotocol = \"square\"\ntransports = [\"tcp\"]\n\
                       socket = { holder = \"supervisor\", passing = \"own\" }\n\
                       start = [\"python3\", \"{source}/server.py\", \"{host}\", \"{port}\"]\n\
                       ready = { listening = true, workers = false }\n";
    place.write("counts/supervisor.toml", description);
    let scenario = "name = \"few\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nattempts = 7\n\
                    send-lag = \"2s\"\n";
    place.write("few.toml", scenario);
    let arguments = ["run", "./few.toml", "-s", "./counts", "--out", "out"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let trial = result(&place.path("out")).trials.remove(0);
    let log = place.path("out").join(&trial.folder).join("supervisor.log");
    let log = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    assert_eq!(log.lines().filter(|line| *line == "accepted").count(), 7, "{log}");
}
