//! The life of a Picket process: configuration, logging, metrics, TLS sockets, gRPC servers and clients, tasks and
//! their orderly end.
//!
//! A service is a function `start(config, ctx) -> Running` that binds, builds and spawns. [`run_service`] turns it
//! into a program; tests and `picket up --in-process` call it with a [`Context`] of their own.

pub mod admin;
pub mod config;
mod context;
pub mod grpc;
pub mod http;
pub mod limit;
pub mod logging;
pub mod metrics;
mod run;
mod tasks;
pub mod tls;

pub use config::{
    AdminConfig, ConfigError, GrpcConfig, LogConfig, LogFormat, MongoConfig, Secret, SecretUri, validate_node,
};
pub use context::{Context, Running};
pub use run::{DRAIN_GRACE, ServiceConfig, run_service};
pub use tasks::Tasks;
pub use tls::install_crypto;
