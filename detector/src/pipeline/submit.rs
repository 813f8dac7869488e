//! `DetectionService`: the fast path, blocks as collectors store them.

use std::sync::Arc;

use bootstrap::grpc::require_role;
use model::node::Role;
use model::{Partition, Tenant};
use proto::detection::v1::detection_service_server::DetectionService;
use proto::detection::v1::{SubmitBlockRequest, SubmitBlockResponse, SubmitOutcome};
use proto::{ErrorCode, ServiceError};
use storage::blocks::{BlockId, Day};
use tonic::{Request, Response, Status};

use super::queue::{Job, Offered, Queue, Way};
use crate::metrics;
use crate::partitions::Ownership;

/// Takes blocks from collectors. It only queues: the answer does not wait for the evaluation.
pub(crate) struct Submissions {
    pub(crate) queue: Queue,
    pub(crate) ownership: Arc<Ownership>,
}

#[tonic::async_trait]
impl DetectionService for Submissions {
    async fn submit_block(
        &self,
        request: Request<SubmitBlockRequest>,
    ) -> Result<Response<SubmitBlockResponse>, Status> {
        require_role(&request, &[Role::Collector])?;
        let job = job(request.into_inner())?;
        let outcome = if self.ownership.fence(job.partition).is_none() {
            SubmitOutcome::NotOwner
        } else {
            match self.queue.offer(job) {
                Offered::Queued | Offered::Known => SubmitOutcome::Accepted,
                Offered::Full => SubmitOutcome::Busy,
            }
        };
        metrics::submitted(outcome);
        Ok(Response::new(SubmitBlockResponse {
            outcome: outcome.into(),
        }))
    }
}

fn job(request: SubmitBlockRequest) -> Result<Job, ServiceError> {
    let invalid = |detail: String| ServiceError::new(ErrorCode::InvalidArgument, detail);
    let tenant: Tenant = request
        .tenant
        .parse()
        .map_err(|error| invalid(format!("tenant: {error}")))?;
    let day = Day::from_number(request.day).ok_or_else(|| invalid("day: expected days since 1970-01-01".to_owned()))?;
    let id = BlockId::from_slice(&request.block_id)
        .ok_or_else(|| invalid(format!("block_id: expected 12 bytes, got {}", request.block_id.len())))?;
    let partition = u16::try_from(request.partition).ok().and_then(Partition::new);
    let partition = partition.ok_or_else(|| {
        let most = model::PARTITIONS;
        invalid(format!(
            "partition: expected a number below {most}, got {}",
            request.partition
        ))
    })?;
    if request.block.is_empty() {
        return Err(invalid("block: expected an encoded block, got nothing".to_owned()));
    }
    Ok(Job {
        tenant,
        day,
        id,
        partition,
        body: request.block,
        way: Way::Fast,
        stored_at: None,
    })
}
