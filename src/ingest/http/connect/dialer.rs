//! Makes TCP connections to hosts that have several addresses, some of which may be dead (Happy Eyeballs, RFC 8305).

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, timeout},
};

/// How long one address may take before the next one is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long it is remembered that a host's first address was dead (RFC 8305, section 4: in the order of ten minutes).
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// Makes TCP connections.
pub(super) struct Dialer {
    lookup: Lookup,
    /// Which address of a host goes first, if the system's first one was dead lately.
    first: RefCell<HashMap<HostAndPort, FirstAddress>>,
}

type HostAndPort = (String, u16);

/// Looks up the addresses of a host.
type Lookup = Box<dyn Fn(&str, u16) -> LocalBoxFuture<'static, io::Result<Vec<SocketAddr>>>>;

struct FirstAddress {
    address: SocketAddr,
    since: Instant,
}

/// What is remembered if a race ends without a connection, because its attempt ran out of time: the first address that had no
/// turn.
struct Race<'a> {
    dialer: &'a Dialer,
    host: HostAndPort,
    addresses: Vec<SocketAddr>,
    /// How many addresses have been tried.
    tried: usize,
    is_over: bool,
}

impl Dialer {
    pub(super) fn new() -> Self {
        Self::with_lookup(Box::new(|host, port| {
            look_up(host.to_owned(), port).boxed_local()
        }))
    }

    pub(super) fn with_lookup(lookup: Lookup) -> Self {
        Self {
            lookup,
            first: RefCell::default(),
        }
    }

    /// Connects to the first address of a host that answers. An IPv6 address has no brackets.
    ///
    /// # Errors
    /// Names the host and why each address failed.
    pub(super) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let found = (self.lookup)(host, port).await.map_err(|error| {
            format!(
                "the host name `{host}` has no address: {error}; check the name and the network"
            )
        })?;
        let host_and_port = (host.to_owned(), port);
        let addresses = in_order(&found, self.remembered(&host_and_port));
        let mut race = Race {
            dialer: self,
            host: host_and_port,
            addresses,
            tried: 0,
            is_over: false,
        };
        let won = race.run().await;
        race.is_over = true;
        match won {
            Ok((tcp, address)) => {
                self.remember(
                    race.host.clone(),
                    (found.first() != Some(&address)).then_some(address),
                );
                // A request is one write, and waits for nothing. If this fails, it is only slower.
                let _ = tcp.set_nodelay(true);
                Ok(tcp)
            }
            Err(errors) => {
                self.remember(race.host.clone(), None);
                Err(explain(host, port, &errors))
            }
        }
    }

    /// The address of a host that goes first.
    pub(super) fn remembered(&self, host: &HostAndPort) -> Option<SocketAddr> {
        let first = self.first.borrow();
        let known = first.get(host)?;
        (known.since.elapsed() < REMEMBERED_FOR).then_some(known.address)
    }

    /// Lets an address of a host go first for some time. Without an address, the system's order counts.
    fn remember(&self, host: HostAndPort, address: Option<SocketAddr>) {
        let mut first = self.first.borrow_mut();
        let Some(address) = address else {
            first.remove(&host);
            return;
        };
        // Redirects may lead to any number of hosts.
        first.retain(|_, known| known.since.elapsed() < REMEMBERED_FOR);
        // The time is not renewed, so that the system's first address gets another chance.
        let known = first.entry(host).or_insert_with(|| FirstAddress {
            address,
            since: Instant::now(),
        });
        known.address = address;
    }
}

impl Race<'_> {
    /// Tries the addresses one after the other, and does not wait long for one before it tries the next.
    async fn run(&mut self) -> Result<(TcpStream, SocketAddr), Vec<(SocketAddr, io::Error)>> {
        let mut errors = Vec::new();
        let mut connecting = FuturesUnordered::new();
        loop {
            if let Some(&address) = self.addresses.get(self.tried) {
                self.tried += 1;
                connecting.push(async move { (address, TcpStream::connect(address).await) });
            }
            let is_last = self.tried == self.addresses.len();
            let ended = if is_last {
                connecting.next().await
            } else {
                match timeout(NEXT_ADDRESS_AFTER, connecting.next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            };
            match ended {
                Some((address, Ok(tcp))) => return Ok((tcp, address)),
                Some((address, Err(error))) => errors.push((address, error)),
                None if is_last => return Err(errors),
                None => {}
            }
        }
    }
}

impl Drop for Race<'_> {
    fn drop(&mut self) {
        if !self.is_over
            && let Some(&next) = self.addresses.get(self.tried)
        {
            self.dialer.remember(self.host.clone(), Some(next));
        }
    }
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let loopback = || {
        let ipv6 = (Ipv6Addr::LOCALHOST, port).into();
        vec![ipv6, (Ipv4Addr::LOCALHOST, port).into()]
    };
    // RFC 6761, 6.3: names below `localhost` are this machine's, and no name server needs to know them.
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if name.ends_with(".localhost") {
        return Ok(loopback());
    }
    match lookup_host((&*host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(_) if name == "localhost" => Ok(loopback()),
        Err(error) => Err(error),
    }
}

/// The order in which a host's addresses are tried: the remembered one first, or one of its family, and then the families in
/// turn.
fn in_order(found: &[SocketAddr], remembered: Option<SocketAddr>) -> Vec<SocketAddr> {
    let first = remembered
        .filter(|address| found.contains(address))
        .or_else(|| {
            let is_ipv6 = remembered?.is_ipv6();
            found
                .iter()
                .copied()
                .find(|address| address.is_ipv6() == is_ipv6)
        })
        .or_else(|| found.first().copied());
    let Some(first) = first else {
        return Vec::new();
    };
    let (same, other): (Vec<_>, Vec<_>) = found
        .iter()
        .copied()
        .filter(|address| *address != first)
        .partition(|address| address.is_ipv6() == first.is_ipv6());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut ordered = vec![first];
    while ordered.len() < found.len() {
        let before = ordered.len();
        ordered.extend(other.next());
        ordered.extend(same.next());
        if ordered.len() == before {
            // The system named an address twice.
            break;
        }
    }
    ordered
}

fn explain(host: &str, port: u16, errors: &[(SocketAddr, io::Error)]) -> String {
    let why = match errors {
        [] => return format!("the host name `{host}` has no address; check the name"),
        [(address, error)] if address.ip().to_string() == host => format!("{address}: {error}"),
        _ => {
            let each = errors
                .iter()
                .map(|(address, error)| format!("{}: {error}", address.ip()));
            format!("{host}:{port} ({})", each.collect::<Vec<_>>().join(", "))
        }
    };
    why + next_step(errors)
}

/// What the user can do about it.
fn next_step(errors: &[(SocketAddr, io::Error)]) -> &'static str {
    let is_any = |kinds: &[io::ErrorKind]| {
        let mut kinds_found = errors.iter().map(|(_, error)| error.kind());
        kinds_found.any(|kind| kinds.contains(&kind))
    };
    if is_any(&[io::ErrorKind::ConnectionRefused]) {
        "; check that a server runs there"
    } else if is_any(&[
        io::ErrorKind::NetworkUnreachable,
        io::ErrorKind::HostUnreachable,
    ]) {
        "; check the network"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().expect("an address"), 80))
            .collect()
    }

    #[test]
    fn families_take_turns_and_the_remembered_address_or_family_goes_first() {
        let found = ["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"];
        for (found, remembered, ordered) in [
            (
                &found[..],
                None,
                &["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"][..],
            ),
            (
                &found,
                Some("2.2.2.2"),
                &["2.2.2.2", "::1", "1.1.1.1", "::2", "::3"],
            ),
            (
                &found,
                Some("9.9.9.9"),
                &["1.1.1.1", "::1", "2.2.2.2", "::2", "::3"],
            ),
            (&["1.1.1.1", "::1"], None, &["1.1.1.1", "::1"]),
            (
                &["1.1.1.1", "2.2.2.2"],
                Some("::9"),
                &["1.1.1.1", "2.2.2.2"],
            ),
            (&["1.1.1.1", "1.1.1.1"], None, &["1.1.1.1"]),
            (&[], None, &[]),
        ] {
            let remembered = remembered.map(|text| addresses(&[text])[0]);
            let order = in_order(&addresses(found), remembered);
            assert_eq!(order, addresses(ordered), "{found:?} {remembered:?}");
        }
    }
}
