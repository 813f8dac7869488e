//! Log formats that operators describe: changed here at the gateway's request, and followed by every collector.

mod admin;
mod follow;

pub(crate) use admin::Service;
pub(crate) use follow::{Follower, Own};
