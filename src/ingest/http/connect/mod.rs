//! Connects to servers: directly or through a proxy, with TLS for https.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::ingest::{
    config::{HttpProxy, ProxyServer},
    http::{
        connect::{dialer::Dialer, tls::Tls},
        error::AttemptError,
        target::Target,
    },
};

mod dialer;
mod tls;
mod certificate_advice;
mod tunnel;

/// Connects to servers.
pub(super) struct Connecting {
    /// Which proxy a target is reached through.
    proxy: HttpProxy,
    /// Makes TCP connections.
    dialer: Dialer,
    /// Makes TLS connections over them.
    tls: Tls,
}

/// What a connected socket can do: TCP, or TLS over it.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Socket for T {}

/// A connected socket.
pub(super) struct Connected {
    pub(super) io: Box<dyn Socket>,
    /// The proxy that passes plain requests on. `None` if the socket leads to the server itself, directly or through a tunnel.
    pub(super) forwarder: Option<ProxyServer>,
}

impl Connecting {
    pub(super) fn new(proxy: HttpProxy) -> Self {
        Self {
            proxy,
            dialer: Dialer::new(),
            tls: Tls::default(),
        }
    }

    /// Connects to the server of a target.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connected, AttemptError> {
        let proxy = self
            .proxy
            .server_for(&target.uri)
            .map_err(|error| AttemptError::Proxy(error.to_string()))?;
        let tls = if target.is_https() {
            Some(self.tls.connector().await?)
        } else {
            None
        };
        let (tcp, forwarder) = match proxy {
            None => (self.dial(target).await?, None),
            Some(proxy) => {
                let mut tcp = self.dial_proxy(&proxy).await?;
                if tls.is_some() {
                    tunnel::open(&mut tcp, &proxy, target).await?;
                    (tcp, None)
                } else {
                    (tcp, Some(proxy))
                }
            }
        };
        let io: Box<dyn Socket> = match tls {
            Some(tls) => Box::new(tls::handshake(&tls, tcp, target.host_name()).await?),
            None => Box::new(tcp),
        };
        Ok(Connected { io, forwarder })
    }

    /// Where a connection for a target leads to first: the proxy or the server, for messages.
    pub(super) fn next_hop(&self, target: &Target) -> String {
        match self.proxy.server_for(&target.uri) {
            Ok(Some(proxy)) => proxy.to_string(),
            _ => format!("{}:{}", target.host(), target.port()),
        }
    }

    async fn dial(&self, target: &Target) -> Result<TcpStream, AttemptError> {
        self.dialer
            .dial(target.host_name(), target.port())
            .await
            .map_err(AttemptError::Connect)
    }

    async fn dial_proxy(&self, proxy: &ProxyServer) -> Result<TcpStream, AttemptError> {
        self.dialer
            .dial(&proxy.host, proxy.port)
            .await
            .map_err(|why| AttemptError::Connect(format!("{proxy} cannot be reached: {why}")))
    }
}

#[cfg(test)]
mod tests;
