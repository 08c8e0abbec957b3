//! Ingests into a store of the program's own: a file with one JSON object a line, instead of a database.
//! `cargo run --example json_lines` uses a server that it starts itself.
#![allow(missing_docs)]

use std::{
    error::Error,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use hn_ingest::{
    Builder, DecodeError, Outcome, Report, Settled, Sink, Source,
    r2d2::{self, ManageConnection},
    store::{ErrorClass, Pool, StoreConnection, StoreError},
    test_util::{Reply, ScriptedServer},
};
use serde_json::{Value, json};

/// A file to which lines are added. What was written since the last commit can be taken back.
pub(crate) struct JsonLines {
    file: File,
    /// Bytes of the file that are committed.
    committed: u64,
}

impl JsonLines {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .read(true)
            .truncate(false)
            .open(path)?;
        // What follows the last line end is of a process that was killed.
        let committed = io::read_to_string(&file)?
            .rfind('\n')
            .map_or(0, |at| at + 1) as u64;
        file.set_len(committed)?;
        file.rewind()?;
        Ok(Self { file, committed })
    }
}

/// Makes the pool's only connection: a second one would write between the lines of the first.
#[derive(Debug)]
pub(crate) struct JsonLinesManager(PathBuf);

impl ManageConnection for JsonLinesManager {
    type Connection = JsonLines;
    type Error = io::Error;

    fn connect(&self) -> io::Result<JsonLines> {
        JsonLines::open(&self.0)
    }
    fn is_valid(&self, _: &mut JsonLines) -> io::Result<()> {
        Ok(())
    }
    fn has_broken(&self, _: &mut JsonLines) -> bool {
        std::thread::panicking()
    }
}

impl StoreConnection for JsonLines {
    type Manager = JsonLinesManager;
    type Error = io::Error;
    /// A file that is moved away stays open, so nothing is lost with it.
    type Identity = ();

    fn open(location: &OsStr) -> Result<Pool<Self>, StoreError> {
        r2d2::Pool::builder()
            .max_size(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_on_check_out(false)
            .build(JsonLinesManager(location.into()))
            .map_err(|error| StoreError::NoConnection(error.to_string()))
    }
    fn identify(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    fn check((): &()) -> Result<(), String> {
        Ok(())
    }
    fn begin_write(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn commit(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.sync_data() {
            // What may not have reached the disk must not be read as committed later.
            self.roll_back()?;
            return Err(error);
        }
        self.committed = self.file.stream_position()?;
        Ok(())
    }
    fn roll_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.committed)
    }
    fn classify(&self, error: &io::Error) -> ErrorClass {
        match error.kind() {
            io::ErrorKind::InvalidData => ErrorClass::Row,
            _ => ErrorClass::Lost,
        }
    }
}

struct WordSource {
    base: String,
}

impl Source for WordSource {
    type Id = String;
    type Record = Value;

    fn url(&self, word: &String) -> String {
        format!("{}/{word}", self.base)
    }
    fn decode(&self, _: &String, body: &[u8]) -> Result<Option<Value>, DecodeError> {
        serde_json::from_slice(body).map_err(DecodeError::new)
    }
}

/// Writes a line for each id, whatever became of it.
struct LineSink;

impl Sink for LineSink {
    type Id = String;
    type Record = Value;
    type Connection = JsonLines;

    fn write(&self, lines: &mut JsonLines, batch: &[Settled<String, Value>]) -> io::Result<()> {
        let mut text = String::new();
        for row in batch {
            let line = match &row.outcome {
                Outcome::Stored(record) if !record.is_object() => {
                    let error = format!("{record} is no object");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Outcome::Stored(record) => json!({"id": row.id, "record": record}),
                Outcome::Absent => json!({"id": row.id, "absent": true}),
                Outcome::Failed(failure) => json!({"id": row.id, "failed": failure.message}),
            };
            text += &format!("{line}\n");
        }
        lines.file.write_all(text.as_bytes())
    }
}

/// Adds the records of these words to the file.
pub(crate) async fn ingest(
    base: String,
    words: Vec<String>,
    file: &Path,
) -> Result<Report<String>, Box<dyn Error + Send + Sync>> {
    let builder = Builder::new(WordSource { base }, LineSink).database(file);
    let pipeline = builder.start().await?;
    Ok(pipeline.run(words).await?)
}

#[actix_rt::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = ScriptedServer::start();
    server.on("/actor", [Reply::json(r#"{"means":"sends messages"}"#)]);
    server.on("/arbiter", [Reply::json(r#"{"means":"runs actors"}"#)]);
    let words = ["actor", "arbiter"].map(str::to_owned).to_vec();
    let report = ingest(server.url(), words, "words.jsonl".as_ref()).await?;
    println!("{} words in words.jsonl", report.totals.stored);
    Ok(())
}
