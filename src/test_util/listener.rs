//! A port on loopback that gives each connection a thread. It can be closed and opened again.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use super::{connection::AcceptedConnection, lock};

pub(super) struct Listener {
    addr: SocketAddr,
    state: Arc<ListenerState>,
    /// `None` while the port is closed.
    accept_loop: Mutex<Option<AcceptLoop>>,
}

/// What the accepting thread and the [`Listener`] share.
struct ListenerState {
    serve: Box<dyn Fn(Arc<AcceptedConnection>) + Send + Sync>,
    connections: Mutex<ConnectionSet>,
}

/// The connections that were accepted since the port was last opened, some of which may have ended.
#[derive(Default)]
struct ConnectionSet {
    /// How many were accepted in the listener's life.
    accepted: usize,
    running: Vec<RunningConnection>,
}

struct RunningConnection {
    /// Weak, because the serving thread owns the connection: its socket closes as soon as that thread drops it.
    connection: Weak<AcceptedConnection>,
    thread: JoinHandle<()>,
}

struct AcceptLoop {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Listens on a free port. Each connection is served by `serve` on its own thread.
    pub(super) fn open(serve: impl Fn(Arc<AcceptedConnection>) + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a test server needs a free port on 127.0.0.1");
        let addr = socket.local_addr().expect("a bound socket has an address");
        let state = Arc::new(ListenerState {
            serve: Box::new(serve),
            connections: Mutex::default(),
        });
        let accept_loop = Mutex::new(Some(AcceptLoop::start(socket, &state)));
        Self {
            addr,
            state,
            accept_loop,
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses new connections, closes the open ones, and waits for their threads to end.
    pub(super) fn close(&self) {
        let mut accept_loop = lock(&self.accept_loop);
        let Some(AcceptLoop { stop, thread }) = accept_loop.take() else {
            return;
        };
        stop.store(true, Ordering::SeqCst);
        // This wakes the thread from `accept`. If it is refused, the thread has ended already.
        let _ = TcpStream::connect(self.addr);
        let _ = thread.join();
        let running = std::mem::take(&mut lock(&self.state.connections).running);
        for connection in running.iter().filter_map(|one| one.connection.upgrade()) {
            connection.close();
        }
        for RunningConnection { thread, .. } in running {
            // A thread that panicked has printed its message.
            let _ = thread.join();
        }
    }

    /// Listens again on the same port. Does nothing if the port is open.
    pub(super) fn reopen(&self) {
        let mut accept_loop = lock(&self.accept_loop);
        if accept_loop.is_none() {
            let socket = TcpListener::bind(self.addr)
                .expect("the port of a server that went down should still be free");
            *accept_loop = Some(AcceptLoop::start(socket, &self.state));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.addr).finish()
    }
}

impl AcceptLoop {
    fn start(socket: TcpListener, state: &Arc<ListenerState>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let should_stop = Arc::clone(&stop);
        let state = Arc::clone(state);
        let thread = thread::spawn(move || {
            for stream in socket.incoming() {
                if should_stop.load(Ordering::SeqCst) {
                    break;
                }
                // A connection that broke before it was accepted has nothing to serve.
                let Ok(stream) = stream else { continue };
                ListenerState::accept(&state, stream);
            }
        });
        Self { stop, thread }
    }
}

impl ListenerState {
    fn accept(state: &Arc<Self>, stream: TcpStream) {
        let mut connections = lock(&state.connections);
        connections.accepted += 1;
        connections.running.retain(|one| !one.thread.is_finished());
        let accepted = Arc::new(AcceptedConnection::new(connections.accepted, stream));
        let connection = Arc::downgrade(&accepted);
        let serving = Arc::clone(state);
        let thread = thread::spawn(move || (serving.serve)(accepted));
        connections
            .running
            .push(RunningConnection { connection, thread });
    }
}
