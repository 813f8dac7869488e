//! The table of all REST routes. The router is built from it, so a route without a stated role cannot exist.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get};
use model::AccessRole;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::{
    agents, alerts, audit, docs, envelope, events, feeds, guard, health, holds, hunts, indicators, ingest, nodes,
    parsers, retention, rule_changes, rules, security, stats, tuning,
};
use crate::state::App;

/// Who may use something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Who has this role or a higher one.
    Role(AccessRole),
}

/// HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads; `HEAD` too.
    Get,
    /// Adds or does.
    Post,
    /// Puts in place.
    Put,
    /// Removes.
    Delete,
}

impl Verb {
    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What answers a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// Part of the OpenAPI document.
    Documented(fn() -> UtoipaMethodRouter<App>),
    /// The documentation itself, and the page people land on.
    Plain(fn() -> MethodRouter<App>),
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method.
    pub verb: Verb,
    /// Its path, with `{parameters}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    pub(crate) handler: Handler,
}

impl Route {
    /// Whether it is in the OpenAPI document.
    #[must_use]
    pub fn is_documented(&self) -> bool {
        matches!(self.handler, Handler::Documented(_))
    }
}

const VIEWER: Access = Access::Role(AccessRole::Viewer);
const ANALYST: Access = Access::Role(AccessRole::Analyst);
const ADMIN: Access = Access::Role(AccessRole::Admin);

const fn route(verb: Verb, path: &'static str, access: Access, handler: fn() -> UtoipaMethodRouter<App>) -> Route {
    Route {
        verb,
        path,
        access,
        handler: Handler::Documented(handler),
    }
}

const fn page(path: &'static str, handler: fn() -> MethodRouter<App>) -> Route {
    Route {
        verb: Verb::Get,
        path,
        access: Access::Public,
        handler: Handler::Plain(handler),
    }
}

/// Every route there is.
pub static ROUTES: &[Route] = &[
    page("/", || get(health::root)),
    page("/docs", || get(docs::redirect)),
    page("/docs/", || get(docs::index)),
    page("/docs/{*file}", || get(docs::file)),
    page("/openapi.json", || get(docs::openapi)),
    route(Verb::Get, "/health", Access::Public, || routes!(health::health)),
    route(Verb::Post, "/ingest", ANALYST, || routes!(ingest::ingest)),
    route(Verb::Get, "/events", VIEWER, || routes!(events::list)),
    route(Verb::Get, "/events/export", VIEWER, || routes!(events::export)),
    route(Verb::Get, "/events/histogram", VIEWER, || routes!(events::histogram)),
    route(Verb::Get, "/events/top", VIEWER, || routes!(events::top)),
    route(Verb::Get, "/search", VIEWER, || routes!(events::search)),
    route(Verb::Get, "/alerts", VIEWER, || routes!(alerts::list)),
    route(Verb::Get, "/alerts/{id}", VIEWER, || routes!(alerts::get)),
    route(Verb::Get, "/alerts/{id}/explain", VIEWER, || routes!(alerts::explain)),
    route(Verb::Get, "/stats", VIEWER, || routes!(stats::stats)),
    route(Verb::Get, "/metrics", VIEWER, || routes!(stats::metrics)),
    route(Verb::Get, "/ti/iocs", VIEWER, || routes!(indicators::list)),
    route(Verb::Post, "/ti/iocs", ANALYST, || routes!(indicators::put)),
    route(Verb::Get, "/ti/feeds", VIEWER, || routes!(feeds::list)),
    route(Verb::Get, "/ti/feeds/{name}", VIEWER, || routes!(feeds::get)),
    route(Verb::Put, "/ti/feeds/{name}", ADMIN, || routes!(feeds::put)),
    route(Verb::Delete, "/ti/feeds/{name}", ADMIN, || routes!(feeds::delete)),
    route(Verb::Post, "/ti/feeds/{name}/run", ADMIN, || routes!(feeds::run)),
    route(Verb::Delete, "/ti/iocs", ANALYST, || routes!(indicators::delete)),
    route(Verb::Get, "/ti/iocs/lookup", VIEWER, || routes!(indicators::lookup)),
    route(Verb::Get, "/ti/iocs/stats", VIEWER, || routes!(indicators::stats)),
    route(Verb::Get, "/ti/hunts", VIEWER, || routes!(hunts::list)),
    route(Verb::Post, "/ti/hunts", ANALYST, || routes!(hunts::start)),
    route(Verb::Get, "/ti/hunts/{id}", VIEWER, || routes!(hunts::get)),
    route(Verb::Delete, "/ti/hunts/{id}", ANALYST, || routes!(hunts::cancel)),
    route(Verb::Get, "/ti/hunts/{id}/matches", VIEWER, || routes!(hunts::matches)),
    route(Verb::Get, "/rules", VIEWER, || routes!(rules::list)),
    route(Verb::Post, "/rules", ANALYST, || routes!(rule_changes::import)),
    route(Verb::Post, "/rules/validate", VIEWER, || {
        routes!(rule_changes::validate)
    }),
    route(Verb::Post, "/rules/explain", VIEWER, || routes!(rules::explain_text)),
    route(Verb::Post, "/rules/backtest", ANALYST, || {
        routes!(rule_changes::backtest)
    }),
    route(Verb::Get, "/rules/cost", VIEWER, || routes!(rules::cost)),
    route(Verb::Get, "/rules/coverage", VIEWER, || routes!(rules::coverage)),
    route(Verb::Get, "/rules/exceptions", VIEWER, || {
        routes!(tuning::list_exceptions)
    }),
    route(Verb::Post, "/rules/exceptions", ANALYST, || {
        routes!(tuning::add_exception)
    }),
    route(Verb::Put, "/rules/exceptions/{id}", ANALYST, || {
        routes!(tuning::put_exception)
    }),
    route(Verb::Delete, "/rules/exceptions/{id}", ANALYST, || {
        routes!(tuning::delete_exception)
    }),
    route(Verb::Get, "/rules/suppressions", VIEWER, || {
        routes!(tuning::list_suppressions)
    }),
    route(Verb::Put, "/rules/suppressions/{id}", ANALYST, || {
        routes!(tuning::put_suppression)
    }),
    route(Verb::Delete, "/rules/suppressions/{id}", ANALYST, || {
        routes!(tuning::delete_suppression)
    }),
    route(Verb::Get, "/rules/{id}", VIEWER, || routes!(rules::get)),
    route(Verb::Put, "/rules/{id}", ANALYST, || routes!(rule_changes::put)),
    route(Verb::Delete, "/rules/{id}", ANALYST, || routes!(rule_changes::delete)),
    route(Verb::Get, "/rules/{id}/versions", VIEWER, || routes!(rules::versions)),
    route(Verb::Post, "/rules/{id}/enable", ANALYST, || {
        routes!(rule_changes::enable)
    }),
    route(Verb::Post, "/rules/{id}/disable", ANALYST, || {
        routes!(rule_changes::disable)
    }),
    route(Verb::Post, "/rules/{id}/explain", VIEWER, || routes!(rules::explain)),
    route(Verb::Get, "/parsers", VIEWER, || routes!(parsers::list)),
    route(Verb::Post, "/parsers", ANALYST, || routes!(parsers::import)),
    route(Verb::Post, "/parsers/validate", VIEWER, || routes!(parsers::validate)),
    route(Verb::Get, "/parsers/{name}", VIEWER, || routes!(parsers::get)),
    route(Verb::Put, "/parsers/{name}", ANALYST, || routes!(parsers::put)),
    route(Verb::Delete, "/parsers/{name}", ANALYST, || routes!(parsers::delete)),
    route(Verb::Get, "/parsers/{name}/versions", VIEWER, || {
        routes!(parsers::versions)
    }),
    route(Verb::Get, "/agents", VIEWER, || routes!(agents::list)),
    route(Verb::Get, "/agents/{id}/delivery", VIEWER, || routes!(agents::delivery)),
    route(Verb::Get, "/holds", VIEWER, || routes!(holds::list)),
    route(Verb::Post, "/holds", ANALYST, || routes!(holds::place)),
    route(Verb::Delete, "/holds/{id}", ANALYST, || routes!(holds::release)),
    route(Verb::Get, "/retention", VIEWER, || routes!(retention::get)),
    route(Verb::Put, "/retention", ADMIN, || routes!(retention::put)),
    route(Verb::Delete, "/retention", ADMIN, || routes!(retention::delete)),
    route(Verb::Get, "/nodes", VIEWER, || routes!(nodes::list)),
    route(Verb::Get, "/status", VIEWER, || routes!(nodes::status)),
    route(Verb::Post, "/security/user/authenticate", Access::Public, || {
        routes!(security::authenticate)
    }),
    route(Verb::Get, "/security/users", ADMIN, || routes!(security::list_users)),
    route(Verb::Post, "/security/users", ADMIN, || routes!(security::create_user)),
    route(Verb::Delete, "/security/users/{name}", ADMIN, || {
        routes!(security::delete_user)
    }),
    route(Verb::Get, "/security/api-keys", ADMIN, || {
        routes!(security::list_api_keys)
    }),
    route(Verb::Post, "/security/api-keys", ADMIN, || {
        routes!(security::create_api_key)
    }),
    route(Verb::Delete, "/security/api-keys/{id}", ADMIN, || {
        routes!(security::delete_api_key)
    }),
    route(Verb::Post, "/security/enrolment-tokens", ADMIN, || {
        routes!(agents::create_enrolment_token)
    }),
    route(Verb::Post, "/security/agents/{id}/revoke", ADMIN, || {
        routes!(agents::revoke)
    }),
    route(Verb::Get, "/audit", ADMIN, || routes!(audit::list)),
];

/// All routes behind their guards; `grpc` joins them on the same port.
pub(crate) fn router(app: &App, grpc: Router) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let methods = match route.handler {
            Handler::Documented(build) => build().2,
            Handler::Plain(build) => build(),
        };
        let guarded = methods.layer(from_fn_with_state((app.clone(), route), guard::guard));
        router = router.route(route.path, guarded);
    }
    router
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .fallback(envelope::not_found)
        .with_state(app.clone())
        .merge(grpc)
}
