//! What a description may say of a service, what it may not, and what comes of it.

use super::*;
use crate::secrets::Secrets;
use crate::supervisor;
use crate::wire::{Ask, NotAtOnce, Protocol, Script};

const HTTP: &str = "protocol = \"http\"\n";
const BYTES: &str = "protocol = \"bytes\"\n";

fn described(lines: &str) -> Result<Service, String> {
    let head = "name = \"shop\"\nabout = \"x\"\nruns = [\"itself\"]\nstart = [\"shop\"]\n\
                socket = { holder = \"supervisor\", passing = \"own\" }\n";
    let described = supervisor::parse(&format!("{head}{lines}"), "shop.toml");
    described.map(|supervisor| supervisor.service).map_err(|error| error.to_string())
}

fn script(lines: &str, protocol: Protocol) -> Result<(Script, Secrets), FillProblem> {
    let service = described(lines).unwrap_or_else(|error| panic!("{error}"));
    let outside = Outside {
        variable: &|name| match name {
            "TOKEN" => Some(b"s3cret".to_vec()),
            "BROKEN" => Some(b"a\nb".to_vec()),
            _ => None,
        },
        file: &|_, path| match path {
            "order.json" => Ok(b"{\"id\": {n}}".to_vec()),
            _ => Err("no such file".to_owned()),
        },
    };
    service.script(protocol, &outside)
}

fn sent(lines: &str, protocol: Protocol) -> String {
    let (script, _) = script(lines, protocol).unwrap_or_else(|error| panic!("{error}"));
    let mut into = Vec::new();
    let ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes: 0 };
    protocol.encode(&ask, &script, &mut into);
    String::from_utf8(into).expect("text")
}

#[test]
fn a_request_is_made_of_what_is_described() {
    let lines = format!(
        "{HTTP}[request]\nmethod = \"POST\"\npath = \"/orders/{{n}}?try=1\"\nbody = '{{\"id\": {{n}}}}'\n\
         headers = {{ Host = \"shop.test\", Authorization = \"Bearer {{env.TOKEN}}\" }}\n"
    );
    assert_eq!(
        sent(&lines, Protocol::Http),
        "POST /orders/7?try=1 HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer s3cret\r\n\
         Connection: close\r\nContent-Length: 9\r\n\r\n{\"id\": 7}"
    );
    let (_, secrets) = script(&lines, Protocol::Http).expect("all is there");
    assert_eq!(secrets.hidden_in("s3cret".to_owned(), false), "{env.TOKEN}");
    let file = format!("{HTTP}[request]\nbody-file = \"order.json\"\n");
    assert!(sent(&file, Protocol::Http).starts_with("POST / HTTP/1.1\r\n"));
    assert!(sent(&file, Protocol::Http).ends_with("\r\n\r\n{\"id\": 7}"));
    // Whoever says nothing is asked for squares, by whatever counts as their reply.
    assert_eq!(script(HTTP, Protocol::Http).expect("all is there").0, Script::Squares);
    assert!(
        sent(&format!("{HTTP}[reply]\nstatus = [200]\n"), Protocol::Http).starts_with("GET /square?n=7 ")
    );
}

#[test]
fn exchanges_are_made_of_what_is_described() {
    let lines = format!(
        "{BYTES}close = \"server\"\n[[exchange]]\nsend = 'GET {{n}}\\r\\n'\nexpect = {{ until = '\\r\\n' }}\n"
    );
    assert_eq!(sent(&lines, Protocol::Bytes), "GET 7\r\n");
    let (script, _) = script(&lines, Protocol::Bytes).expect("all is there");
    assert_eq!(script.server_closes(), Some(true));
}

#[test]
fn what_cannot_be_filled_in_is_named_and_no_value_shown() {
    let with = |header: &str| format!("{HTTP}[request]\nheaders = {{ X = \"{header}\" }}\n");
    let problem = |lines: &str| script(lines, Protocol::Http).expect_err("a problem");
    let place = "headers";
    assert_eq!(problem(&with("{env.NOWHERE}")), FillProblem::Unset { name: "NOWHERE".to_owned(), place });
    let unfit = problem(&with("{env.BROKEN}"));
    assert!(matches!(unfit, FillProblem::Unfit { .. }) && !unfit.to_string().contains("a\nb"), "{unfit}");
    let file = problem(&format!("{HTTP}[request]\nbody-file = \"nowhere\"\n"));
    assert!(matches!(file, FillProblem::File { .. }), "{file}");
}

#[test]
fn what_cannot_be_sent_at_once_is_told_from_what_can() {
    let at_once = |lines: &str, protocol| {
        let (script, _) = script(lines, protocol).unwrap_or_else(|error| panic!("{error}"));
        script.may_be_sent_at_once()
    };
    assert_eq!(at_once(HTTP, Protocol::Http), Ok(()));
    let body =
        |table: &str, bytes: usize| format!("{HTTP}[{table}]\nbody = \"{}{{n}}\"\n", "x".repeat(bytes));
    assert_eq!(at_once(&body("request", 16_376), Protocol::Http), Ok(()));
    for table in ["request", "poison"] {
        let lines = format!("{}{}", body(table, 16_377), if table == "poison" { "[request]\n" } else { "" });
        assert_eq!(at_once(&lines, Protocol::Http), Err(NotAtOnce::LongBody { bytes: 16_385 }), "{table}");
    }
    let exchange =
        |send: &str, expect: &str| format!("[[exchange]]\nsend = '{send}'\nexpect = {{ {expect} }}\n");
    let (greeting, until) = ("[[exchange]]\nexpect = { until = 'x' }\n", "until = 'x'");
    let bytes = |exchanges: &[&str]| at_once(&format!("{BYTES}{}", exchanges.concat()), Protocol::Bytes);
    assert_eq!(bytes(&[greeting, &exchange("PING", until)]), Ok(()));
    assert_eq!(bytes(&[&exchange("PING", until), &exchange("QUIT", until)]), Err(NotAtOnce::Turns));
    assert_eq!(bytes(&[&exchange("PING", "matches = 'P.NG'")]), Err(NotAtOnce::Endless));
}

#[test]
fn a_scenario_overrides_table_by_table() {
    let described =
        described(&format!("{HTTP}[request]\npath = \"/a\"\n[reply]\nstatus = [404]\n")).expect("right");
    let other = Service {
        request: None,
        reply: Some(Reply { statuses: Vec::new(), content: None, version: None }),
        ..Service::default()
    };
    let both = described.overridden_by(&other);
    assert_eq!((&both.request, &both.reply), (&described.request, &other.reply));
    assert_eq!(Service::default().overridden_by(&described), described);
}

/// An error has a line and a column, quotes this, and says what was expected.
#[track_caller]
fn wrong(lines: &str, quoted: &str) {
    let error = described(lines).expect_err(lines);
    assert!(error.contains("--> shop.toml:") && error.contains(quoted), "{error}");
}

#[test]
fn what_is_wrong_is_quoted() {
    let request = |lines: &str| format!("{HTTP}[request]\n{lines}\n");
    wrong(&request("method = \"GE T\""), "GE T");
    wrong(&request("path = \"orders\""), "orders");
    wrong(&request("path = \"/a b\""), "/a b");
    wrong(&request("path = \"/{env.}\""), "{env.}");
    wrong(&request("headers = { \"a b\" = \"x\" }"), "a b");
    wrong(&request("headers = { Content-Length = \"3\" }"), "Content-Length");
    wrong(&request("headers = { X = \"a\\r\\nb\" }"), "one line");
    wrong(&request("body = \"x\"\nbody-file = \"y\""), "body");
    wrong(&request("verb = \"x\""), "verb");
    wrong("[request]\npath = \"/\"\n", "http");
    let reply = |lines: &str| format!("{HTTP}[reply]\n{lines}\n");
    wrong(&reply("status = []"), "2xx");
    wrong(&reply("status = [\"2x\"]"), "2x");
    wrong(&reply("status = [\"1xx\"]"), "1xx");
    wrong(&reply("status = [99]"), "99");
    wrong(&reply("matches = \"(\""), "(");
    wrong(&reply("matches = \"x\"\nequals = \"y\""), "equals");
    wrong(&reply("version = { matches = \"v\" }"), "group");
    wrong(&reply("version = { header = \"a b\" }"), "a b");
    wrong(&reply("version = {}"), "version");
    let exchange = |lines: &str| format!("{BYTES}[[exchange]]\n{lines}\n");
    wrong(BYTES, "[[exchange]]");
    wrong(&exchange("send = \"x\""), "expect");
    wrong(&exchange("expect = {}"), "expected");
    wrong(&exchange("send = '\\q'\nexpect = { bytes = 1 }"), "\\q");
    wrong(&exchange("send-hex = \"0g\"\nexpect = { bytes = 1 }"), "hexadecimal");
    wrong(&exchange("send = \"a\"\nsend-hex = \"00\"\nexpect = { bytes = 1 }"), "one way");
    wrong(&exchange("expect = { bytes = 0 }"), "bytes is 0");
    wrong(&exchange("expect = { bytes = 1, until = \"x\" }"), "one way");
    wrong(&exchange("expect = { until = \"\" }"), "empty");
    wrong(&format!("{HTTP}[[exchange]]\nexpect = {{ bytes = 1 }}\n"), "bytes");
    wrong(&format!("{HTTP}close = \"client\"\n"), "exchange");
    wrong(&format!("{BYTES}close = \"both\"\n[[exchange]]\nexpect = {{ bytes = 1 }}\n"), "both");
    wrong(&format!("{HTTP}[poison]\npath = \"/crash\"\n"), "[request]");
    wrong(&format!("{HTTP}[request]\n[poison]\nsend = \"x\"\n"), "protocol");
    wrong(&format!("{HTTP}[request]\n[poison]\n"), "poison");
}

#[test]
fn over_http2_requests_are_the_same_and_over_websocket_one_opens() {
    let request = "[request]\npath = \"/chat/{n}\"\nheaders = { Origin = \"http://shop.test\" }\n";
    let http2 = format!("protocol = \"http2\"\n{request}[poison]\npath = \"/crash\"\n");
    assert!(
        sent(&http2, Protocol::Http2).starts_with("GET /chat/7 HTTP/1.1\r\nOrigin: http://shop.test\r\n")
    );
    let websocket = format!("protocol = \"websocket\"\n{request}");
    let text = sent(&websocket, Protocol::WebSocket);
    assert!(
        text.starts_with("GET /chat/7 HTTP/1.1\r\n") && text.contains("Origin: http://shop.test\r\n"),
        "{text}"
    );
    // Nothing is said behind that, unless there are exchanges, of which those that send are repeated.
    let turns = |lines: &str| {
        let (script, _) = script(lines, Protocol::WebSocket).expect("all is there");
        (script.turns(0), script.turns(1), script.has_poison())
    };
    assert_eq!(turns(&websocket), (0..1, 1..1, false));
    let greeting = "[[exchange]]\nexpect = { until = '!' }\n";
    let echo = "[[exchange]]\nsend = 'x'\nexpect = { equals = 'x' }\n";
    let poison = "[poison]\nsend = 'boom'\n";
    assert_eq!(turns(&format!("{websocket}{greeting}{echo}{poison}")), (0..3, 2..3, true));
}

#[test]
fn what_does_not_open_a_connection_is_quoted() {
    let websocket = "protocol = \"websocket\"\n";
    wrong(&format!("{websocket}[request]\nmethod = \"POST\"\n"), "GET");
    wrong(&format!("{websocket}[request]\nbody = \"x\"\n"), "GET");
    wrong(&format!("{websocket}[reply]\nstatus = [200]\n"), "http");
    wrong(&format!("protocol = \"http2\"\n{}", "[[exchange]]\nexpect = { bytes = 1 }\n"), "websocket");
    wrong(&format!("{websocket}[poison]\npath = \"/crash\"\n"), "http");
    let ours = "name = \"shop\"\nabout = \"x\"\nstart = [\"shop\"]\nprotocol = \"http2\"\n\
                socket = { holder = \"supervisor\", passing = \"own\" }\n";
    let error = supervisor::parse(ours, "shop.toml").expect_err("none of ours speak it").to_string();
    assert!(error.contains("http2") && error.contains("itself"), "{error}");
}
