//! An HTTP server for an application of actix-web, over connections that take an address as the real API does.

use std::{
    fmt::Debug,
    future::Future,
    io::Result,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_http::{HttpService, Protocol, Request, error::DispatchError};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    dev::{AppConfig, Response, Server},
};
use tokio::net::TcpStream;

use super::lenient_stream::{ClientTimes, LenientStream};

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionSettings {
    pub(crate) threads: usize,
    /// Connections of one thread. More wait until others end.
    pub(crate) most: usize,
    /// How long one may stay open without a request.
    pub(crate) keep_alive: Duration,
    /// How long the head of a request may take to arrive.
    pub(crate) head_timeout: Duration,
    /// How long a client may take nothing of an answer that is being sent.
    pub(crate) write_timeout: Duration,
    /// How long those with a request may go on after an orderly stop, in seconds.
    pub(crate) stop_seconds: u64,
}

/// The address of this machine that a request came to.
#[derive(Clone, Copy)]
struct LocalAddress(SocketAddr);

pub(crate) fn local_address(request: &HttpRequest) -> Option<SocketAddr> {
    request.conn_data::<LocalAddress>().map(|local| local.0)
}

/// Makes a server, which begins when it is polled. Connections without a request are closed when the future that `closing` makes is over.
pub(crate) fn server<F, I, S, B, C, W>(
    listeners: impl IntoIterator<Item = TcpListener>,
    settings: ConnectionSettings,
    closing: C,
    application: F,
) -> Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as actix_service::Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
    C: Fn() -> W + Send + Clone + 'static,
    W: Future<Output = ()> + 'static,
{
    let mut builder = Server::build()
        .workers(settings.threads)
        .max_concurrent_connections(settings.most)
        .shutdown_timeout(settings.stop_seconds)
        .disable_signals();
    for listener in listeners {
        let address = listener.local_addr()?;
        let (application, closing) = (application.clone(), closing.clone());
        builder = builder.listen("http", listener, move || {
            let application = application()
                .into_factory()
                .map_err(|error| error.into().error_response());
            let http = HttpService::build()
                .graceful_shutdown_signal(closing.clone())
                .keep_alive(settings.keep_alive)
                .client_request_timeout(settings.head_timeout)
                .client_disconnect_timeout(Duration::from_secs(1))
                // When a client gives up a request and closes, its connection ends.
                .h1_allow_half_closed(false)
                .local_addr(address)
                .on_connect_ext(|stream: &LenientStream, data| {
                    if let Some(address) = stream.local_addr() {
                        data.insert(LocalAddress(address));
                    }
                })
                .finish(map_config(application, |()| AppConfig::default()));
            let times = ClientTimes {
                head: settings.head_timeout,
                write: settings.write_timeout,
            };
            fn_service(move |tcp: TcpStream| async move {
                // An answer is one write, and nothing comes after it that could go along.
                let _ = tcp.set_nodelay(true);
                let peer = tcp.peer_addr().ok();
                Ok::<_, DispatchError>((LenientStream::new(tcp, times), Protocol::Http1, peer))
            })
            .and_then(http)
        })?;
    }
    Ok(builder.run())
}
