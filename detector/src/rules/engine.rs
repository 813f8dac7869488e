//! What compiling asks of the Sigma engine.

use std::sync::Arc;

use sigma::{Catalog, Filter, Rule, RuleError, RuleSet};

/// Compiles rules with filters.
pub(crate) fn compile_set(rules: Vec<Rule>, _catalog: &Catalog, _filters: &[Filter]) -> (RuleSet, Vec<RuleError>) {
    RuleSet::compile(rules)
}

/// The catalog with pipelines, given as names and texts.
pub(crate) fn catalog_with(pipelines: &[(String, String)]) -> Result<&'static Catalog, Vec<RuleError>> {
    let refused = |(path, _): &(String, String)| super::parsed::refusal(path, "file", "expected no pipeline yet");
    if pipelines.is_empty() {
        Ok(Catalog::builtin())
    } else {
        Err(pipelines.iter().map(refused).collect())
    }
}

/// Names a field of a rule's logsource can have in events, in the order in which they are tried.
pub(crate) fn names_of(catalog: &Catalog, rule: &Rule, field: &str) -> Vec<Arc<str>> {
    let selection = serde_json::json!({ field: null });
    let yaml = serde_json::json!({
        "id": "field", "title": "field", "logsource": { "product": "any" },
        "detection": { "selection": selection, "condition": "selection" },
    });
    let asked = sigma::parse_rules("", &yaml.to_string())
        .into_iter()
        .next()
        .and_then(Result::ok);
    let mut names = Vec::new();
    if let Some(mut asked) = asked {
        asked.logsource = rule.logsource.clone();
        if let Ok(applied) = catalog.apply(&asked) {
            applied.detection.items(|item| {
                if let Some(field) = &item.field {
                    names.push(field.name.clone());
                    names.extend(field.others.iter().cloned());
                }
            });
        }
    }
    if names.is_empty() {
        names.push(Arc::from(field));
    }
    names
}
