//! A web service that starts, watches and cancels runs, and drains on Ctrl-C and SIGTERM. `cargo run --example actix_web` serves on 127.0.0.1:8080. Its source is the
//! mock API, so it needs no network:
//!
//! ```text
//! curl -d '{"list":"top"}' -H 'content-type: application/json' localhost:8080/runs     # or {"ids":[1,2,3]}
//! curl localhost:8080/runs/0          curl -X DELETE localhost:8080/runs/0
//! curl -N localhost:8080/runs/0/events
//! curl localhost:8080/stories         curl localhost:8080/healthz         curl localhost:8080/metrics
//! ```

use std::{
    collections::HashMap, error::Error, net::SocketAddr, path::Path, sync::Mutex, time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer, Responder, Result,
    dev::Server,
    error::{ErrorBadGateway, ErrorInternalServerError, ErrorNotFound, ErrorServiceUnavailable},
    web::{self, Bytes, Data, Json},
};
use diesel::prelude::*;
use futures_util::StreamExt;
use hn_ingest::{
    Builder, Client, Config, Pipeline, Progress, RunWatch, hn,
    mock_api::{MockApi, RunningMockApi},
    store::sqlite,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use serde_json::json;

type BoxError = Box<dyn Error + Send + Sync>;

/// What the handlers share. A pipeline's handle can be part of it, because it can be sent between threads.
struct HostState {
    pipeline: Pipeline<i64>,
    pool: sqlite::SqlitePool,
    source: hn::HnSource,
    /// The runs that were started, by their number.
    runs: Mutex<HashMap<u64, RunWatch>>,
    metrics: PrometheusHandle,
}

/// The body of a request to start a run: a list's name, or ids.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RunRequest {
    List(String),
    Ids(Vec<i64>),
}

async fn start_run(state: Data<HostState>, request: Json<RunRequest>) -> Result<impl Responder> {
    let ids = match request.into_inner() {
        RunRequest::Ids(ids) => ids,
        RunRequest::List(name) => {
            let list = hn::List::ALL.into_iter().find(|list| list.name() == name);
            let list = list.ok_or_else(|| ErrorNotFound("no such list"))?;
            // A client cannot leave its arbiter, and each worker of actix-web is an arbiter of its own.
            let client = Client::new(&Config::default());
            list.read(&client, &state.source)
                .await
                .map_err(ErrorBadGateway)?
        }
    };
    let run = state.pipeline.run(ids);
    let mut runs = state
        .runs
        .lock()
        .map_err(|_| ErrorInternalServerError("a handler panicked"))?;
    let id = runs.len() as u64;
    runs.insert(id, run.watch());
    // The run continues without its handle. The other handlers use the watch.
    Ok(HttpResponse::Accepted().json(json!({ "run": id })))
}

fn watch(state: &HostState, id: u64) -> Result<RunWatch> {
    let runs = state
        .runs
        .lock()
        .map_err(|_| ErrorInternalServerError("a handler panicked"))?;
    runs.get(&id)
        .cloned()
        .ok_or_else(|| ErrorNotFound("no such run"))
}

/// The counters of a run, and whether it is over.
#[derive(Serialize)]
struct RunState {
    #[serde(flatten)]
    progress: Progress,
    over: bool,
}

impl RunState {
    fn of(watch: &RunWatch) -> Self {
        // Read before the counters, so that a run that is reported as over is reported with its last counters.
        let over = watch.is_over();
        let progress = watch.progress();
        Self { progress, over }
    }
}

async fn show_run(state: Data<HostState>, id: web::Path<u64>) -> Result<impl Responder> {
    Ok(Json(RunState::of(&watch(&state, *id)?)))
}

async fn cancel_run(state: Data<HostState>, id: web::Path<u64>) -> Result<impl Responder> {
    watch(&state, *id)?.cancel();
    Ok(HttpResponse::Accepted())
}

async fn events(state: Data<HostState>, id: web::Path<u64>) -> Result<impl Responder> {
    let watch = watch(&state, *id)?;
    let events = watch.events(Duration::from_millis(200)).map(move |_| {
        let data = serde_json::to_string(&RunState::of(&watch))?;
        Ok::<_, actix_web::Error>(Bytes::from(format!("data: {data}\n\n")))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events))
}

/// Reads with the pool that the pipeline writes with. SQLite blocks, so this runs on a blocking thread.
async fn stories(state: Data<HostState>) -> Result<impl Responder> {
    let pool = state.pool.clone();
    let stories = web::block(move || {
        use hn::schema::items::dsl::{id, items, score, title};
        let mut conn = pool.get()?;
        let best = items
            .select((id, title, score))
            .filter(title.is_not_null())
            .order(score.desc());
        Ok::<Vec<(i64, Option<String>, Option<i64>)>, BoxError>(best.limit(20).load(&mut conn)?)
    });
    Ok(Json(stories.await?.map_err(ErrorServiceUnavailable)?))
}

async fn metrics(state: Data<HostState>) -> impl Responder {
    state
        .metrics
        .render()
        .customize()
        .insert_header(("content-type", "text/plain; version=0.0.4"))
}

/// A started host. A test can start it, too.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) server: Server,
    pub(crate) pipeline: Pipeline<i64>,
    /// Dropping this stops the mock API.
    _api: RunningMockApi,
}

pub(crate) async fn host(
    port: u16,
    file: &Path,
    api: MockApi,
    config: Config,
) -> Result<Host, BoxError> {
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let upkeep = metrics.clone();
    actix_rt::spawn(async move {
        loop {
            actix_rt::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    let api = api.start().await?;
    let file = file.to_owned();
    let pool = web::block(move || {
        let pool = sqlite::open(&file)?;
        hn::migrations::run(&mut *pool.get()?)?;
        Ok::<_, BoxError>(pool)
    })
    .await??;
    let source = hn::HnSource::new(&api.url())?;
    // On its own thread, the pipeline outlives the System of this host, which the server stops on SIGINT and SIGTERM.
    let pipeline = Builder::new(source.clone(), hn::HnSink::new())
        .pool(pool.clone())
        .config(config)
        .own_thread()
        .start()
        .await?;
    let state = Data::new(HostState {
        pipeline: pipeline.clone(),
        pool,
        source,
        runs: Mutex::default(),
        metrics,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .route("/runs", web::post().to(start_run))
            .route("/runs/{id}", web::get().to(show_run))
            .route("/runs/{id}", web::delete().to(cancel_run))
            .route("/runs/{id}/events", web::get().to(events))
            .route("/stories", web::get().to(stories))
            .route("/healthz", web::get().to(async || "ok"))
            .route("/metrics", web::get().to(self::metrics))
    })
    .workers(2)
    // The server waits for open requests when it stops. Event streams last as long as their runs, so it does not wait for long.
    .shutdown_timeout(2)
    .bind(("127.0.0.1", port))?;
    let address = *server.addrs().first().ok_or("no address")?;
    Ok(Host {
        address,
        server: server.run(),
        pipeline,
        _api: api,
    })
}

impl Host {
    /// Serves until the server is stopped, by SIGINT or SIGTERM or through its handle. Then finishes what the pipeline has in flight,
    /// and returns a summary of the runs that this ended.
    pub(crate) async fn serve(self) -> Result<String, BoxError> {
        self.server.await?;
        let report = self.pipeline.shutdown(Duration::from_secs(5)).await?;
        Ok(format!(
            "{} runs ended: {} stored, {} absent, {} failed, {} not attempted, {} undecided",
            report.runs,
            report.stored,
            report.absent,
            report.failed,
            report.not_attempted,
            report.undecided
        ))
    }
}

#[actix_web::main]
async fn main() -> Result<(), BoxError> {
    let api = MockApi::default();
    let host = host(8080, "host.db".as_ref(), api, Config::default()).await?;
    println!("http://{}; press Ctrl-C to stop", host.address);
    println!("{}", host.serve().await?);
    Ok(())
}
