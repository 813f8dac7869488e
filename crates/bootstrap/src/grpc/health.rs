//! Health and reflection, which every server has.

use anyhow::Context as _;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;

use super::services::Services;

/// A health service and reflection (v1 and v1alpha) over all of Picket's contracts, to be merged into a router. The
/// reporter says "serving" for the server as a whole (`""`) until told otherwise.
///
/// # Errors
/// When the descriptors that were compiled in are broken.
pub async fn health_and_reflection() -> anyhow::Result<(HealthReporter, tonic::service::Routes)> {
    let (reporter, services) = add_to(Services::default()).await?;
    Ok((reporter, services.routes))
}

/// Adds both to the services and reports the named ones as serving.
pub(super) async fn add_to(services: Services) -> anyhow::Result<(HealthReporter, Services)> {
    let reporter = HealthReporter::new();
    reporter.set_service_status("", ServingStatus::Serving).await;
    for name in &services.names {
        reporter.set_service_status(*name, ServingStatus::Serving).await;
    }
    let builder = || {
        let mut builder = Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        if !services.names.is_empty() {
            let always = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];
            for name in services.names.iter().copied().chain(always) {
                builder = builder.with_service_name(name);
            }
        }
        builder
    };
    let v1 = builder().build_v1().context("build reflection v1")?;
    let v1alpha = builder().build_v1alpha().context("build reflection v1alpha")?;
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let services = services.add_service(health).add_service(v1).add_service(v1alpha);
    Ok((reporter, services))
}

/// Says "not serving" for everything, so that clients that watch go elsewhere.
pub(super) async fn set_stopping(reporter: &HealthReporter, names: &[&'static str]) {
    for name in names.iter().copied().chain([""]) {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
}
