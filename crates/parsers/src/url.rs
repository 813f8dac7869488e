//! The parts of an URL.

use std::borrow::Cow;

use model::Text;

use crate::draft::Draft;
use crate::scan::Marks as _;
use crate::scan::hex;

/// Sets the parts of `url.original` or `url.full` that are not set.
pub(crate) fn derive(draft: &mut Draft) {
    if draft.get("url.path").is_some() {
        return;
    }
    let Some(url) = draft
        .str("url.original")
        .or_else(|| draft.str("url.full"))
        .map(Text::from)
    else {
        return;
    };
    if url.len() > 1 << 16 {
        return;
    }
    let (scheme, rest) = match url.cut("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", url.as_str()),
    };
    let mut path = rest;
    if !scheme.is_empty() {
        draft.set_default_text("url.scheme", scheme);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        path = after;
        let host = authority.cut_last_at(b'@').map_or(authority, |(_, host)| host);
        let (host, port) = crate::derive::split_port(host);
        draft.set_default_text("url.domain", host);
        if let Some(port) = crate::network::port(port) {
            draft.set_default("url.port", port);
        }
    } else if !rest.starts_with('/') {
        // `host:443` as a proxy's CONNECT has it.
        let (host, port) = crate::derive::split_port(rest);
        if let Some(port) = crate::network::port(port) {
            draft.set_default_text("url.domain", host);
            draft.set_default("url.port", port);
        }
        return;
    }
    let (path, fragment) = path.cut_at(b'#').unwrap_or((path, ""));
    let (path, query) = path.cut_at(b'?').unwrap_or((path, ""));
    let decoded = decode(path);
    let last = decoded.cut_last_at(b'/').map_or(&*decoded, |(_, last)| last);
    let extension = last.cut_last_at(b'.').map_or("", |(_, extension)| extension);
    let extension = if extension.len() <= 16 { extension } else { "" };
    draft.set_default_text("url.path", &decoded);
    draft.set_default_text("url.query", &decode(query));
    draft.set_default_text("url.fragment", &decode(fragment));
    draft.set_default_text("url.extension", extension);
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
}

/// Without `%XX`; as it is when that would be no UTF-8.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.has_byte(b'%') {
        return text.into();
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
    String::from_utf8(bytes).map_or(Cow::Borrowed(text), Cow::Owned)
}
