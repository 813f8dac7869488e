//! The parts of an URL.

use model::Value;

use crate::draft::Draft;
use crate::scan::hex;

/// Sets the parts of `url.original` or `url.full` that are not set.
pub(crate) fn derive(draft: &mut Draft) {
    if draft.get("url.path").is_some() {
        return;
    }
    let Some(url) = draft
        .str("url.original")
        .or_else(|| draft.str("url.full"))
        .map(str::to_owned)
    else {
        return;
    };
    if url.len() > 1 << 16 {
        return;
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", url.as_str()),
    };
    let mut set = |name: &'static str, text: &str| {
        if !text.is_empty() {
            draft.set_default(name, text);
        }
    };
    let mut path = rest;
    if !scheme.is_empty() {
        set("url.scheme", scheme);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        path = after;
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = crate::derive::split_port(host);
        set("url.domain", host);
        if let Some(port) = crate::network::port(port) {
            draft.set_default("url.port", port);
        }
    } else if !rest.starts_with('/') {
        // `host:443` as a proxy's CONNECT has it.
        let (host, port) = crate::derive::split_port(rest);
        if let Some(port) = crate::network::port(port) {
            set("url.domain", host);
            draft.set_default("url.port", port);
        }
        return;
    }
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let decoded = decode(path);
    let last = decoded.rsplit('/').next().unwrap_or("");
    let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension).to_owned();
    for (name, text) in [
        ("url.path", decoded),
        ("url.query", decode(query)),
        ("url.fragment", decode(fragment)),
        ("url.extension", extension),
    ] {
        if !text.is_empty() && (name != "url.extension" || text.len() <= 16) {
            draft.set_default(name, Value::from(text));
        }
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// Without `%XX`; as it is when that would be no UTF-8.
pub(crate) fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let [high, low, tail @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push(high * 16 + low);
            rest = tail;
            continue;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
