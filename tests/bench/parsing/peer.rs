//! The same lines through the `grok` crate, with patterns as people write them for these formats: tried in order, the first
//! that matches gives its captures, which are copied into a map of texts. Nothing is derived from them.

use std::collections::HashMap;

use anyhow::Context as _;
use grok::{Grok, Pattern};

/// Syslog in front of a message, after RFC 3164, RFC 5424 or with an ISO time.
const HEADER: &str = r"^(?:<%{NONNEGINT:priority}>(?:1 )?)?(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp8601}) (?:%{SYSLOGHOST:logsource})";
const TAG: &str = r" %{SYSLOGPROG}: ";
const PEER_ADDRESS: &str = r"from %{IPORHOST:src_ip} port %{POSINT:src_port}";

/// The patterns of a format.
pub(super) struct Peer {
    patterns: Vec<Pattern>,
}

impl Peer {
    /// The patterns of a format, if it is one of the five.
    pub(super) fn of(format: &str) -> anyhow::Result<Option<Self>> {
        let Some(texts) = texts(format) else { return Ok(None) };
        let grok = Grok::with_default_patterns();
        let patterns = texts
            .iter()
            .map(|text| {
                grok.compile(text, true)
                    .with_context(|| format!("compile the peer's pattern {text}"))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Some(Self { patterns }))
    }

    /// How many captures a line has.
    pub(super) fn read(&self, line: &str) -> usize {
        let Some(matched) = self.patterns.iter().find_map(|pattern| pattern.match_against(line)) else {
            return 0;
        };
        let fields: HashMap<String, String> = matched
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        fields.len()
    }

    /// How many of the lines match.
    pub(super) fn share(&self, lines: &[String]) -> String {
        let matched = lines.iter().filter(|line| self.read(line) > 0).count();
        format!("(matches {matched} of {})", lines.len())
    }
}

fn texts(format: &str) -> Option<Vec<String>> {
    let syslog = |message: &str| format!("{HEADER}{TAG}{message}");
    Some(match format {
        "sshd" => [
            r"%{WORD:outcome} %{WORD:method} for (?:invalid user )?%{DATA:user} PEER(?: ssh2)?(?:: %{GREEDYDATA:key})?",
            r"Invalid user %{DATA:user} PEER",
            r"Connection %{WORD:what} by (?:authenticating user %{DATA:user} |invalid user %{DATA:user} )?%{IPORHOST:src_ip} port %{POSINT:src_port}",
            r"Disconnected from (?:(?:invalid )?user %{DATA:user} )?%{IPORHOST:src_ip} port %{POSINT:src_port}",
            r"Received disconnect from %{IPORHOST:src_ip} port %{POSINT:src_port}:%{GREEDYDATA:reason}",
            r"(?:error: )?maximum authentication attempts exceeded for (?:invalid user )?%{DATA:user} PEER",
            r"pam_unix\(sshd:%{WORD:kind}\): %{GREEDYDATA:pam}",
            r"%{GREEDYDATA:message}",
        ]
        .iter()
        .map(|text| syslog(&text.replace("PEER", PEER_ADDRESS)))
        .collect(),
        "access" => [
            r#"^(?:%{IPORHOST:vhost}(?::%{POSINT:port})? )?%{IPORHOST:clientip} %{NOTSPACE:ident} %{NOTSPACE:auth} \[%{HTTPDATE:timestamp}\] "(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" %{NUMBER:response} (?:%{NUMBER:bytes}|-) %{QS:referrer} %{QS:agent}"#,
            r#"^(?:%{IPORHOST:vhost}(?::%{POSINT:port})? )?%{IPORHOST:clientip} %{NOTSPACE:ident} %{NOTSPACE:auth} \[%{HTTPDATE:timestamp}\] "(?:%{WORD:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})" %{NUMBER:response} (?:%{NUMBER:bytes}|-)"#,
        ]
        .map(str::to_owned)
        .to_vec(),
        "iptables" => vec![format!(
            r"{HEADER} kernel: (?:\[\s*%{{NUMBER:uptime}}\] )?%{{DATA:prefix}} ?IN=%{{DATA:in}} OUT=%{{DATA:out}} (?:PHYSIN=%{{DATA:physin}} )?(?:PHYSOUT=%{{DATA:physout}} )?(?:MAC=%{{DATA:mac}} )?SRC=%{{IP:src_ip}} DST=%{{IP:dst_ip}} LEN=%{{INT:length}} %{{DATA}}PROTO=%{{WORD:proto}}(?: SPT=%{{INT:src_port}} DPT=%{{INT:dst_port}})?(?: %{{GREEDYDATA:flags}})?"
        )],
        "syslog" => vec![
            syslog("%{GREEDYDATA:message}"),
            r"^<%{NONNEGINT:priority}>1 %{TIMESTAMP_ISO8601:timestamp} %{NOTSPACE:host} %{NOTSPACE:program} %{NOTSPACE:pid} %{NOTSPACE:msgid} (?:-|\[%{DATA:structured}\]) %{GREEDYDATA:message}"
                .to_owned(),
        ],
        "nginx_error" => [
            r#"^%{DATA:timestamp} \[%{LOGLEVEL:level}\] %{POSINT:pid}#%{NUMBER:tid}: (?:\*%{NUMBER:connection} )?%{GREEDYDATA:text}, client: %{IPORHOST:client}, server: %{DATA:server}, request: "%{WORD:verb} %{NOTSPACE:request} HTTP/%{NUMBER:httpversion}"(?:, upstream: "%{DATA:upstream}")?(?:, host: "%{DATA:host}")?(?:, referrer: "%{DATA:referrer}")?$"#,
            r"^%{DATA:timestamp} \[%{LOGLEVEL:level}\] %{POSINT:pid}#%{NUMBER:tid}: (?:\*%{NUMBER:connection} )?%{GREEDYDATA:text}",
        ]
        .map(str::to_owned)
        .to_vec(),
        _ => return None,
    })
}
