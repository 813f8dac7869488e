//! Signing in, users, keys, and what the audit log says about them.

use model::Tenant;
use reqwest::{Method, StatusCode};
use serde_json::json;
use storage::audit;

use crate::support::{self, ADMIN_KEY, Gateway, PASSWORD, ok, problem};

async fn status_with(gateway: &Gateway, header: &str, value: &str) -> StatusCode {
    let request = gateway.anonymous(Method::GET, "/agents").header(header, value);
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_sign_in_works() {
    let gateway = support::start().await;
    let answer = gateway
        .anonymous(Method::POST, "/security/user/authenticate")
        .basic_auth("admin", Some(PASSWORD))
        .send()
        .await
        .unwrap();
    let answer = ok(answer).await;
    assert_eq!(answer["error"], 0);
    let token = answer["data"]["token"].as_str().unwrap().to_owned();
    let raw = gateway.token().await;
    assert_eq!(raw.split('.').count(), 3);
    for (header, value) in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("Bearer {raw}")),
        ("x-api-key", ADMIN_KEY.to_owned()),
        ("api-key", ADMIN_KEY.to_owned()),
    ] {
        assert_eq!(status_with(&gateway, header, &value).await, StatusCode::OK, "{header}");
    }
    let basic = gateway
        .anonymous(Method::GET, "/agents")
        .basic_auth("admin", Some(PASSWORD));
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_only_for_the_guesser() {
    let gateway = support::start().await;
    let attempt = |password: &'static str| {
        gateway
            .anonymous(Method::POST, "/security/user/authenticate")
            .basic_auth("admin", Some(password))
            .send()
    };
    for _ in 0..5 {
        let response = attempt("wrong password").await.unwrap();
        assert!(response.headers().contains_key("www-authenticate"));
        problem(response, 401).await;
    }
    let response = attempt(PASSWORD).await.unwrap();
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after));
    problem(response, 429).await;
    assert_eq!(status_with(&gateway, "x-api-key", ADMIN_KEY).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_and_go_and_take_their_tokens_with_them() {
    let gateway = support::start().await;
    let body = json!({ "name": "ana", "password": "another long one", "role": "analyst" });
    let made = gateway
        .request(Method::POST, "/security/users")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert!(!made.text().await.unwrap().contains("password"));
    let again = gateway
        .request(Method::POST, "/security/users")
        .json(&body)
        .send()
        .await
        .unwrap();
    problem(again, 409).await;

    let token = gateway
        .anonymous(Method::POST, "/security/user/authenticate?raw=true")
        .basic_auth("ana", Some("another long one"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let bearer = format!("Bearer {token}");
    assert_eq!(status_with(&gateway, "authorization", &bearer).await, StatusCode::OK);
    let listed = gateway.get("/security/users").await;
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| u["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["admin", "ana"]);

    let gone = gateway
        .request(Method::DELETE, "/security/users/ana")
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        status_with(&gateway, "authorization", &bearer).await,
        StatusCode::UNAUTHORIZED
    );
    let gone = gateway
        .request(Method::DELETE, "/security/users/ana")
        .send()
        .await
        .unwrap();
    problem(gone, 404).await;
    let last = gateway
        .request(Method::DELETE, "/security/users/admin")
        .send()
        .await
        .unwrap();
    problem(last, 409).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_and_go_and_every_change_is_in_the_audit_log() {
    let gateway = support::start().await;
    let made = gateway
        .post(
            "/security/api-keys",
            json!({ "name": "shipper", "role": "analyst", "expires_in_days": 30 }),
        )
        .await;
    let key = made["api_key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("pk_") && key.len() == 46);
    assert_eq!(status_with(&gateway, "x-api-key", &key).await, StatusCode::OK);
    let listed = gateway.get("/security/api-keys").await;
    assert!(!listed.to_string().contains(&key));
    let shipper = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|k| k["name"] == "shipper")
        .unwrap();
    assert!(shipper["last_used_at"].is_string() && shipper["expires_at"].is_string());

    let path = format!("/security/api-keys/{}", made["id"].as_str().unwrap());
    let gone = gateway.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(status_with(&gateway, "x-api-key", &key).await, StatusCode::UNAUTHORIZED);

    let log = gateway.get("/audit?limit=10").await;
    let lines: Vec<(String, String)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["actor"].as_str().unwrap().to_owned(),
                line["action"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("key:up", "api_key.delete"),
        ("key:up", "api_key.create"),
        ("node:gateway-1", "api_key.create"),
        ("node:gateway-1", "user.create"),
    ];
    assert_eq!(
        lines,
        expected.map(|(actor, action)| (actor.to_owned(), action.to_owned()))
    );
    assert!(!log.to_string().contains(&key));
    let verified = audit::verify(&gateway.store, &Tenant::default()).await.unwrap();
    assert_eq!((verified.verified, verified.broken), (4, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_accounts_are_refused_by_field() {
    let gateway = support::start().await;
    for (path, body, field) in [
        (
            "/security/users",
            json!({"name": "a b", "password": "long enough", "role": "viewer"}),
            "name: ",
        ),
        (
            "/security/users",
            json!({"name": "a", "password": "short", "role": "viewer"}),
            "password: ",
        ),
        (
            "/security/users",
            json!({"name": "a", "password": "long enough", "role": "root"}),
            "role: ",
        ),
        (
            "/security/users",
            json!({"name": "a", "password": "long enough"}),
            "body: missing field `role`",
        ),
        (
            "/security/api-keys",
            json!({"name": "k", "role": "viewer", "expires_in_days": 0}),
            "expires_in_days: ",
        ),
        (
            "/security/api-keys",
            json!({"name": "k", "role": "viewer", "x": 0}),
            "body: unknown field `x`",
        ),
        ("/security/enrolment-tokens", json!({"uses": 0}), "uses: "),
        ("/security/enrolment-tokens", json!({"ttl_secs": 0}), "ttl_secs: "),
        ("/security/agents/no-uuid/revoke", json!({}), "id: "),
    ] {
        let response = gateway.request(Method::POST, path).json(&body).send().await.unwrap();
        let detail = problem(response, 400).await;
        assert!(detail.starts_with(field), "{path} {body}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_let_endpoints_in_and_shut_them_out() {
    let gateway = support::start().await;
    let made = gateway
        .post(
            "/security/enrolment-tokens",
            json!({ "uses": 5, "ttl_secs": 3600, "group": "web" }),
        )
        .await;
    assert_eq!(made["token"], "pt_secret");
    assert_eq!(made["expires_at"], "2023-11-14T22:13:20.000000Z");
    let asked = gateway.fakes.tokens.lock().unwrap()[0].clone();
    assert_eq!((asked.uses, asked.ttl_secs, asked.group.as_str()), (5, 3600, "web"));
    assert_eq!(
        (asked.tenant.as_str(), asked.requested_by.as_str()),
        ("default", "key:up")
    );

    let id = "11111111-2222-3333-4444-555555555555";
    let revoked = gateway
        .post(&format!("/security/agents/{id}/revoke"), json!({ "reason": "stolen" }))
        .await;
    assert_eq!(revoked["revoked"], true);
    let asked = gateway.fakes.revocations.lock().unwrap()[0].clone();
    assert_eq!((asked.agent_id.as_str(), asked.reason.as_str()), (id, "stolen"));
    let unknown = gateway
        .request(
            Method::POST,
            "/security/agents/00000000-0000-0000-0000-000000000000/revoke",
        )
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    problem(unknown, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_file_wins_at_the_next_start() {
    let gateway = support::start().await;
    let passwords = gateway::auth::Passwords::new(1).await.unwrap();
    let (tenant, node) = (Tenant::default(), "gateway-1".parse().unwrap());
    let token = gateway.token().await;
    gateway::auth::ensure_admin(
        &gateway.store,
        &passwords,
        &tenant,
        &node,
        "a new password".to_owned().into(),
    )
    .await
    .unwrap();
    let entries = audit::list(&gateway.store, &tenant, 1).await.unwrap();
    assert_eq!(
        (entries[0].action.as_str(), entries[0].object.as_str()),
        ("user.change", "admin")
    );
    let login = |password: &'static str| {
        gateway
            .anonymous(Method::POST, "/security/user/authenticate")
            .basic_auth("admin", Some(password))
            .send()
    };
    assert_eq!(login(PASSWORD).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(login("a new password").await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        status_with(&gateway, "authorization", &format!("Bearer {token}")).await,
        StatusCode::UNAUTHORIZED
    );
}
