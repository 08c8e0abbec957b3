//! Measures what one item costs at each step: decoding, storing and loading, writing a batch, and a message between actors.
//!
//! Run it with `cargo bench --bench micro`, or a part of it with `cargo bench --bench micro -- decode`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{fmt, time::SystemTime};

use actix::{Actor, Context, Handler, Message, Recipient};
use diesel::SqliteConnection;
use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use hn_ingest::{
    Outcome, Settled, Sink,
    hn::{HnSink, Item, migrations, reads},
    store::sqlite,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

fn main() {
    divan::main();
}

const ID: i64 = 8863;

/// Sizes of items. Most items of the API are comments of some hundred bytes.
#[derive(Clone, Copy)]
enum Size {
    /// A story without a text.
    Story,
    /// A comment with a few replies.
    Comment,
    /// A story with a long text and hundreds of comments.
    Thread,
}

#[derive(Clone, Copy)]
struct ItemKind {
    size: Size,
    escapes: bool,
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = match self.size {
            Size::Story => "story",
            Size::Comment => "comment",
            Size::Thread => "thread",
        };
        let bytes = body(ID, *self).len();
        let escapes = if self.escapes { "escapes" } else { "plain" };
        write!(f, "{size}, {bytes} B, {escapes}")
    }
}

const KINDS: [ItemKind; 6] = [
    kind(Size::Story, false),
    kind(Size::Story, true),
    kind(Size::Comment, false),
    kind(Size::Comment, true),
    kind(Size::Thread, false),
    kind(Size::Thread, true),
];

const fn kind(size: Size, escapes: bool) -> ItemKind {
    ItemKind { size, escapes }
}

/// The JSON of an item, as the API would send it. With escapes, its texts have quotes and line ends, which JSON must escape.
fn body(id: i64, ItemKind { size, escapes }: ItemKind) -> Vec<u8> {
    let words = if escapes {
        "My \"YC\" app:\nthrow away your USB drive. "
    } else {
        "My (YC) app: throw away your USB drive.  "
    };
    let kids = |count: i64| (1..=count).map(|n| id + 7 * n).collect::<Vec<_>>();
    let item = match size {
        Size::Story => json!({
            "by": "dhouston", "descendants": 71, "id": id, "kids": kids(3), "score": 111, "time": 1_175_714_200,
            "title": words.trim(), "type": "story", "url": "http://www.getdropbox.com/u/2/screencast.html",
        }),
        Size::Comment => json!({
            "by": "norvig", "id": id, "kids": kids(5), "parent": 2_921_506, "text": words.repeat(12),
            "time": 1_314_211_127, "type": "comment",
        }),
        Size::Thread => json!({
            "by": "dhouston", "descendants": 900, "id": id, "kids": kids(400), "score": 1111, "text": words.repeat(80),
            "time": 1_175_714_200, "title": words.trim(), "type": "story",
        }),
    };
    item.to_string().into_bytes()
}

#[divan::bench(args = KINDS)]
fn decode(bencher: Bencher<'_, '_>, kind: ItemKind) {
    let body = body(ID, kind);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| Item::decode(ID, black_box(&body)).unwrap());
}

/// Decodes a body, stores the item in a file, loads it, and encodes it: all that a mirror does with an item.
#[divan::bench(args = [kind(Size::Story, true), kind(Size::Comment, true), kind(Size::Thread, true)])]
fn round_trip(bencher: Bencher<'_, '_>, kind: ItemKind) {
    let mut database = Database::new();
    let body = body(ID, kind);
    let sink = HnSink::new();
    bencher.bench_local(|| {
        let item = Item::decode(ID, black_box(&body)).unwrap().unwrap();
        database.write(
            &sink,
            &[Settled::new(ID, Outcome::Stored(item), SystemTime::now())],
        );
        database.load(ID).encode()
    });
}

/// Writes new comments in one transaction, as Storage does.
#[divan::bench(args = [1, 50, 500])]
fn batch_write(bencher: Bencher<'_, '_>, rows: usize) {
    let mut database = Database::new();
    let sink = HnSink::new();
    let mut ids = 1..;
    bencher
        .counter(ItemsCount::new(rows))
        .with_inputs(|| batch(ids.by_ref().take(rows)))
        .bench_local_values(|batch| database.write(&sink, &batch));
}

fn batch(ids: impl Iterator<Item = i64>) -> Vec<Settled<i64, Item>> {
    let decoded = |id| {
        let body = body(id, kind(Size::Comment, true));
        Item::decode(id, &body).unwrap().unwrap()
    };
    ids.map(|id| Settled::new(id, Outcome::Stored(decoded(id)), SystemTime::now()))
        .collect()
}

/// A database file with the tables of the program.
struct Database {
    conn: diesel::r2d2::PooledConnection<diesel::r2d2::ConnectionManager<SqliteConnection>>,
    _folder: TempDir,
}

impl Database {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pool = sqlite::open(&folder.path().join("bench.db")).unwrap();
        let mut conn = pool.get().unwrap();
        migrations::run(&mut *conn).unwrap();
        Self {
            conn,
            _folder: folder,
        }
    }

    fn write(&mut self, sink: &HnSink, batch: &[Settled<i64, Item>]) {
        self.conn
            .immediate_transaction(|conn| sink.write(conn, batch))
            .unwrap();
    }

    fn load(&mut self, id: i64) -> Item {
        let stored = reads::item(&mut *self.conn, id).unwrap();
        stored.unwrap().item
    }
}

/// Messages of one round.
const HOPS: u32 = 1_000;

/// Sends a message between two actors of one arbiter with `do_send`. The engine sends three for each item: `Fetch`, `Fetched` and
/// `Save`.
#[divan::bench]
fn message_hop(bencher: Bencher<'_, '_>) {
    let system = actix_rt::System::new();
    let first = system.block_on(async {
        let first = HopActor::default().start();
        let second = HopActor::default().start();
        first.do_send(SetPartner(second.clone().recipient()));
        second.do_send(SetPartner(first.clone().recipient()));
        first
    });
    bencher.counter(ItemsCount::new(HOPS)).bench_local(|| {
        let (sender, done) = oneshot::channel();
        first.do_send(Hop {
            hops_left: HOPS - 1,
            sender,
        });
        system.block_on(done).unwrap();
    });
}

/// Sends each message on to its partner.
#[derive(Default)]
struct HopActor {
    partner: Option<Recipient<Hop>>,
}

#[derive(Message)]
#[rtype(result = "()")]
struct SetPartner(Recipient<Hop>);

/// The message. The last hop completes `sender`.
#[derive(Message)]
#[rtype(result = "()")]
struct Hop {
    hops_left: u32,
    sender: oneshot::Sender<()>,
}

impl Actor for HopActor {
    type Context = Context<Self>;
}

impl Handler<SetPartner> for HopActor {
    type Result = ();

    fn handle(&mut self, SetPartner(partner): SetPartner, _: &mut Self::Context) {
        self.partner = Some(partner);
    }
}

impl Handler<Hop> for HopActor {
    type Result = ();

    fn handle(&mut self, mut hop: Hop, _: &mut Self::Context) {
        if hop.hops_left == 0 {
            hop.sender.send(()).unwrap();
        } else if let Some(partner) = &self.partner {
            hop.hops_left -= 1;
            partner.do_send(hop);
        }
    }
}
