//! Squid's native access log.

use std::borrow::Cow;

use model::{Timestamp, ecs};

use super::{Format, Input};
use crate::clock::{from_number, take_clf};
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::scan::Marks as _;
use crate::scan::Scan;

pub(crate) const FORMAT: Format = Format {
    name: "squid",
    aliases: &["squid.access"],
    datasets: &["squid.log"],
    programs: &["squid", "squid3"],
    begins: &[super::DIGITS],
    looks,
    take,
};

fn looks(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'.') && text.bytes().take(10).all(|byte| byte.is_ascii_digit())
}

/// `time elapsed client result/status bytes method url user hierarchy/peer type`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    if let Some(read) = native(input.text) {
        read.set(draft);
        return true;
    }
    proxied(draft, input.text)
}

/// `client port [time] "METHOD url version" peer … user "file" … bytes "referrer" "agent" result`
fn proxied(draft: &mut Draft, text: &str) -> bool {
    let mut scan = Scan::new(text);
    let (Some(client), Some(port)) = (scan.word(), scan.word()) else {
        return false;
    };
    if !crate::network::is_ip(client) || crate::network::port(port).is_none() {
        return false;
    }
    let Some(time) = scan.enclosed('[', ']') else {
        return false;
    };
    scan.spaces();
    let Some((method, request)) = scan.quoted().and_then(|request| request.cut_at(b' ')) else {
        return false;
    };
    let (Some(peer), Some(_), Some(user)) = (scan.word(), scan.word(), scan.word()) else {
        return false;
    };
    if !crate::network::is_ip(peer) {
        return false;
    }
    let Some(file) = scan.quoted() else { return false };
    let (Some(_), Some(_), Some(bytes)) = (scan.word(), scan.word(), scan.word()) else {
        return false;
    };
    draft.timestamp = loose_clf(time);
    endpoint(draft, &SOURCE, client, port);
    endpoint(draft, &DESTINATION, peer, "");
    draft.set("event.code", method);
    draft.set("http.request.method", method);
    draft.set(
        "url.original",
        request.cut_last_at(b' ').map_or(request, |(url, _)| url),
    );
    draft.user(user);
    draft.set_text("file.name", file);
    draft.set_int("source.bytes", bytes);
    if let Some(referrer) = scan.quoted() {
        draft.set_known("http.request.referrer", referrer);
        if let Some((_, rest)) = referrer.cut("://") {
            let host = rest.split(['/', '?', '#']).next().unwrap_or("");
            draft.add_to_list("related.hosts", host);
        }
    }
    scan.spaces();
    if let Some(agent) = scan.quoted() {
        draft.set_known("user_agent.original", agent);
    }
    draft.set_known(ecs::EVENT_ACTION, scan.word().unwrap_or(""));
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    draft.set_list(ecs::EVENT_TYPE, &["access"]);
    draft.set_fixed("observer.vendor", "Squid");
    draft.set_fixed("observer.product", "Proxy");
    draft.set_fixed("observer.type", "Proxies");
    true
}

/// The time of a log whose hours have one digit, and whose zone may be a word.
fn loose_clf(text: &str) -> Option<Timestamp> {
    let (day, rest) = text.cut_at(b':')?;
    let padded: Cow<'_, str> = if rest.as_bytes().get(1) == Some(&b':') {
        format!("{day}:0{rest}").into()
    } else {
        text.into()
    };
    take_clf(&padded)
        .or_else(|| take_clf(padded.parts(b' ').next()?))
        .map(|(time, _)| time)
}

struct Native<'a> {
    time: Timestamp,
    elapsed: i64,
    client: &'a str,
    result: &'a str,
    status: &'a str,
    bytes: &'a str,
    method: &'a str,
    url: &'a str,
    user: &'a str,
    peer: &'a str,
    mime: &'a str,
}

fn native(text: &str) -> Option<Native<'_>> {
    let mut scan = Scan::new(text);
    let first = scan.word()?;
    let time = from_number(first.parse().ok()?).or_else(|| take_clf(first).map(|(time, _)| time))?;
    let elapsed = scan.word()?.parse().ok()?;
    let client = scan.word()?;
    let (result, status) = scan.word()?.cut_at(b'/')?;
    let bytes = scan.word()?;
    let method = scan.word()?;
    // The URL and the user are the client's; Squid writes them without spaces. The last two words are Squid's.
    let (rest, mime) = scan.rest.trim_end().cut_last_at(b' ')?;
    let (rest, peer) = rest.trim_end().cut_last_at(b' ')?;
    let (url, user) = rest.trim_end().cut_last_at(b' ')?;
    result.starts_with(|c: char| c.is_ascii_uppercase()).then_some(Native {
        time,
        elapsed,
        client,
        result,
        status,
        bytes,
        method,
        url: url.trim(),
        user,
        peer,
        mime,
    })
}

impl Native<'_> {
    fn set(&self, draft: &mut Draft) {
        draft.timestamp = Some(self.time);
        draft.set("event.duration", self.elapsed.saturating_mul(1_000_000));
        let (client, port) = split_port(self.client);
        endpoint(draft, &SOURCE, client, port);
        draft.set(ecs::EVENT_ACTION, self.result);
        draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
        let denied = self.result.has("DENIED");
        draft.set_list(ecs::EVENT_TYPE, &["access", if denied { "denied" } else { "allowed" }]);
        super::access::set_status(draft, self.status);
        draft.set_int("source.bytes", self.bytes);
        draft.set_int("http.response.bytes", self.bytes);
        draft.set_known("http.request.method", self.method);
        draft.set_known("event.code", self.method);
        draft.set_known("url.original", self.url);
        draft.user(if self.user == "-" { "" } else { self.user });
        draft.set_known("http.response.mime_type", self.mime);
        if let Some((hierarchy, peer)) = self.peer.cut_at(b'/') {
            draft.set_known("squid.hierarchy_status", hierarchy);
            endpoint(draft, &DESTINATION, peer, "");
        }
        draft.set_fixed("observer.vendor", "Squid");
        draft.set_fixed("observer.product", "Proxy");
        draft.set_fixed("observer.type", "Proxies");
        let path = crate::url::decode(self.url.split(['?', '#']).next().unwrap_or(""));
        if self.url.has("://")
            && let Some((_, name)) = path.cut_last_at(b'/')
            && path.matches('/').count() > 2
        {
            draft.set_text("file.name", name);
        }
        if denied {
            draft.unified("WEB_BLOCK", 2);
        }
    }
}
