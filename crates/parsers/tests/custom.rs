//! Parsers that operators write.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of tests may fail as tests do"
)]

mod check;

use check::expect;
use parsers::custom::{CustomParser, parse_with};
use parsers::{Body, RawRecord};

fn reads(table: &str, line: &str, log_type: Option<&str>, expected: &[&str]) {
    let own = [CustomParser::from_toml(table).unwrap()];
    let record = RawRecord {
        log_type,
        ..check::record(Body::Line(line.as_bytes()))
    };
    expect(line, &parse_with(&record, &own), expected);
}

const SHOP: &str = r#"
name = "shop"
dataset = "shop.orders"
time = ["time"]

[text]
contains = ["order="]
grok = ['%{TIMESTAMP_ISO8601:time} %{LOGLEVEL:level} order=%{ORDER:order} from %{IP:client} user "%{DATA:user}"$']
patterns = {ORDER = 'O-[0-9]+'}

[[step]]
[step.set]
"event.category" = ["web"]
"event.type" = ["info"]
[step.fields]
"event.action" = "order|lower"
"source.ip" = "client"
"user.name" = "user"
"log.level" = "level"
[[step]]
if = ["level=ERROR"]
set = {"event.outcome" = "failure"}
"#;

#[test]
fn grok_patterns_become_fields() {
    let line = r#"2026-11-21T10:00:00Z ERROR order=O-17 from 203.0.113.9 user "ann" x""#;
    reads(
        SHOP,
        line,
        None,
        &[
            "picket.log_type=shop",
            "event.dataset=shop.orders",
            "event.module=shop",
            "@timestamp=2026-11-21T10:00:00.000000Z",
            "event.action=o-17",
            "source.ip=203.0.113.9",
            "related.ip=203.0.113.9",
            "user.name=ann\" x",
            "event.outcome=failure",
            "order=O-17",
            &format!("event.original={line}"),
        ],
    );
    reads(
        SHOP,
        "Nov 21 11:00:00 web shop[5]: 2026-11-21T10:00:00Z INFO order=O-1 from ::1 user \"b\"",
        None,
        &[
            "picket.log_type=shop",
            "host.name=web",
            "process.pid=5",
            "source.ip=::1",
        ],
    );
    reads(
        SHOP,
        "something else",
        Some("shop"),
        &[
            "picket.log_type=raw",
            "message=something else",
            "picket.warnings=not of the log type its source has",
        ],
    );
}

#[test]
fn words_columns_pairs_and_objects_become_fields() {
    let step = "[[step]]\nfields = {\"source.ip\" = \"ip\", \"user.name\" = \"who\"}\n";
    let expected = &["picket.log_type=own", "source.ip=203.0.113.9", "user.name=ann"];
    for (shape, line) in [
        (
            "[text]\ndissect = [\"door {ip} opened by {who}\"]",
            "door 203.0.113.9 opened by ann",
        ),
        (
            "[text]\nseparator = \";\"\ncolumns = [\"_\", \"who\", \"ip\"]",
            "1;\"ann\";203.0.113.9",
        ),
        (
            "detect = [[\"door\"]]\n[text]\npairs = true",
            "door=1 ip=203.0.113.9 who=\"ann\"",
        ),
        ("detect = [[\"door\"]]", r#"{"door":1,"ip":"203.0.113.9","who":"ann"}"#),
    ] {
        let table = format!("name = \"own\"\ndataset = \"own.log\"\n{shape}\n{step}");
        reads(&table, line, Some("own"), expected);
        // Nothing says which lines are of it, so none is without its log type.
        if !table.contains("detect") {
            assert!(!CustomParser::from_toml(&table).unwrap().is_detected());
            continue;
        }
        reads(&table, line, None, expected);
    }
}

#[test]
fn a_file_holds_its_own_tests() {
    let table = format!(
        "{SHOP}\n[[test]]\nline = '2026-11-21T10:00:00Z INFO order=O-1 from ::1 user \"b\"'\n\
         expect = {{\"source.ip\" = \"::1\", \"user.name\" = \"c\", \"event.outcome\" = \"\"}}\n\
         [[test]]\nline = \"x\"\n"
    );
    let trials = CustomParser::from_toml(&table)
        .unwrap()
        .try_out(check::observed())
        .unwrap();
    assert_eq!(trials[0].mistakes, ["user.name: expected \"c\", found \"b\""]);
    assert_eq!(trials[1].mistakes, ["the line is not of this format"]);
    assert!(
        CustomParser::from_toml(SHOP)
            .unwrap()
            .try_out(check::observed())
            .is_err()
    );
}

#[test]
fn a_parser_that_cannot_be_is_refused_with_the_reason() {
    for (text, expected) in [
        ("name = \"a b\"\ndataset = \"x.y\"", "name"),
        ("name = \"a\"", "dataset"),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[text]",
            "grok, dissect, columns, pairs and log_format",
        ),
        ("name = \"a\"\ndataset = \"x.y\"\n[text]\ngrok = ['%{NOPE:x}']", "NOPE"),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[text]\ngrok = ['(?=x)']",
            "look-around",
        ),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[text]\ngrok = ['%{A}']\npatterns = {A = '%{A}'}",
            "deeper",
        ),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[text]\ngrok = ['(\\w{1000}){1000}']",
            "size limit",
        ),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[text]\ndissect = ['{a}{b}']",
            "dissect",
        ),
        ("name = \"a\"\ndataset = \"x.y\"\n[text]\nregex = 'x'", "regex"),
        (
            "name = \"a\"\ndataset = \"x.y\"\n[[step]]\nset = {\"event.id\" = \"1\"}",
            "event.id",
        ),
    ] {
        let error = CustomParser::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let head = "name = \"a\"\ndataset = \"x.y\"\n";
    for (text, line, column, field) in [
        ("[text]\ngrok = ['%{IP:a} %{NOPE:x}']", 4, 20, "text.grok"),
        ("[text]\ngrok = [\n  '%{IP:a}',\n  '(?=x)',\n]", 6, 4, "text.grok"),
        ("[text]\nregex = 'x'", 4, 1, "text.regex"),
        (
            "[[step]]\nif = [\"a=b\"]\n[step.fields]\n\"source.ip\" = \"a|nonsense\"",
            6,
            16,
            "step.fields.source.ip",
        ),
        ("[[step]]\nset = {\"event.id\" = \"1\"}", 4, 9, "step.set"),
        ("[[step]\n", 3, 8, "step"),
        ("time = [1]", 3, 9, "time"),
    ] {
        let text = format!("{head}{text}");
        let error = CustomParser::from_toml(&text).unwrap_err();
        println!("{error}");
        assert_eq!(
            (error.line, error.field.as_str()),
            (Some(line), field),
            "{text}\n{error}"
        );
        assert_eq!(error.column, Some(column), "{text}\n{error}");
    }
}

/// What hangs an engine that backtracks is read, or given up, at once here.
#[test]
fn a_hostile_line_cannot_hold_a_parser_up() {
    let table = "name = \"a\"\ndataset = \"a.b\"\n[text]\ngrok = ['^(a+)+(b|%{GREEDYDATA:x})*c$']\n";
    let own = [CustomParser::from_toml(table).unwrap()];
    for line in ["a".repeat(60_000), "ab".repeat(30_000), "a".repeat(5 << 20)] {
        let record = check::record(Body::Line(line.as_bytes()));
        let parsed = parse_with(&record, &own);
        assert_eq!(parsed.fields.str("event.original"), Some(line.as_str()));
    }
}

#[test]
fn the_documented_example_holds_its_own_tests() {
    let page = include_str!("../../../docs/reference/parsers.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let trials = CustomParser::from_toml(example)
        .unwrap()
        .try_out(check::observed())
        .unwrap();
    assert!(!trials.is_empty());
    for trial in trials {
        assert!(trial.mistakes.is_empty(), "{:?}", trial.mistakes);
    }
}

const EDGE: &str = r#"
name = "edge"
dataset = "nginx.edge"

[text]
contains = [" rt="]
log_format = '''
log_format edge '$remote_addr $host "$request" $status $body_bytes_sent '
                '"$http_referer" "$http_user_agent" $upstream_addr [$time_iso8601] rt=$request_time';
'''

[[step]]
[step.fields]
"server.address" = "upstream_addr"
"#;
const EDGE_LINE: &str = r#"203.0.113.9 shop.example "GET /cart?x=1 HTTP/2.0" 502 154 "-" "curl/8.5.0" 10.0.0.7:8080 [2026-11-21T10:00:00+00:00] rt=1.204"#;
const EDGE_SAYS: &[&str] = &[
    "picket.log_type=edge",
    "event.dataset=nginx.edge",
    "event.category=web",
    "@timestamp=2026-11-21T10:00:00.000000Z",
    "source.ip=203.0.113.9",
    "url.domain=shop.example",
    "url.original=/cart?x=1",
    "http.request.method=GET",
    "http.version=2.0",
    "http.response.status_code=502",
    "http.response.body.bytes=154",
    "event.outcome=failure",
    "event.duration=1204000000",
    "user_agent.original=curl/8.5.0",
    "http.request.referrer=",
    "server.address=10.0.0.7:8080",
    "upstream_addr=10.0.0.7:8080",
];

#[test]
fn a_servers_own_log_format_is_a_parser() {
    reads(EDGE, EDGE_LINE, None, EDGE_SAYS);
    reads(EDGE, EDGE_LINE, Some("edge"), EDGE_SAYS);
    let shipped = format!("<190>Nov 21 10:00:00 web-01 nginx: {EDGE_LINE}");
    reads(EDGE, &shipped, None, EDGE_SAYS);
    reads(EDGE, &shipped, None, &["host.name=web-01", "process.name=nginx"]);
    reads(EDGE, EDGE_LINE, None, &["host.name=", "host="]);
    reads(
        EDGE,
        "203.0.113.9 is no such line",
        Some("edge"),
        &["picket.log_type=raw", "source.ip="],
    );
}

#[test]
fn what_picket_send_ships_is_asked_of_own_parsers_too() {
    let shipped = |line: &str, log_type: &str| {
        let line = serde_json::Value::from(line);
        format!(
            r#"{{"source":"file","message":{line},"fields":{{"log_type":"{log_type}","log.file.path":"/a.log"}},"host":"web-01"}}"#
        )
    };
    reads(EDGE, &shipped(EDGE_LINE, "edge"), None, EDGE_SAYS);
    reads(
        EDGE,
        &shipped(EDGE_LINE, "edge"),
        None,
        &["host.name=web-01", &format!("event.original={EDGE_LINE}")],
    );
    // Another log type was asked for.
    reads(EDGE, &shipped(EDGE_LINE, "squid"), None, &["server.address="]);
    let order = r#"2026-11-21T10:00:00Z ERROR order=O-17 from 203.0.113.9 user "ann""#;
    reads(
        SHOP,
        &shipped(order, "shop"),
        None,
        &["event.action=o-17", "picket.log_type=shop"],
    );
}
