//! The Traffic Light Protocol, as tags and as STIX marking definitions say it.

use model::indicator::Tlp;

/// `tlp:amber+strict` and its older spellings; nothing when it is no TLP tag.
pub(crate) fn from_tag(tag: &str) -> Option<Tlp> {
    let is_tlp = tag
        .trim()
        .get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case("tlp:"));
    if is_tlp { tag.parse().ok() } else { None }
}

/// The marking definitions that STIX 2.1 and FIRST's TLP 2.0 extension fix.
pub(crate) fn from_definition(id: &str) -> Option<Tlp> {
    match id.strip_prefix("marking-definition--")? {
        "613f2e26-407d-48c7-9eca-b8e91df99dc9" | "94868c89-83c2-464b-929b-a1a8aa3c8487" => Some(Tlp::Clear),
        "34098fce-860f-48ae-8e50-ebd3cc5e41da" | "bab4a63c-aed9-4cf5-a766-dfca5abac2bb" => Some(Tlp::Green),
        "f88d31f6-486f-44da-b317-01333bde0b82" | "55d920b0-5e8b-4f79-9ee9-91f868d9b421" => Some(Tlp::Amber),
        "939a9414-2ddd-4d32-a0cd-375ea402b003" => Some(Tlp::AmberStrict),
        "5e57c739-391a-4eb3-b6be-7d15ca92d5ed" | "e828b379-4e03-4974-9ac4-e53a884c97c1" => Some(Tlp::Red),
        _ => None,
    }
}

/// The stricter of two.
pub(crate) fn stricter(one: Option<Tlp>, other: Option<Tlp>) -> Option<Tlp> {
    // Nothing is less than any label.
    one.max(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_definitions_mean_the_same() {
        assert_eq!(from_tag("TLP:WHITE"), Some(Tlp::Clear));
        assert_eq!(from_tag("tlp:amber+strict"), Some(Tlp::AmberStrict));
        assert_eq!(from_tag("tlp:ex:chr"), None);
        assert_eq!(from_tag("amber"), None);
        let red = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1";
        assert_eq!(from_definition(red), Some(Tlp::Red));
        assert_eq!(from_definition("marking-definition--other"), None);
    }

    #[test]
    fn the_strictest_marking_holds() {
        assert_eq!(stricter(Some(Tlp::Amber), Some(Tlp::Green)), Some(Tlp::Amber));
        assert_eq!(
            stricter(Some(Tlp::Amber), Some(Tlp::AmberStrict)),
            Some(Tlp::AmberStrict)
        );
        assert_eq!(stricter(None, Some(Tlp::Red)), Some(Tlp::Red));
        assert_eq!(stricter(None, None), None);
    }
}
