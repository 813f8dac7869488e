//! The gRPC face: `QueryService`, `RuleService`, health and reflection, and one table ([`RPCS`]) that says who may call what.

mod guard;
mod query;
mod rules;
mod search;
mod watch;

use anyhow::Context as _;
use axum::Router;
use axum::middleware::from_fn_with_state;
use model::AccessRole;
use proto::query::v1::query_service_server::QueryServiceServer;
use proto::rules::v1::rule_service_server::RuleServiceServer;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::rest::Access;
use crate::state::App;

/// Largest request, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Largest request that carries rules, in bytes.
const MAX_RULES_BYTES: usize = 4 * 1024 * 1024;
/// Largest answer, in bytes: a page of alerts with their events.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// One RPC.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its answer is a stream that does not end by itself.
    pub is_endless: bool,
}

const VIEWER: Access = Access::Role(AccessRole::Viewer);
const ANALYST: Access = Access::Role(AccessRole::Analyst);

const fn rpc(path: &'static str, access: Access, is_endless: bool) -> Rpc {
    Rpc {
        path,
        access,
        is_endless,
    }
}

/// Every RPC there is; a call to any other is refused before it reaches a service.
pub static RPCS: &[Rpc] = &[
    rpc("/picket.query.v1.QueryService/WatchAlerts", VIEWER, true),
    rpc("/picket.query.v1.QueryService/ListAlerts", VIEWER, false),
    rpc("/picket.query.v1.QueryService/SearchEvents", VIEWER, false),
    rpc("/picket.query.v1.QueryService/ExportEvents", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetEventHistogram", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetTopValues", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetStatus", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetAgentDelivery", VIEWER, false),
    rpc("/picket.query.v1.QueryService/ListRules", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetRule", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetRuleCost", VIEWER, false),
    rpc("/picket.query.v1.QueryService/GetRuleCoverage", VIEWER, false),
    // A viewer may try with `dry_run`; the method itself asks for more otherwise.
    rpc("/picket.rules.v1.RuleService/ImportRules", VIEWER, false),
    rpc("/picket.rules.v1.RuleService/SetRulesEnabled", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/DeleteRules", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/PutException", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/DeleteException", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/PutSuppression", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/DeleteSuppression", ANALYST, false),
    rpc("/picket.rules.v1.RuleService/ExplainRule", VIEWER, false),
    rpc("/picket.rules.v1.RuleService/ExplainAlert", VIEWER, false),
    rpc("/picket.rules.v1.RuleService/FindBlindRules", VIEWER, false),
    rpc("/picket.rules.v1.RuleService/BacktestRules", ANALYST, false),
    rpc("/grpc.health.v1.Health/Check", Access::Public, false),
    rpc("/grpc.health.v1.Health/Watch", Access::Public, true),
    rpc(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Access::Public,
        true,
    ),
    rpc(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Access::Public,
        true,
    ),
];

/// All services behind their guard, and what says whether they are serving.
pub(crate) async fn router(app: &App) -> anyhow::Result<(Router, HealthReporter)> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<QueryServiceServer<query::Query>>().await;
    reporter.set_serving::<RuleServiceServer<rules::Rules>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("picket.query.v1.QueryService")
            .with_service_name("picket.rules.v1.RuleService")
            .with_service_name("grpc.health.v1.Health")
    };
    let query = QueryServiceServer::new(query::Query::new(app.clone()))
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let rules = RuleServiceServer::new(rules::Rules::new(app.clone()))
        .max_decoding_message_size(MAX_RULES_BYTES)
        .max_encoding_message_size(MAX_ANSWER_BYTES);
    let routes = Routes::new(query)
        .add_service(rules)
        .add_service(health)
        .add_service(reflection().build_v1().context("build reflection v1")?)
        .add_service(reflection().build_v1alpha().context("build reflection v1alpha")?);
    let router = routes
        .into_axum_router()
        .reset_fallback()
        .layer(from_fn_with_state(app.clone(), guard::guard));
    Ok((router, reporter))
}

/// Tells health's watchers to go elsewhere.
pub(crate) async fn set_stopping(reporter: &HealthReporter) {
    let query = <QueryServiceServer<query::Query> as NamedService>::NAME;
    let rules = <RuleServiceServer<rules::Rules> as NamedService>::NAME;
    for service in ["", query, rules] {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn methods(set: &[u8], service: &str) -> Vec<String> {
        let set = FileDescriptorSet::decode(set).unwrap();
        let mut found = Vec::new();
        for file in &set.file {
            for described in &file.service {
                let name = format!("{}.{}", file.package(), described.name());
                if name == service {
                    found.extend(
                        described
                            .method
                            .iter()
                            .map(|method| format!("/{name}/{}", method.name())),
                    );
                }
            }
        }
        assert!(!found.is_empty(), "{service}");
        found
    }

    #[test]
    fn the_table_has_exactly_the_methods_that_are_served() {
        let mut served = methods(proto::FILE_DESCRIPTOR_SET, "picket.query.v1.QueryService");
        served.extend(methods(proto::FILE_DESCRIPTOR_SET, "picket.rules.v1.RuleService"));
        served.extend(methods(tonic_health::pb::FILE_DESCRIPTOR_SET, "grpc.health.v1.Health"));
        served.extend(methods(
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            "grpc.reflection.v1.ServerReflection",
        ));
        served.extend(methods(
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
            "grpc.reflection.v1alpha.ServerReflection",
        ));
        let served: BTreeSet<String> = served.into_iter().collect();
        let table: BTreeSet<String> = RPCS.iter().map(|rpc| rpc.path.to_owned()).collect();
        assert_eq!(table, served);
    }

    /// This list only ever gets shorter.
    #[test]
    fn only_health_and_reflection_are_public() {
        for rpc in RPCS {
            let expected = rpc.path.starts_with("/grpc.health.") || rpc.path.starts_with("/grpc.reflection.");
            assert_eq!(rpc.access == Access::Public, expected, "{}", rpc.path);
        }
    }
}
