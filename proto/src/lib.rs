//! Picket's wire contracts: generated messages and services, the descriptor set for reflection, and the one table that
//! maps error codes to gRPC and HTTP.
#![allow(
    missing_docs,
    clippy::wildcard_enum_match_arm,
    clippy::large_enum_variant,
    clippy::allow_attributes_without_reason,
    reason = "generated code carries its documentation in the .proto files"
)]

pub mod error;

/// Identity of endpoints.
pub mod agent {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.agent.v1");
    }
}
/// Log formats that operators describe.
pub mod formats {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.formats.v1");
    }
}
/// Events coming in.
pub mod ingest {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.ingest.v1");
    }
}
/// Events becoming alerts.
pub mod detection {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.detection.v1");
    }
}
/// Alerts being answered.
pub mod response {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.response.v1");
    }
}
/// Detection content being changed.
pub mod rules {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.rules.v1");
    }
}
/// Threat intelligence coming in.
pub mod intel {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.intel.v1");
    }
}
/// What people and programs ask.
pub mod query {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("picket.query.v1");
    }
}

pub use error::{ErrorCode, ServiceError};

/// Every contract above as an encoded `FileDescriptorSet`, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/picket.bin"));
