//! `ResponseService`: what a responder can do.

use bootstrap::grpc::require_role;
use model::node::Role;
use proto::response::v1::response_service_server::ResponseService;
use proto::response::v1::{ListActionTypesRequest, ListActionTypesResponse};
use tonic::{Request, Response, Status};

/// Answers gateways and operators.
pub(crate) struct Responses;

#[tonic::async_trait]
impl ResponseService for Responses {
    async fn list_action_types(
        &self,
        request: Request<ListActionTypesRequest>,
    ) -> Result<Response<ListActionTypesResponse>, Status> {
        require_role(&request, &[Role::Gateway, Role::Operator])?;
        Ok(Response::new(ListActionTypesResponse {
            action_types: Vec::new(),
        }))
    }
}
