//! A port on loopback that gives every connection a thread, and can be shut and opened again.

use super::connection::Connection;
use super::lock;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

pub(super) struct Door {
    addr: SocketAddr,
    inside: Arc<Inside>,
    /// `None` while the door is shut.
    accepting: Mutex<Option<Accepting>>,
}

struct Inside {
    serve: Box<dyn Fn(Arc<Connection>) + Send + Sync>,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    admitted: usize,
    /// Weak: the serving threads own their connections, so that one is closed the moment its thread lets go of it.
    present: Vec<(Weak<Connection>, JoinHandle<()>)>,
}

struct Accepting {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Door {
    /// Opens on a free port; `serve` runs on a thread of its own for each connection.
    pub(super) fn open(serve: impl Fn(Arc<Connection>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a test server needs a free port on 127.0.0.1");
        let addr = listener
            .local_addr()
            .expect("a bound listener has an address");
        let inside = Arc::new(Inside {
            serve: Box::new(serve),
            guests: Mutex::default(),
        });
        let accepting = Mutex::new(Some(Accepting::start(listener, &inside)));
        Self {
            addr,
            inside,
            accepting,
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses new connections, closes all there are and waits for their threads to end.
    pub(super) fn shut(&self) {
        let mut accepting = lock(&self.accepting);
        let Some(Accepting { stop, thread }) = accepting.take() else {
            return;
        };
        stop.store(true, Ordering::SeqCst);
        // Wakes the thread from its `accept`; a refusal means that it is awake and has left.
        let _ = TcpStream::connect(self.addr);
        let _ = thread.join();
        let present = std::mem::take(&mut lock(&self.inside.guests).present);
        present
            .iter()
            .filter_map(|(guest, _)| guest.upgrade())
            .for_each(|guest| guest.close());
        for (_, thread) in present {
            // A thread that panicked has said so on stderr.
            let _ = thread.join();
        }
    }

    /// Opens a shut door on the port that it had.
    pub(super) fn reopen(&self) {
        let mut accepting = lock(&self.accepting);
        if accepting.is_none() {
            let listener = TcpListener::bind(self.addr)
                .expect("the port of a server that went down should still be free");
            *accepting = Some(Accepting::start(listener, &self.inside));
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut();
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Door").field(&self.addr).finish()
    }
}

impl Accepting {
    fn start(listener: TcpListener, inside: &Arc<Inside>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, inside) = (Arc::clone(&stop), Arc::clone(inside));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // A connection that broke before it was accepted concerns nobody.
                let Ok(stream) = stream else { continue };
                Inside::admit(&inside, stream);
            }
        });
        Self { stop, thread }
    }
}

impl Inside {
    fn admit(inside: &Arc<Self>, stream: TcpStream) {
        let mut guests = lock(&inside.guests);
        guests.admitted += 1;
        guests.present.retain(|(_, thread)| !thread.is_finished());
        let connection = Arc::new(Connection::new(guests.admitted, stream));
        let guest = Arc::downgrade(&connection);
        let serving = Arc::clone(inside);
        guests
            .present
            .push((guest, thread::spawn(move || (serving.serve)(connection))));
    }
}
