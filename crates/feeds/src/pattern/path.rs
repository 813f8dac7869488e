//! Which property of which object is what kind of indicator.

use model::indicator::IndicatorType;

use crate::list;

/// What a comparison is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A value of that type.
    Of(IndicatorType),
    /// A hash of a file: hashes beside each other mean the same file.
    Hash(IndicatorType),
    /// A name or an address, which the value tells.
    Host,
    /// The type of an object, which says nothing by itself.
    ObjectType,
    /// Nothing that is matched here.
    Other,
}

/// `file:hashes.'SHA-256'` and so on.
pub(super) fn subject(path: &str) -> Subject {
    let Some((object, property)) = path.split_once(':') else {
        return Subject::Other;
    };
    let property = property.replace(['\'', '"'], "").to_ascii_lowercase();
    if let Some(algorithm) = property.strip_prefix("hashes.").or_else(|| {
        let (_, algorithm) = property.split_once(".hashes.")?;
        Some(algorithm)
    }) {
        return match algorithm {
            "md5" => Subject::Hash(IndicatorType::Md5),
            "sha-1" | "sha1" => Subject::Hash(IndicatorType::Sha1),
            "sha-256" | "sha256" => Subject::Hash(IndicatorType::Sha256),
            _ => Subject::Other,
        };
    }
    match (object, property.as_str()) {
        ("ipv4-addr" | "ipv6-addr", "value") => Subject::Of(IndicatorType::Ip),
        ("domain-name", "value") => Subject::Of(IndicatorType::Domain),
        ("url", "value") => Subject::Of(IndicatorType::Url),
        ("email-addr", "value") => Subject::Of(IndicatorType::Email),
        ("email-message", "from_ref.value" | "sender_ref.value") => Subject::Of(IndicatorType::Email),
        ("network-traffic", "dst_ref.value" | "src_ref.value") => Subject::Host,
        (_, property) if property == "type" || property.ends_with("_ref.type") => Subject::ObjectType,
        _ => Subject::Other,
    }
}

/// The type of a value whose property leaves it open.
pub(super) fn host(value: &str) -> Option<IndicatorType> {
    let (kind, _) = list::guess(value)?;
    matches!(kind, IndicatorType::Ip | IndicatorType::Domain).then_some(kind)
}
