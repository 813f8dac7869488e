//! What compiling asks of the Sigma engine.

use std::sync::{Arc, LazyLock};

use sigma::{Catalog, LogSource, RuleError};

/// The catalog with pipelines, given as names and texts.
pub(crate) fn catalog_with(pipelines: &[(String, String)]) -> Result<Arc<Catalog>, Vec<RuleError>> {
    static PLAIN: LazyLock<Option<Arc<Catalog>>> = LazyLock::new(|| Catalog::with_pipelines(&[]).ok().map(Arc::new));
    match &*PLAIN {
        Some(plain) if pipelines.is_empty() => Ok(Arc::clone(plain)),
        _ => Catalog::with_pipelines(pipelines).map(Arc::new),
    }
}

/// Names a field can have in events of a logsource, in the order in which they are tried.
pub(crate) fn names_of(catalog: &Catalog, logsource: &LogSource, field: &str) -> Vec<Arc<str>> {
    let field = catalog.field(logsource, field);
    std::iter::once(field.name.clone())
        .chain(field.others.iter().cloned())
        .collect()
}
