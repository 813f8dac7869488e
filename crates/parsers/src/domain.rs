//! Names of the Domain Name System: what somebody registered, by the public suffix list.

use model::{Text, Value, ecs};

use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;
use crate::slots::Key;

/// The names of a domain and its parts.
struct Parts {
    full: Key,
    registered: Key,
    sub: Key,
    top: Key,
}

static URL: Parts = Parts {
    full: Key::of(ecs::URL_DOMAIN),
    registered: Key::of("url.registered_domain"),
    sub: Key::of("url.subdomain"),
    top: Key::of("url.top_level_domain"),
};
static QUESTION: Parts = Parts {
    full: Key::of(ecs::DNS_QUESTION_NAME),
    registered: Key::of("dns.question.registered_domain"),
    sub: Key::of("dns.question.subdomain"),
    top: Key::of("dns.question.top_level_domain"),
};

/// Sets the registered domain, subdomain and top-level domain of `url.domain` and `dns.question.name`.
pub(crate) fn derive(draft: &mut Draft) {
    if draft.may_have(&[Key::of(ecs::URL_DOMAIN)]) != 0 {
        split(draft, &URL);
    }
    if draft.may_have(&[Key::of(ecs::DNS_QUESTION_NAME)]) != 0 {
        split(draft, &QUESTION);
    }
}

fn split(draft: &mut Draft, parts: &Parts) {
    let Some(full) = draft.get_key(parts.full).and_then(Value::as_str) else {
        return;
    };
    if full.len() > 253 || !full.has_byte(b'.') || is_ip(full) {
        return;
    }
    let Some(domain) = psl::domain_str(full) else { return };
    let rest = full.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    let rest = rest.filter(|rest| !rest.is_empty()).map(Text::from);
    let suffix = domain.cut_at(b'.').map(|(_, suffix)| Text::from(suffix));
    let domain = Text::from(domain);
    draft.set_default_key(parts.registered, domain);
    if let Some(suffix) = suffix {
        draft.set_default_key(parts.top, suffix);
    }
    if let Some(rest) = rest {
        draft.set_default_key(parts.sub, rest);
    }
}
