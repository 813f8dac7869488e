//! Every route and every RPC: without credentials, with too low a role, with a sufficient one.

use gateway::grpc::RPCS;
use gateway::rest::{Access, ROUTES, Verb};
use model::AccessRole;
use reqwest::{Method, RequestBuilder, StatusCode};

use crate::support::{self, Gateway, problem};

fn method(verb: Verb) -> Method {
    Method::from_bytes(verb.as_str().as_bytes()).unwrap()
}

fn below(role: AccessRole) -> Option<AccessRole> {
    AccessRole::ALL.into_iter().rev().find(|other| *other < role)
}

/// Public routes and why they are. This list only ever gets shorter.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/docs/"),
    ("GET", "/docs/{*file}"),
    ("GET", "/openapi.json"),
    ("GET", "/health"),
    ("POST", "/security/user/authenticate"),
];

#[test]
fn only_the_listed_routes_are_public() {
    let public: Vec<(&str, &str)> = ROUTES
        .iter()
        .filter(|route| route.access == Access::Public)
        .map(|route| (route.verb.as_str(), route.path))
        .collect();
    assert_eq!(public, PUBLIC);
}

async fn keys(gateway: &Gateway) -> Vec<(AccessRole, String)> {
    let mut keys = Vec::new();
    for role in AccessRole::ALL {
        keys.push((role, gateway.key(&format!("test-{role}"), role).await));
    }
    keys
}

fn key_of(keys: &[(AccessRole, String)], role: AccessRole) -> &str {
    &keys.iter().find(|(known, _)| *known == role).unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_strangers_and_lower_roles() {
    let gateway = support::start().await;
    let keys = keys(&gateway).await;
    let mut walked = 0;
    for route in ROUTES {
        let Access::Role(role) = route.access else { continue };
        let path = route.path.replace("{id}", "0").replace("{name}", "0");
        let request = || gateway.anonymous(method(route.verb), &path);

        problem(request().send().await.unwrap(), 401).await;
        if walked < 2 {
            // More wrong ones would be slowed down.
            problem(request().header("x-api-key", "pk_wrong").send().await.unwrap(), 401).await;
            problem(request().bearer_auth("a.b.c").send().await.unwrap(), 401).await;
        }
        if let Some(lower) = below(role) {
            let refused = request()
                .header("x-api-key", key_of(&keys, lower))
                .send()
                .await
                .unwrap();
            let detail = problem(refused, 403).await;
            assert!(detail.contains(&format!("this needs role {role}")), "{detail}");
        }
        // What the handler then says to a request without content is another test's matter.
        let admitted = request().header("x-api-key", key_of(&keys, role)).send().await.unwrap();
        let status = admitted.status();
        assert!(
            status != StatusCode::UNAUTHORIZED && status != StatusCode::FORBIDDEN && !status.is_server_error(),
            "{} {path}: {status}",
            route.verb.as_str()
        );
        walked += 1;
    }
    assert_eq!(walked + PUBLIC.len(), ROUTES.len());
}

fn rpc(gateway: &Gateway, path: &str) -> RequestBuilder {
    gateway
        .anonymous(Method::POST, path)
        .version(reqwest::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // An empty message.
        .body(vec![0_u8; 5])
}

async fn grpc_status(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    match response.headers().get("grpc-status") {
        Some(status) => status.to_str().unwrap().to_owned(),
        None => "open".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_refuses_strangers_and_lower_roles() {
    let gateway = support::start().await;
    let keys = keys(&gateway).await;
    let viewer = key_of(&keys, AccessRole::Viewer).to_owned();
    for table in RPCS {
        let Access::Role(role) = table.access else { continue };
        assert_eq!(grpc_status(rpc(&gateway, table.path)).await, "16", "{}", table.path);
        let wrong = rpc(&gateway, table.path).header("x-api-key", "pk_wrong");
        assert_eq!(grpc_status(wrong).await, "16", "{}", table.path);
        if let Some(lower) = below(role) {
            let refused = rpc(&gateway, table.path).header("x-api-key", key_of(&keys, lower));
            assert_eq!(grpc_status(refused).await, "7", "{}", table.path);
        }
        // What the method then says to an empty message is another test's matter.
        // An empty import is no dry run, and only a dry run is open to viewers.
        let role = if table.path.ends_with("/ImportRules") {
            AccessRole::Analyst
        } else {
            role
        };
        let right = rpc(&gateway, table.path).header("x-api-key", key_of(&keys, role));
        let status = grpc_status(right).await;
        let expected = if table.path.contains("RuleService") {
            !["7", "16", "13", "12"].contains(&status.as_str())
        } else {
            ["open", "3", "5"].contains(&status.as_str())
        };
        assert!(expected, "{}: {status}", table.path);
    }
    let unknown = rpc(&gateway, "/picket.query.v1.QueryService/Nothing").header("x-api-key", &viewer);
    assert_eq!(grpc_status(unknown).await, "12");
    let elsewhere = rpc(&gateway, "/picket.ingest.v1.IngestService/Submit").header("x-api-key", &viewer);
    assert_eq!(grpc_status(elsewhere).await, "12");
}
