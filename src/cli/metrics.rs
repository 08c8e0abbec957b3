//! `--metrics`: the pipeline's metrics as Prometheus text, over HTTP, as long as a command runs.

use std::{net::SocketAddr, time::Duration};

use actix_web::{App, HttpServer, Responder, dev::ServerHandle, web};
use log::info;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::Refusal;

/// From a request on this machine to one that runs into its deadline.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];
const ROWS: [f64; 7] = [1.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 10_000.0];

/// What histograms took in is condensed so often; else it would pile up between two readings.
const UPKEEP: Duration = Duration::from_secs(1);

/// Serves until it is dropped.
pub(super) struct Metrics(ServerHandle);

impl Metrics {
    /// To be called before the pipeline starts, which takes the recorder that it finds.
    pub(super) fn serve(address: SocketAddr) -> Result<Self, Refusal> {
        let refused = |error: &dyn std::fmt::Display| {
            Refusal(format!("metrics cannot be served on {address}: {error}"))
        };
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)
            })
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| refused(&error))?;
        let upkeep = recorder.clone();
        let server = HttpServer::new(move || {
            let recorder = web::Data::new(recorder.clone());
            App::new()
                .app_data(recorder)
                .route("/metrics", web::get().to(render))
        })
        .workers(1)
        .disable_signals()
        .bind(address)
        .map_err(|error| refused(&error))?;
        // With port 0, this is how to learn which it is.
        for address in server.addrs() {
            info!("metrics are at http://{address}/metrics");
        }
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        drop(self.0.stop(false));
    }
}

async fn render(recorder: web::Data<PrometheusHandle>) -> impl Responder {
    recorder
        .render()
        .customize()
        .insert_header(("content-type", "text/plain; version=0.0.4"))
}
