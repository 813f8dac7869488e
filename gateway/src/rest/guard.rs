//! Stands before every route: proves who is calling, takes from their budget, checks their role, and ends what takes
//! too long.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bootstrap::tls::ConnectionInfo;
use model::AccessRole;
use proto::{ErrorCode, ServiceError};

use super::routes::{Access, Route};
use crate::auth::{Caller, unauthenticated};
use crate::problem::Problem;
use crate::state::App;

pub(super) async fn guard(
    State((app, route)): State<(App, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = admit(&app, route.access, request.headers(), request.extensions()).await;
    match admitted {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(error) => return Problem::from(error).into_response(),
    }
    match tokio::time::timeout(app.http.request_timeout(), next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let seconds = app.http.request_timeout_secs;
            let detail = format!("the request took longer than {seconds} seconds; narrow it down");
            Problem::from(ServiceError::new(ErrorCode::DeadlineExceeded, detail)).into_response()
        }
    }
}

/// Whoever may pass; `None` where anybody may.
///
/// # Errors
/// What the caller is to be told instead.
pub(crate) async fn admit(
    app: &App,
    access: Access,
    headers: &HeaderMap,
    extensions: &axum::http::Extensions,
) -> Result<Option<Caller>, ServiceError> {
    let Some(address) = extensions.get::<ConnectionInfo>().map(|info| info.remote.ip()) else {
        return Err(ServiceError::new(ErrorCode::Internal, "the request has no origin"));
    };
    let needed = match access {
        Access::Public => {
            app.limits.take_anonymous(address)?;
            return Ok(None);
        }
        Access::Role(role) => role,
    };
    let caller = match app.auth.authenticate(headers, address).await {
        Ok(Some(caller)) => caller,
        Ok(None) => {
            app.limits.take_anonymous(address)?;
            return Err(unauthenticated(
                "expected an API key (x-api-key), a token (Authorization: Bearer) or name and password (Authorization: \
                 Basic)",
            ));
        }
        Err(error) => {
            app.limits.take_anonymous(address)?;
            return Err(error);
        }
    };
    app.limits.take(&caller)?;
    check_role(&caller, needed)?;
    Ok(Some(caller))
}

/// Whether the caller's role suffices.
///
/// # Errors
/// [`ErrorCode::PermissionDenied`] when it does not.
pub(crate) fn check_role(caller: &Caller, needed: AccessRole) -> Result<(), ServiceError> {
    if caller.role >= needed {
        return Ok(());
    }
    Err(ServiceError::new(
        ErrorCode::PermissionDenied,
        format!("this needs role {needed}; {} has role {}", caller.actor, caller.role),
    ))
}

/// The caller that passed the guard.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
