//! What lines become by formats of servers.

use proptest::prelude::*;

use super::*;

fn read(format: &str, line: &str) -> Option<(Vec<(String, String)>, bool)> {
    let format = LogFormat::compile(format).unwrap();
    let reading = format.read(line)?;
    let values = reading.values.iter();
    let values = values.map(|(variable, value)| (variable.name.clone(), value.to_string()));
    Some((values.collect(), reading.is_ambiguous))
}

fn value(format: &str, line: &str, name: &str) -> Option<String> {
    let (values, _) = read(format, line)?;
    values
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

const MAIN: &str = r#"log_format  main  '$remote_addr - $remote_user [$time_local] "$request" '
                  '$status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time';"#;

#[test]
fn directives_are_read_as_they_stand_in_configurations() {
    let line = r#"203.0.113.9 - - [21/Nov/2026:10:00:00 +0000] "GET /a?b HTTP/1.1" 200 12 "-" "curl \"8\"" rt=0.012"#;
    assert_eq!(value(MAIN, line, "request").as_deref(), Some("GET /a?b HTTP/1.1"));
    assert_eq!(value(MAIN, line, "http_user_agent").as_deref(), Some("curl \"8\""));
    assert_eq!(value(MAIN, line, "request_time").as_deref(), Some("0.012"));
    let apache =
        r#"LogFormat "%{X-Forwarded-For}i %h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D" own"#;
    let line = r#"- 203.0.113.9 - eve [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 403 - "-" "x" 512"#;
    assert_eq!(value(apache, line, "remote_user").as_deref(), Some("eve"));
    assert_eq!(value(apache, line, "request_time_us").as_deref(), Some("512"));
    let json = r#"log_format j escape=json '{"ip":"$remote_addr","ua":"$http_user_agent","s":$status}';"#;
    let line = r#"{"ip":"203.0.113.9","ua":"a\"b\u0007","s":404}"#;
    assert_eq!(value(json, line, "http_user_agent").as_deref(), Some("a\"b\u{7}"));
    assert_eq!(
        value(
            "$scheme://$host$request_uri $status",
            "https://a.example/x?y 200",
            "host"
        )
        .as_deref(),
        Some("a.example")
    );
}

#[test]
fn what_others_choose_cannot_be_another_value() {
    // A user who calls himself like the rest of a line.
    let line = r#"203.0.113.9 - x [21/Nov/2026:09:00:00 +0000] "GET /evil HTTP/1.1" 200 1 "-" "-" rt=1 [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 401 5 "-" "-" rt=0.1"#;
    assert!(read(MAIN, line).is_none(), "no server writes a bare quote");
    let line = r#"203.0.113.9 - x [21/Nov/2026:09:00:00 +0000] [21/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 401 5 "-" "-" rt=0.1"#;
    assert_eq!(
        value(MAIN, line, "time_local").as_deref(),
        Some("21/Nov/2026:10:00:00 +0000")
    );
    // Without quotes there is no telling where the agent ends.
    let open = "$remote_addr $http_user_agent $http_referer $status";
    let (values, is_ambiguous) = read(open, "203.0.113.9 a b c 200").unwrap();
    assert!(is_ambiguous);
    let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["remote_addr", "status"]);
}

#[test]
fn lines_of_other_formats_are_left() {
    for line in [
        "",
        "hello",
        "203.0.113.9 - - [yesterday] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\" rt=1",
    ] {
        assert!(read(MAIN, line).is_none(), "{line}");
    }
}

#[test]
fn mistakes_are_told() {
    for (format, expected) in [
        ("", "variables"),
        ("no variable", "variables"),
        ("$a$b", "fixed text between a and b"),
        ("${a", "}"),
        ("%h %y", "%y"),
        ("log_format main $remote_addr;", "in quotes"),
        ("LogFormat \"%h", "in quotes"),
    ] {
        let error = LogFormat::compile(format).unwrap_err();
        assert!(error.contains(expected), "{format}: {error}");
    }
}

#[test]
fn a_line_made_to_be_slow_is_given_up() {
    let format = "$a $b $c $d $e $f $g $h|$status";
    assert!(read(format, &"x ".repeat(30_000)).is_none());
}

proptest! {
    #[test]
    fn any_format_and_any_line_end(format in "[$%{}a-z\" \\[\\]\\\\>]{0,40}", line in "[a-z\" \\[\\]0-9./\\\\é]{0,80}") {
        if let Ok(format) = LogFormat::compile(&format) {
            let _ = format.read(&line);
        }
    }
}
