//! Tells a service manager how this process is: the protocol `sd_notify` of systemd, which others speak, too.
//!
//! A message is a datagram to the socket that the variable `NOTIFY_SOCKET` names. Nothing that goes wrong here disturbs the run.
//! The variables stay in the environment, because this program starts no other one that could inherit them.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process,
    time::Duration,
};

use log::debug;

use super::printable::printable;

/// The service manager that has started this process, if there is one.
pub(super) struct ServiceManager {
    /// `None` if no service manager listens.
    listener: Option<Listener>,
    /// It counts this process as hung if it hears nothing for twice this long.
    watchdog_interval: Option<Duration>,
}

struct Listener {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl ServiceManager {
    pub(super) fn from_env() -> Self {
        Self::new(|name| env::var_os(name))
    }

    fn new<T: AsRef<OsStr>>(variable: impl Fn(&str) -> Option<T>) -> Self {
        let number = |name| variable(name)?.as_ref().to_str()?.parse::<u64>().ok();
        let is_mine = match variable("WATCHDOG_PID") {
            Some(_) => number("WATCHDOG_PID") == Some(process::id().into()),
            None => true,
        };
        let watchdog = number("WATCHDOG_USEC").filter(|micros| is_mine && *micros > 0);
        let listener = variable("NOTIFY_SOCKET").and_then(|address| {
            let opened = Listener::open(address.as_ref());
            opened
                .inspect_err(|error| debug!("the service manager cannot be told anything: {error}"))
                .ok()
        });
        Self {
            watchdog_interval: watchdog
                .filter(|_| listener.is_some())
                .map(|micros| Duration::from_micros(micros / 2)),
            listener,
        }
    }

    /// The work has begun.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// What the process does now, in a few words for `systemctl status`.
    pub(super) fn status(&self, text: &str) {
        // A line end would begin another message.
        self.tell(&format!("STATUS={}", printable(text)));
    }

    /// The work is being ended.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// How often [`watchdog`](Self::watchdog) is to be called, if at all: twice in the time after which the process counts as
    /// hung.
    pub(super) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog_interval
    }

    /// The process is not hung.
    pub(super) fn watchdog(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, message: &str) {
        if let Some(listener) = &self.listener
            && let Err(error) = listener.send(message)
        {
            debug!("the service manager did not get {message}: {error}");
        }
    }
}

impl Listener {
    fn open(address: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not hold up the run.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address: socket_address(address)?,
        })
    }

    fn send(&self, message: &str) -> io::Result<()> {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        sent.map(drop)
    }
}

/// The address of a path, or of an abstract name, which begins with `@`.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes().split_first() {
        Some((b'/', _)) => SocketAddr::from_pathname(Path::new(address)),
        #[cfg(target_os = "linux")]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        _ => {
            let why = "NOTIFY_SOCKET is neither a path nor an abstract name";
            Err(io::Error::new(io::ErrorKind::Unsupported, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn manager(variables: &[(&str, &str)]) -> ServiceManager {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        ServiceManager::new(|name| variables.get(name).copied())
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn check_messages(manager: &ServiceManager, socket: &UnixDatagram) {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        manager.ready();
        manager.status("follows: 3 items\nSTOPPING=1\u{202e}");
        manager.watchdog();
        manager.stopping();
        assert_eq!(receive(socket), "READY=1");
        let status = receive(socket);
        let text = status
            .strip_prefix("STATUS=follows: 3 items")
            .expect("a status");
        assert!(!text.contains(['\n', '\u{202e}']), "{text:?}");
        assert_eq!(receive(socket), "WATCHDOG=1");
        assert_eq!(receive(socket), "STOPPING=1");
    }

    #[test]
    fn a_socket_in_the_file_system_gets_each_message() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let path = path.to_str().expect("UTF-8");
        check_messages(&manager(&[("NOTIFY_SOCKET", path)]), &socket);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_gets_each_message() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("hn-ingest-test-{}", process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        let address = format!("@{name}");
        check_messages(&manager(&[("NOTIFY_SOCKET", &address)]), &socket);
    }

    #[test]
    fn without_a_socket_or_with_one_that_is_gone_nothing_happens() {
        for address in ["", "relative", "/nonexistent/notify", "vsock:2:1234", "@"] {
            for variables in [&[("NOTIFY_SOCKET", address)][..], &[]] {
                let manager = manager(variables);
                manager.ready();
                manager.status("follows");
                manager.watchdog();
                manager.stopping();
            }
        }
        // A path that no socket address has room for.
        let long = format!("/{}", "x".repeat(1000));
        manager(&[("NOTIFY_SOCKET", &long)]).ready();
    }

    #[test]
    fn a_full_socket_does_not_hold_up_the_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let _socket = UnixDatagram::bind(&path).expect("a socket");
        let manager = manager(&[("NOTIFY_SOCKET", path.to_str().expect("UTF-8"))]);
        for _ in 0..10_000 {
            manager.watchdog();
        }
    }

    #[test]
    fn the_watchdog_interval_is_half_of_the_time_of_this_process() {
        let socket = ("NOTIFY_SOCKET", "/run/notify");
        let time = ("WATCHDOG_USEC", "30000000");
        let id = process::id().to_string();
        let interval = |variables: &[(&str, &str)]| manager(variables).watchdog_interval();
        let half = Some(Duration::from_secs(15));
        assert_eq!(interval(&[socket, time]), half);
        assert_eq!(interval(&[socket, time, ("WATCHDOG_PID", &id)]), half);
        assert_eq!(interval(&[socket, time, ("WATCHDOG_PID", "1")]), None);
        assert_eq!(interval(&[socket, time, ("WATCHDOG_PID", "x")]), None);
        for other in ["0", "", "-1", "soon"] {
            assert_eq!(interval(&[socket, ("WATCHDOG_USEC", other)]), None);
        }
        assert_eq!(interval(&[time]), None, "nobody listens");
    }
}
