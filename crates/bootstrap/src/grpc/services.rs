//! What a server serves.

use std::convert::Infallible;

use axum::response::IntoResponse;
use http::Request;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

/// Services with their names, so that health knows them and reflection lists only them.
#[derive(Clone, Debug, Default)]
pub struct Services {
    pub(crate) routes: Routes,
    pub(crate) names: Vec<&'static str>,
}

/// Starts an empty set of services.
#[must_use]
pub fn routes() -> Services {
    Services::default()
}

impl Services {
    /// Adds a service.
    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }
}

impl From<Routes> for Services {
    /// Services whose names are unknown: health answers for the server as a whole, reflection lists every contract.
    fn from(routes: Routes) -> Self {
        Self {
            routes,
            names: Vec::new(),
        }
    }
}
