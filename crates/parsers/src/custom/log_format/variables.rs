//! What the variables of formats mean. Apache's are called as nginx' are, where both have them.

use crate::clock::{from_number, parse_time, take_clf};
use crate::network::{is_host_name, is_ip};
use model::Timestamp;

/// A variable of a format.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    /// Without the dollar sign; for Apache's what nginx calls the same.
    pub(super) name: String,
    pub(super) means: Means,
}

/// What a variable's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    Client,
    ClientPort,
    User,
    /// `10/Oct/2026:13:55:36 +0000`
    CommonTime,
    /// `2026-10-10T13:55:36+00:00`
    IsoTime,
    /// Since 1970, in seconds, milliseconds or microseconds.
    Epoch,
    /// A time in a form of the operator's.
    OwnTime,
    Request,
    Method,
    /// With the query.
    Url,
    Path,
    Query,
    Protocol,
    Scheme,
    Host,
    Server,
    ServerAddress,
    ServerPort,
    Status,
    BodyBytes,
    SentBytes,
    RequestBytes,
    Seconds,
    Millis,
    Micros,
    Referrer,
    Agent,
    Forwarded,
    RequestId,
    TlsProtocol,
    TlsCipher,
    Pid,
    File,
    /// A number that only has its own name.
    Number,
    /// A text that only has its own name.
    Own,
}

impl Variable {
    pub(super) fn nginx(name: &str) -> Self {
        use Means::*;
        let means = match name {
            "remote_addr" | "realip_remote_addr" => Client,
            "remote_port" | "realip_remote_port" => ClientPort,
            "remote_user" => User,
            "time_local" => CommonTime,
            "time_iso8601" => IsoTime,
            "msec" => Epoch,
            "request" => Request,
            "request_method" => Method,
            "request_uri" => Url,
            "uri" | "document_uri" => Path,
            "args" | "query_string" => Query,
            "server_protocol" => Protocol,
            "scheme" => Scheme,
            "host" | "http_host" => Host,
            "server_name" => Server,
            "server_addr" => ServerAddress,
            "server_port" => ServerPort,
            "status" => Status,
            "body_bytes_sent" => BodyBytes,
            "bytes_sent" => SentBytes,
            "request_length" => RequestBytes,
            "request_time" => Seconds,
            "http_referer" => Referrer,
            "http_user_agent" => Agent,
            "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => Forwarded,
            "request_id" | "http_x_request_id" => RequestId,
            "ssl_protocol" => TlsProtocol,
            "ssl_cipher" => TlsCipher,
            "pid" => Pid,
            "request_filename" => File,
            "connection" | "connection_requests" | "connections_active" => Number,
            _ => Own,
        };
        Self {
            name: name.to_owned(),
            means,
        }
    }

    /// A directive of Apache's with what stands in its braces.
    pub(super) fn apache(letters: &str, argument: &str) -> Option<Self> {
        let header = |kind: &str| format!("{kind}_{}", argument.to_ascii_lowercase().replace('-', "_"));
        let of = |name: &str| Some(Self::nginx(name));
        let own = |name: &str, means: Means| {
            Some(Self {
                name: name.to_owned(),
                means,
            })
        };
        match (letters, argument) {
            ("h" | "a", _) => of("remote_addr"),
            ("A", _) => of("server_addr"),
            ("l", _) => own("remote_logname", Means::Own),
            ("u", _) => of("remote_user"),
            ("t", "") => of("time_local"),
            ("t", "sec" | "msec" | "usec" | "begin:sec" | "begin:msec" | "begin:usec") => of("msec"),
            ("t", _) => own("time", Means::OwnTime),
            ("r", _) => of("request"),
            ("m", _) => of("request_method"),
            ("U", _) => of("uri"),
            ("q", _) => of("query_string"),
            ("H", _) => of("server_protocol"),
            ("s", _) => of("status"),
            ("b" | "B", _) => of("body_bytes_sent"),
            ("O", _) => of("bytes_sent"),
            ("I", _) => of("request_length"),
            ("S", _) => own("bytes_transferred", Means::Number),
            ("T", "" | "s") => of("request_time"),
            ("T", "ms") => own("request_time_ms", Means::Millis),
            ("T", "us") | ("D", _) => own("request_time_us", Means::Micros),
            ("v" | "V", _) => of("server_name"),
            ("p", "remote") => of("remote_port"),
            ("p", _) => of("server_port"),
            ("P", "" | "pid") => of("pid"),
            ("P", _) => own("thread_id", Means::Number),
            ("f", _) => of("request_filename"),
            ("L", _) => of("request_id"),
            ("R", _) => own("handler", Means::Own),
            ("X", _) => own("connection_status", Means::Own),
            ("k", _) => own("connection_requests", Means::Number),
            ("i", name) if !name.is_empty() => of(&header("http")),
            ("o", name) if !name.is_empty() => of(&header("sent_http")),
            ("C", name) if !name.is_empty() => of(&header("cookie")),
            ("e" | "n", "UNIQUE_ID") => of("request_id"),
            ("x", "SSL_PROTOCOL") => of("ssl_protocol"),
            ("x", "SSL_CIPHER") => of("ssl_cipher"),
            ("e" | "n" | "x" | "c" | "^ti" | "^to", name) if !name.is_empty() => of(&header("env")),
            _ => None,
        }
    }

    /// Whether its values begin with a slash, so that it may follow another variable.
    pub(super) fn begins_with_slash(&self) -> bool {
        matches!(self.means, Means::Url | Means::Path)
    }

    /// Whether a text can be its value.
    pub(super) fn fits(&self, text: &str) -> bool {
        use Means::*;
        if matches!(text, "-" | "") {
            return true;
        }
        let digits = |text: &str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        let decimal = |text: &str| {
            let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
            digits(whole) && digits(part)
        };
        match self.means {
            Client | ServerAddress => is_ip(text) || is_host_name(text) || text == "unix:",
            ClientPort | ServerPort | Pid | Number => digits(text),
            BodyBytes | SentBytes | RequestBytes | Millis | Micros => digits(text),
            Status => text.len() == 3 && digits(text),
            Seconds | Epoch => decimal(text),
            CommonTime | IsoTime => self.time(text).is_some(),
            Method => {
                text.len() <= 32
                    && text
                        .bytes()
                        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
            }
            Protocol => text.starts_with("HTTP/") && !text.contains(' '),
            Scheme => matches!(text, "http" | "https" | "ws" | "wss"),
            Path => text.starts_with('/') || text == "*",
            Host | Server | TlsProtocol | TlsCipher | RequestId => !text.contains([' ', '"']),
            User | OwnTime | Request | Url | Query | Referrer | Agent | Forwarded | File | Own => true,
        }
    }

    pub(super) fn time(&self, text: &str) -> Option<Timestamp> {
        let whole = |(time, rest): (Timestamp, &str)| rest.is_empty().then_some(time);
        if self.means == Means::CommonTime {
            take_clf(text).and_then(whole)
        } else if self.means == Means::Epoch {
            from_number(text.parse().ok()?)
        } else {
            parse_time(text)
        }
    }
}
