//! `/security`: signing in, users and API keys.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bootstrap::tls::ConnectionInfo;
use model::AccessRole;
use proto::ServiceError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use storage::api_keys::ApiKey;
use storage::users::User;
use utoipa::{IntoParams, ToSchema};

use super::body::JsonBody;
use super::params::Params;
use super::path::PathText;
use crate::auth::Caller;
use crate::problem::{Problem, invalid};
use crate::state::App;

/// Parameters of `POST /security/user/authenticate`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "read through Params, which names the parameter in its errors; this documents them"
)]
pub(super) struct AuthenticateParams {
    /// `true` answers the bare token as text.
    raw: Option<bool>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    data: TokenData,
    /// Always 0; failures are problem documents.
    error: u8,
}

/// Holds the token.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenData {
    /// For `Authorization: Bearer`, valid for 15 minutes.
    token: String,
}

/// Trades name and password (HTTP Basic) for a token that is valid for 15 minutes.
#[utoipa::path(
    post,
    path = "/security/user/authenticate",
    tag = "security",
    params(AuthenticateParams),
    security(("basic" = [])),
    responses(
        (status = 200, description = "The token", content(
            (TokenAnswer = "application/json"),
            (String = "text/plain"),
        )),
        (status = 401, description = "Name or password is wrong", body = crate::problem::ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
pub(super) async fn authenticate(
    State(app): State<App>,
    Extension(connection): Extension<ConnectionInfo>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut params = Params::parse(&uri, &["raw"])?;
    let raw = params.take::<bool>("raw", "true or false")?.unwrap_or(false);
    let token = app.auth.issue_token(&headers, connection.remote.ip()).await?;
    if !raw {
        let answer = TokenAnswer {
            data: TokenData { token },
            error: 0,
        };
        return Ok(Json(answer).into_response());
    }
    let mut response = token.into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserAnswer {
    #[schema(example = "ana")]
    name: String,
    /// `viewer`, `analyst`, `responder` or `admin`.
    #[schema(example = "analyst")]
    role: &'static str,
    /// RFC 3339.
    created_at: String,
    /// When password or role last changed, RFC 3339.
    updated_at: String,
}

impl From<User> for UserAnswer {
    fn from(user: User) -> Self {
        Self {
            name: user.name,
            role: user.role.as_str(),
            created_at: user.created_at.to_string(),
            updated_at: user.updated_at.to_string(),
        }
    }
}

/// All users.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserList {
    items: Vec<UserAnswer>,
}

/// A new user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    /// 1 to 63 letters, digits, `-`, `_`, `.` or `@`.
    #[schema(example = "ana", pattern = "^[A-Za-z0-9._@-]{1,63}$")]
    name: String,
    /// 10 to 256 bytes.
    #[schema(value_type = String, example = "correct horse battery", min_length = 10, max_length = 256)]
    password: SecretText,
    /// `viewer`, `analyst`, `responder` or `admin`.
    #[schema(example = "analyst", pattern = "^(viewer|analyst|responder|admin)$")]
    role: String,
}

/// Text that is not shown in logs.
#[derive(Debug)]
struct SecretText(SecretString);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

fn parse_role(text: &str) -> Result<AccessRole, ServiceError> {
    text.parse().map_err(|error| invalid(format!("role: {error}")))
}

/// Users, by name.
#[utoipa::path(
    get,
    path = "/security/users",
    tag = "security",
    responses((status = 200, description = "Users", body = UserList))
)]
pub(super) async fn list_users(State(app): State<App>, caller: Caller) -> Result<Json<UserList>, Problem> {
    let users = app.accounts.list_users(&caller).await?;
    Ok(Json(UserList {
        items: users.into_iter().map(UserAnswer::from).collect(),
    }))
}

/// Adds a user.
#[utoipa::path(
    post,
    path = "/security/users",
    tag = "security",
    request_body = UserBody,
    responses((status = 201, description = "The user", body = UserAnswer))
)]
pub(super) async fn create_user(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<UserBody>,
) -> Result<(StatusCode, Json<UserAnswer>), Problem> {
    let role = parse_role(&body.role)?;
    let user = app
        .accounts
        .create_user(&caller, &body.name, body.password.0, role)
        .await?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Removes a user. Its tokens become void: at once on this gateway, within ten seconds on others.
#[utoipa::path(
    delete,
    path = "/security/users/{name}",
    tag = "security",
    params(("name" = String, Path, description = "Name of the user")),
    responses((status = 204, description = "The user is removed"))
)]
pub(super) async fn delete_user(
    State(app): State<App>,
    caller: Caller,
    PathText(name): PathText,
) -> Result<StatusCode, Problem> {
    app.accounts.delete_user(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An API key, without its text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeyAnswer {
    id: String,
    #[schema(example = "shipper")]
    name: String,
    /// `viewer`, `analyst`, `responder` or `admin`.
    #[schema(example = "analyst")]
    role: &'static str,
    /// RFC 3339.
    created_at: String,
    /// When it stops working, RFC 3339; absent when never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// When it was last used, to the minute, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<String>,
}

impl From<ApiKey> for ApiKeyAnswer {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            role: key.role.as_str(),
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|at| at.to_string()),
            last_used_at: key.last_used_at.map(|at| at.to_string()),
        }
    }
}

/// All API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeyList {
    items: Vec<ApiKeyAnswer>,
}

/// A new API key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKeyBody {
    /// 1 to 63 letters, digits, `-`, `_`, `.` or `@`.
    #[schema(example = "shipper", pattern = "^[A-Za-z0-9._@-]{1,63}$")]
    name: String,
    /// `viewer`, `analyst`, `responder` or `admin`.
    #[schema(example = "analyst", pattern = "^(viewer|analyst|responder|admin)$")]
    role: String,
    /// Days until it stops working, 1 to 3650; never when absent.
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u64>,
}

/// A new API key with its text. It is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewApiKeyAnswer {
    #[serde(flatten)]
    key: ApiKeyAnswer,
    /// For the header `x-api-key`.
    #[schema(example = "pk_…")]
    api_key: String,
}

/// API keys, by name.
#[utoipa::path(
    get,
    path = "/security/api-keys",
    tag = "security",
    responses((status = 200, description = "API keys", body = ApiKeyList))
)]
pub(super) async fn list_api_keys(State(app): State<App>, caller: Caller) -> Result<Json<ApiKeyList>, Problem> {
    let keys = app.accounts.list_api_keys(&caller).await?;
    Ok(Json(ApiKeyList {
        items: keys.into_iter().map(ApiKeyAnswer::from).collect(),
    }))
}

/// Makes an API key. Its text is in this answer only.
#[utoipa::path(
    post,
    path = "/security/api-keys",
    tag = "security",
    request_body = ApiKeyBody,
    responses((status = 201, description = "The key", body = NewApiKeyAnswer))
)]
pub(super) async fn create_api_key(
    State(app): State<App>,
    caller: Caller,
    JsonBody(body): JsonBody<ApiKeyBody>,
) -> Result<(StatusCode, Json<NewApiKeyAnswer>), Problem> {
    let role = parse_role(&body.role)?;
    let made = app
        .accounts
        .create_api_key(&caller, &body.name, role, body.expires_in_days)
        .await?;
    let answer = NewApiKeyAnswer {
        key: made.key.into(),
        api_key: made.text.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes an API key. It stops working at once on this gateway, within ten seconds on others.
#[utoipa::path(
    delete,
    path = "/security/api-keys/{id}",
    tag = "security",
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "The key is removed"))
)]
pub(super) async fn delete_api_key(
    State(app): State<App>,
    caller: Caller,
    PathText(id): PathText,
) -> Result<StatusCode, Problem> {
    app.accounts.delete_api_key(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
