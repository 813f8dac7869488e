//! The gateway: what people and programs see of Picket.
//!
//! One TLS port serves REST, gRPC with health and reflection, the OpenAPI document and its pages. Both faces call the
//! same functions in [`app`]. The gateway reads collections; what others own it changes by calling their owner. It owns
//! users and API keys itself.
//!
//! - [`auth`]: who is calling.
//! - [`rest`] and [`grpc`]: the two faces, each built from a table that names the role every entry needs.
//! - [`app`]: what is done, whoever asks.
//! - [`limits`]: how often.

pub mod app;
pub mod auth;
mod config;
pub mod grpc;
pub mod limits;
pub mod problem;
pub mod rest;
mod start;
mod state;

pub use config::{AuthConfig, Config, HttpConfig, RateLimitConfig, SearchConfig};
pub use start::{main, main_with, start};
