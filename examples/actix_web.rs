//! A web service that ingests beside its own handlers. `cargo run --example actix_web` serves on 127.0.0.1:8080, with the mock
//! API as its source, so no network is needed:
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
    dev::{Server, ServerHandle},
    error::{ErrorBadGateway, ErrorInternalServerError, ErrorNotFound, ErrorServiceUnavailable},
    web::{self, Bytes, Data, Json},
};
use diesel::prelude::*;
use futures_util::StreamExt;
use hn_ingest::mock_api::{MockApi, RunningMockApi};
use hn_ingest::{Builder, Client, Config, Pipeline, Progress, RunWatch, hn, store::sqlite};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use serde_json::{Value, json};

type Failed = Box<dyn Error + Send + Sync>;

/// What the handlers share; a pipeline's handle goes wherever the host's state goes.
struct State {
    pipeline: Pipeline<i64>,
    pool: sqlite::SqlitePool,
    source: hn::HnSource,
    runs: Mutex<HashMap<u64, RunWatch>>,
    metrics: PrometheusHandle,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    List(String),
    Ids(Vec<i64>),
}

async fn start_run(state: Data<State>, wanted: Json<Wanted>) -> Result<impl Responder> {
    let ids = match wanted.into_inner() {
        Wanted::Ids(ids) => ids,
        Wanted::List(name) => {
            let list = hn::List::ALL.into_iter().find(|list| list.name() == name);
            let list = list.ok_or_else(|| ErrorNotFound("no such list"))?;
            // A client belongs to the arbiter that made it, and each worker of actix-web is one.
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
    // The run goes on without its handle; who asks for it looks at the watch.
    Ok(HttpResponse::Accepted().json(json!({ "run": id })))
}

fn watch(state: &State, id: u64) -> Result<RunWatch> {
    let runs = state
        .runs
        .lock()
        .map_err(|_| ErrorInternalServerError("a handler panicked"))?;
    runs.get(&id)
        .cloned()
        .ok_or_else(|| ErrorNotFound("no such run"))
}

fn told(progress: &Progress, over: bool) -> Value {
    json!({
        "requested": progress.requested, "stored": progress.stored, "absent": progress.absent,
        "failed": progress.failed, "not_attempted": progress.not_attempted,
        "in_flight": progress.in_flight, "over": over,
    })
}

async fn show_run(state: Data<State>, id: web::Path<u64>) -> Result<impl Responder> {
    let watch = watch(&state, *id)?;
    let over = watch.is_over();
    Ok(Json(told(&watch.progress(), over)))
}

async fn cancel_run(state: Data<State>, id: web::Path<u64>) -> Result<impl Responder> {
    watch(&state, *id)?.cancel();
    Ok(HttpResponse::Accepted())
}

async fn events(state: Data<State>, id: web::Path<u64>) -> Result<impl Responder> {
    let watch = watch(&state, *id)?;
    let events = watch
        .events(Duration::from_millis(200))
        .map(move |progress| {
            // Looked at before the counters: what is told to be over is told with its last ones.
            let over = watch.is_over();
            let progress = if over { watch.progress() } else { progress };
            let data = told(&progress, over);
            Ok::<_, actix_web::Error>(Bytes::from(format!("data: {data}\n\n")))
        });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(events))
}

/// Reads through the pool that the pipeline writes through. SQLite blocks, so this is no work for a handler's thread.
async fn stories(state: Data<State>) -> Result<impl Responder> {
    let pool = state.pool.clone();
    let stories = web::block(move || {
        use hn::schema::items::dsl::{id, items, score, title};
        let mut conn = pool.get()?;
        let best = items
            .select((id, title, score))
            .filter(title.is_not_null())
            .order(score.desc());
        Ok::<Vec<(i64, Option<String>, Option<i64>)>, Failed>(best.limit(20).load(&mut conn)?)
    });
    Ok(Json(stories.await?.map_err(ErrorServiceUnavailable)?))
}

async fn metrics(state: Data<State>) -> impl Responder {
    state
        .metrics
        .render()
        .customize()
        .insert_header(("content-type", "text/plain; version=0.0.4"))
}

/// The host: everything of it, so that a test can start it, too.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) server: Server,
    pub(crate) pipeline: Pipeline<i64>,
    /// The mock API serves as long as the host does.
    _api: RunningMockApi,
}

pub(crate) async fn host(
    port: u16,
    file: &Path,
    api: MockApi,
    config: Config,
) -> Result<Host, Failed> {
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
        Ok::<_, Failed>(pool)
    })
    .await??;
    let source = hn::HnSource::new(&api.url())?;
    let builder = Builder::new(source.clone(), hn::HnSink::new()).config(config);
    let pipeline = builder.pool(pool.clone()).own_arbiter().start().await?;
    let state = Data::new(State {
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
    .disable_signals()
    .bind(("127.0.0.1", port))?;
    let address = *server.addrs().first().ok_or("no address")?;
    Ok(Host {
        address,
        server: server.run(),
        pipeline,
        _api: api,
    })
}

/// Runs first, so that the event streams end; then the server, which waits for them. Says what the runs came to.
pub(crate) async fn shut_down(pipeline: &Pipeline<i64>, server: ServerHandle) -> String {
    let told = match pipeline.shutdown(Duration::from_secs(5)).await {
        Ok(down) => format!(
            "{} runs ended: {} saved, {} absent, {} failed, {} not attempted, {} undecided",
            down.runs, down.stored, down.absent, down.failed, down.not_attempted, down.undecided
        ),
        Err(stopped) => stopped.to_string(),
    };
    server.stop(true).await;
    told
}

#[actix_web::main]
async fn main() -> Result<(), Failed> {
    let Host {
        address,
        server,
        pipeline,
        _api,
    } = host(
        8080,
        "host.db".as_ref(),
        MockApi::default(),
        Config::default(),
    )
    .await?;
    println!("http://{address}; Ctrl-C ends it");
    let handle = server.handle();
    let ending = actix_rt::spawn(async move {
        actix_rt::signal::ctrl_c().await?;
        Ok(shut_down(&pipeline, handle).await)
    });
    server.await?;
    let told: std::io::Result<String> = ending.await?;
    println!("{}", told?);
    Ok(())
}
