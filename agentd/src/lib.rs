//! agentd
pub mod link;
pub mod pipeline;
pub mod sensors;
pub mod spool;
