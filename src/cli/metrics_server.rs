//! `--metrics`: serves the pipeline's metrics as Prometheus text over HTTP while a command runs.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use actix_web::{App, HttpServer, Responder, dev::ServerHandle, web};
use log::info;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::exit::CommandError;

/// Buckets of the histograms of seconds: from a request on this machine to one that runs into its deadline.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
/// Buckets of the histograms of rows.
const ROWS: [f64; 7] = [1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 10_000.0];

/// How often the recorder sorts recorded values into their buckets. Otherwise they would pile up between two requests for the
/// metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Serves until it is dropped.
pub(super) struct MetricsServer(ServerHandle);

impl MetricsServer {
    /// Installs a recorder and serves its metrics. To be called before the pipeline starts, which takes the recorder that it
    /// finds.
    pub(super) fn start(address: SocketAddr) -> Result<Self, CommandError> {
        let cannot_serve = |error: &dyn Display| {
            CommandError(format!(
                "metrics cannot be served on {address}: {error}; name another address with --metrics"
            ))
        };
        let recorder = install_recorder().map_err(|error| cannot_serve(&error))?;
        let served_recorder = recorder.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(served_recorder.clone()))
                .route("/metrics", web::get().to(render))
        })
        .workers(1)
        .disable_signals()
        .bind(address)
        .map_err(|error| cannot_serve(&error))?;
        // With port 0, the user learns the port only from this line.
        for address in server.addrs() {
            info!("metrics are at http://{address}/metrics");
        }
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(UPKEEP_INTERVAL).await;
                recorder.run_upkeep();
            }
        });
        Ok(Self(handle))
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // The server stops at once; the future only waits for that.
        drop(self.0.stop(false));
    }
}

/// Installs the recorder that metrics go to.
pub(super) fn install_recorder() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError>
{
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)?
        .install_recorder()
}

async fn render(recorder: web::Data<PrometheusHandle>) -> impl Responder {
    recorder
        .render()
        .customize()
        .insert_header(("content-type", "text/plain; version=0.0.4"))
}
