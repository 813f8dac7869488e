//! Names of the Domain Name System: what somebody registered, by the public suffix list.

use model::{Text, ecs};

use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

/// Sets the registered domain, subdomain and top-level domain of `url.domain` and `dns.question.name`.
pub(crate) fn derive(draft: &mut Draft) {
    split(
        draft,
        ecs::URL_DOMAIN,
        "url.registered_domain",
        "url.subdomain",
        "url.top_level_domain",
    );
    split(
        draft,
        ecs::DNS_QUESTION_NAME,
        "dns.question.registered_domain",
        "dns.question.subdomain",
        "dns.question.top_level_domain",
    );
}

fn split(draft: &mut Draft, name: &str, registered: &'static str, sub: &'static str, top: &'static str) {
    let Some(full) = draft.str(name) else { return };
    if full.len() > 253 || !full.has_byte(b'.') || is_ip(full) {
        return;
    }
    let Some(domain) = psl::domain_str(full) else { return };
    let rest = full.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    let rest = rest.filter(|rest| !rest.is_empty()).map(Text::from);
    let suffix = domain.cut_at(b'.').map(|(_, suffix)| Text::from(suffix));
    let domain = Text::from(domain);
    draft.set_default(registered, domain);
    if let Some(suffix) = suffix {
        draft.set_default(top, suffix);
    }
    if let Some(rest) = rest {
        draft.set_default(sub, rest);
    }
}
