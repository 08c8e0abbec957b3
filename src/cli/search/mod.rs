//! `search`: finds items by their words, and builds or drops the index for that.

mod args;
pub(super) mod building;
mod excerpt;
mod report;

pub(super) use self::args::{SearchArgs, command};

use self::{
    args::{SearchTask, Wanted},
    report::SearchReport,
};
use super::{
    database,
    exit::{CommandError, ExitStatus},
    options::Options,
    terminal::{print_message, print_report},
};
use crate::{
    hn::search::{
        content::Columns,
        read::{SearchAnswer, search},
        request::SearchRequest,
        stories::stories,
    },
    store::locks::while_locked,
};

const NO_INDEX: &str = "the database has no search index; build it with `hn-ingest search --build`, or a small one of titles with \
     `hn-ingest search --build --stories-only`";
const UNFINISHED_INDEX: &str = "the search index is not complete yet; `hn-ingest search --build` goes on with it, or helps the \
     process that builds it";

pub(super) async fn run(options: &Options, args: SearchArgs) -> Result<ExitStatus, CommandError> {
    match args.task {
        SearchTask::Find(wanted) => find(options, wanted).await,
        SearchTask::Build { content, anew } => building::build(options, content, anew).await,
        SearchTask::Drop => building::drop_index(options).await,
    }
}

async fn find(options: &Options, wanted: Wanted) -> Result<ExitStatus, CommandError> {
    let (location, demo) = (options.database(), options.demo);
    let name = location.to_string();
    let request = SearchRequest {
        query: wanted.query,
        columns: Columns::ALL,
        filters: wanted.filters,
        order: wanted.order,
        offset: 0,
        limit: options.limit.most(),
        corrects: true,
        completes: false,
    };
    let (answer, stories) = database::blocking(move || {
        database::read_existing(&location, demo, |conn| {
            let failed = |error| CommandError(format!("the database cannot be searched: {error}"));
            let answer = while_locked(|| search(conn, &request)).map_err(failed)?;
            let SearchAnswer::Found(found) = &answer else {
                return Ok((answer, Default::default()));
            };
            let comments = found.hits.iter().filter(|hit| hit.item.title.is_none());
            let ids: Vec<i64> = comments.map(|hit| hit.item.id).collect();
            let stories = while_locked(|| stories(conn, &ids)).map_err(failed)?;
            Ok((answer, stories))
        })
    })
    .await?;
    let found = match answer {
        SearchAnswer::Found(found) => found,
        SearchAnswer::NoIndex => return Err(CommandError::new(NO_INDEX)),
        SearchAnswer::UnfinishedIndex => return Err(CommandError::new(UNFINISHED_INDEX)),
        SearchAnswer::BrokenIndex(missing) => return Err(building::broken(&missing)),
    };
    if found.is_corrected {
        print_message(format_args!(
            "nothing has these words; showing results for: {}",
            found.query.typed()
        ));
    }
    let report = SearchReport::new(name, wanted.typed, &found, &stories);
    Ok(print_report(options.format, &report, |out| {
        report.write_text(out)
    }))
}
