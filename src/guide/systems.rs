//! Where a pipeline runs, what ends it, and in which order a host shuts down.
//!
//! actix puts actors on *arbiters*. An arbiter is a thread with an event loop. A *System* is a group of arbiters that stop
//! together. A pipeline needs one arbiter, and there are two ways to give it one.
//!
//! | | [`own_thread()`](crate::Builder::own_thread) | without it |
//! |---|---|---|
//! | where the actors run | on a thread of their own, in a System of their own | on the arbiter that calls `start()` |
//! | where it can be started | everywhere | inside a System: `#[actix_web::main]`, `#[actix_rt::main]`, a handler |
//! | what ends it | its last handle, or a shutdown | these, and also the end of its arbiter, or of the `block_on` that it was started in |
//! | what it costs | a thread | nothing, but it shares the event loop with the host's tasks |
//! | shares a [`Client`](crate::Client) with the host | no | yes |
//!
//! If you are not sure, call `own_thread()`.
//!
//! # actix-web and its signals
//!
//! actix-web's server handles SIGINT and SIGTERM, unless `disable_signals` was called. When such a signal comes, the server
//! stops, and then it stops the whole System with all arbiters. Only after that, `server.await` returns to the host. A pipeline
//! on its own thread does not belong to that System. So the host can drain it then:
//!
//! ```no_run
//! use std::time::Duration;
//! use actix_web::{App, HttpServer, web};
//! use hn_ingest::{Builder, hn};
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let source = hn::HnSource::new(hn::PUBLIC_API)?;
//!     let pipeline = Builder::new(source, hn::HnSink::new()).own_thread().start().await?;
//!     let shared = web::Data::new(pipeline.clone());
//!     HttpServer::new(move || App::new().app_data(shared.clone()))
//!         .bind(("127.0.0.1", 8080))?
//!         .run()
//!         .await?; // returns after Ctrl-C or SIGTERM
//!     let report = pipeline.shutdown(Duration::from_secs(10)).await?;
//!     println!("{} stored, {} left for the next time", report.stored, report.not_attempted);
//!     Ok(())
//! }
//! ```
//!
//! On SIGTERM the server waits for open requests first, by default for up to 30 seconds. A stream of [events](crate::Run::events)
//! is such a request, and it lasts as long as its run. `HttpServer::shutdown_timeout` shortens that wait.
//!
//! # Without a thread of its own
//!
//! A pipeline that was started in `main` goes on for as long as `main` is awaited, also after the System has stopped, and `main`
//! can [shut it down](crate::Pipeline::shutdown) then. It ends when the `block_on` of `main` returns.
//!
//! A pipeline that was started on an arbiter of its host, such as in a handler, ends with that arbiter: with that worker of the
//! server, even if signals are disabled and the System goes on. Its runs then end without a report, and a shutdown returns
//! [`PipelineStopped`](crate::PipelineStopped). Start it in `main`, or give it a thread of its own. A host that cannot do either
//! calls `HttpServer::disable_signals`, waits for signals itself (for example with `actix_rt::signal::ctrl_c`), shuts the
//! pipeline down first, and then stops the server with `server.handle().stop(true)`.
//!
//! # Plain tokio
//!
//! With `own_thread()`, no System is needed. The handles can be used from every thread and in every task:
//!
//! ```no_run
//! use std::time::Duration;
//! use hn_ingest::{Builder, hn};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let source = hn::HnSource::new(hn::PUBLIC_API)?;
//!     let pipeline = Builder::new(source, hn::HnSink::new())
//!         .database("hn.db")
//!         .own_thread()
//!         .start()
//!         .await?;
//!     let run = tokio::spawn(pipeline.run(1..=1000));
//!     println!("{} stored", run.await??.totals.stored);
//!     pipeline.shutdown(Duration::from_secs(10)).await?;
//!     Ok(())
//! }
//! ```
//!
//! The tables must exist: [`hn::migrations::run`](crate::hn::migrations::run) makes those of Hacker News.
//!
//! # The end of the process
//!
//! A process that ends does not wait for the pipeline's thread. What is committed stays. What was fetched and is not committed is
//! lost. So await [`shutdown`](crate::Pipeline::shutdown) before `main` returns.
