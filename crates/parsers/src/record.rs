//! What comes in and what goes out.

use std::fmt;

use model::event::{MAX_FIELDS, MAX_NAME};
use model::{Fields, Timestamp};

/// The parsers, by the name that `picket.log_type` gives the one that took a record. [`RawRecord::log_type`] may name
/// one to be tried first.
pub const LOG_TYPES: &[&str] = &[
    "access",
    "accounts",
    "adguard",
    "alb",
    "apache_error",
    "auditd",
    "auth0",
    "azure",
    "bind",
    "caddy",
    "cef",
    "cisco_asa",
    "clamav",
    "cloudflare",
    "cloudtrail",
    "coredns",
    "cron",
    "crowdsec",
    "dhcpd",
    "dnsmasq",
    "docker",
    "dockerd",
    "dovecot",
    "fail2ban",
    "falco",
    "filterlog",
    "fortigate",
    "gcp",
    "github",
    "guardduty",
    "haproxy",
    "iis",
    "iptables",
    "journald",
    "json",
    "kea",
    "kea_json",
    "kernel",
    "keyvalue",
    "kubernetes",
    "laurel",
    "leef",
    "login",
    "mikrotik",
    "mongodb",
    "msdhcp",
    "nginx_error",
    "o365",
    "okta",
    "openvpn",
    "osquery",
    "pam",
    "panos",
    "pihole_ftl",
    "polkit",
    "postfix",
    "raw",
    "snort",
    "squid",
    "sshd",
    "su",
    "sudo",
    "suricata",
    "syslog",
    "systemd",
    "traefik",
    "unbound",
    "vpcflow",
    "vsftpd",
    "wazuh",
    "web_json",
    "windows",
    "wireguard",
    "zeek",
];

/// The member of a shipped record's `fields` that holds the header of its file ([`RawRecord::header`]). It is read and not
/// kept.
pub const HEADER_MEMBER: &str = "picket.header";

/// One record as it came from its source.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its content.
    pub body: Body<'a>,
    /// How it came: `file`, `journald`, `syslog` or `rest`.
    pub origin_kind: &'a str,
    /// Where from: the file's path, the sender's address, the client's name.
    pub origin_name: &'a str,
    /// What the operator said it is: one of [`LOG_TYPES`] or another name of one. It is read as nothing else but what
    /// reads without one too: syslog, programs, pairs of names and values.
    pub log_type: Option<&'a str>,
    /// When it was first seen. Stands in for a time the record does not tell.
    pub observed: Timestamp,
    /// How many bytes the sensor cut off its end.
    pub truncated_bytes: u64,
    /// The lines by which its file names the columns (`#Fields:` and the like), joined by newlines.
    pub header: Option<&'a str>,
}

/// A record's content.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// One line of text, of any encoding, with or without its line end.
    Line(&'a [u8]),
    /// One JSON object.
    Json(&'a [u8]),
}

/// An event without its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// When it happened, or when it was first seen if it does not tell.
    pub timestamp: Timestamp,
    /// Everything else. The warnings are among them as `picket.warnings`.
    pub fields: Fields,
    /// What was not as it should be.
    pub warnings: Vec<Warning>,
}

/// Something in a record that could not be taken as it was. The record became an event all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Some bytes are not UTF-8 and appear as U+FFFD.
    InvalidUtf8,
    /// The sensor cut off this many bytes.
    Truncated(u64),
    /// It should be a JSON object and is not.
    InvalidJson,
    /// This many fields were refused because an event holds no more, or because their names are too long.
    TooManyFields(usize),
    /// A time could not be understood.
    InvalidTime,
    /// The text has more than one reading, because a part that others choose looks like the next; what would depend on
    /// which is right was left out or is only in the longest part.
    Ambiguous,
    /// A program gave itself the name of another; it was not believed.
    Impostor,
    /// It is not of the log type its source was said to have.
    OtherType,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUtf8 => f.write_str("invalid UTF-8"),
            Self::Truncated(bytes) => write!(f, "{bytes} bytes cut off"),
            Self::InvalidJson => f.write_str("expected a JSON object"),
            Self::TooManyFields(refused) => write!(
                f,
                "{refused} fields refused: expected at most {MAX_FIELDS}, with names up to {MAX_NAME} bytes"
            ),
            Self::InvalidTime => f.write_str("time not understood"),
            Self::Ambiguous => f.write_str("ambiguous text"),
            Self::OtherType => f.write_str("not of the log type its source has"),
            Self::Impostor => f.write_str("the program is not the one it says it is"),
        }
    }
}
