//! `--metrics`: serves metrics as Prometheus text, and the health of the process, over HTTP while a command runs.

use std::{fmt::Display, net::SocketAddr, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, Responder, dev::ServerHandle, web};
use log::info;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::Instant;

use super::{
    exit::CommandError,
    follow_metrics::{FRESHNESS, FRESHNESS_BUCKETS},
    health::Health,
};

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
    /// Installs a recorder, and serves its metrics and `health`. To be called before the pipeline starts, which takes the recorder
    /// that it finds.
    pub(super) fn start(address: SocketAddr, health: Health) -> Result<Self, CommandError> {
        let cannot_serve = |error: &dyn Display| {
            CommandError(format!(
                "metrics cannot be served on {address}: {error}; name another address with --metrics"
            ))
        };
        let recorder = recorder().map_err(|error| cannot_serve(&error))?;
        let served = Served { recorder, health };
        let server = HttpServer::new(move || {
            let served = served.clone();
            App::new().configure(|app| served.configure(app))
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
        Ok(Self(handle))
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // The server stops at once; the future only waits for that.
        drop(self.0.stop(false));
    }
}

/// What is served.
#[derive(Clone)]
struct Served {
    recorder: PrometheusHandle,
    health: Health,
}

impl Served {
    fn configure(self, app: &mut web::ServiceConfig) {
        app.app_data(web::Data::new(self.recorder))
            .app_data(web::Data::new(self.health))
            .service(
                web::resource("/metrics")
                    .route(web::get().to(render))
                    .route(web::head().to(render)),
            )
            .service(
                web::resource("/health")
                    .route(web::get().to(tell_health))
                    .route(web::head().to(tell_health)),
            );
    }
}

/// Installs the recorder that metrics go to, and keeps it in order.
pub(super) fn recorder() -> Result<PrometheusHandle, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), &ROWS)?
        .set_buckets_for_metric(Matcher::Full(FRESHNESS.name.to_owned()), &FRESHNESS_BUCKETS)?
        .install_recorder()?;
    let upkeep = recorder.clone();
    actix_rt::spawn(async move {
        loop {
            actix_rt::time::sleep(UPKEEP_INTERVAL).await;
            upkeep.run_upkeep();
        }
    });
    Ok(recorder)
}

async fn render(recorder: web::Data<PrometheusHandle>) -> impl Responder {
    recorder
        .render()
        .customize()
        .insert_header(("content-type", "text/plain; version=0.0.4"))
}

/// 200 while all is well, else 503, so that a service manager or a load balancer needs to read nothing.
async fn tell_health(health: web::Data<Health>) -> impl Responder {
    let state = health.state(Instant::now());
    let mut answer = if state.is_healthy {
        HttpResponse::Ok()
    } else {
        HttpResponse::ServiceUnavailable()
    };
    answer
        .insert_header(("cache-control", "no-store"))
        .json(state)
}

#[cfg(test)]
mod tests {
    use actix_web::{http::StatusCode, test};

    use super::*;

    #[actix_rt::test]
    async fn lost_storage_is_served_as_503_with_the_reason_until_something_is_stored() {
        let recorder = PrometheusBuilder::new().build_recorder().handle();
        let health = Health::default();
        let served = Served {
            recorder,
            health: health.clone(),
        };
        let app = test::init_service(App::new().configure(|app| served.configure(app))).await;
        health.note_storage(Err("the disk is full".to_owned()));
        for (why, status) in [
            (Some("the disk is full"), StatusCode::SERVICE_UNAVAILABLE),
            (None, StatusCode::OK),
        ] {
            health.note_storage(why.map_or(Ok(()), |why| Err(why.to_owned())));
            for request in [
                test::TestRequest::get(),
                test::TestRequest::default().method("HEAD".parse().expect("a method")),
            ] {
                let request = request.uri("/health").to_request();
                let answer = test::call_service(&app, request).await;
                assert_eq!(answer.status(), status);
                let body = test::read_body(answer).await;
                let body = String::from_utf8_lossy(&body);
                assert!(body.contains(why.unwrap_or_default()), "{body}");
            }
        }
    }
}
