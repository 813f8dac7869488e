//! ATT&CK Navigator layers: techniques coloured by how many rules cover them.

use serde_json::{Value, json};

/// A technique and how well it is covered.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    /// Such as `T1110.001`.
    pub technique: String,
    /// Rules that look for it.
    pub rules: usize,
    /// Shown when somebody points at it.
    pub comment: String,
}

/// A layer in version 4.5 of the format, for <https://mitre-attack.github.io/attack-navigator/>.
pub(crate) fn document(name: &str, description: &str, scored: &[Scored]) -> Value {
    let most = scored.iter().map(|scored| scored.rules).max().unwrap_or(1);
    let techniques: Vec<Value> = scored
        .iter()
        .map(|scored| {
            json!({
                "techniqueID": scored.technique, "score": scored.rules, "comment": scored.comment, "enabled": true,
                "showSubtechniques": scored.technique.contains('.'),
            })
        })
        .collect();
    json!({
        "name": name,
        "description": description,
        "domain": "enterprise-attack",
        "versions": { "layer": "4.5", "navigator": "5.0.0" },
        "sorting": 3,
        "layout": { "layout": "side", "showID": true, "showName": true },
        "hideDisabled": false,
        "gradient": { "colors": ["#ffffff", "#66b1ff", "#0a58ca"], "minValue": 0, "maxValue": most },
        "techniques": techniques,
    })
}
