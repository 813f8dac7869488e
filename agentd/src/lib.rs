//! agentd
pub mod spool;
