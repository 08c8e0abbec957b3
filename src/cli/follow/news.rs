//! New stories as lines on the terminal.

use std::io::{self, IsTerminal};

use log::debug;
use url::Url;

use crate::{
    cli::{
        database,
        options::ProgressMode,
        printable::{cut, plain_text},
        terminal::{print_stderr_line, stderr_width},
    },
    hn::follow::stories::{self, Story},
    store::any::AnyPool,
};

/// Whether new stories are shown: to people, not in logs.
pub(super) fn are_shown(mode: ProgressMode) -> bool {
    match mode {
        ProgressMode::Never => false,
        ProgressMode::Always => true,
        ProgressMode::Auto => io::stderr().is_terminal(),
    }
}

/// Prints a line for each story among new items.
pub(super) async fn print(pool: AnyPool, ids: Vec<i64>) {
    let read = database::query(&pool, move |conn| stories::read(conn, &ids));
    match read.await {
        Ok(stories) => {
            for story in stories {
                print_stderr_line(cut(line(&story), stderr_width().saturating_sub(1)));
            }
        }
        Err(error) => debug!("new stories are not shown: {error}"),
    }
}

/// Number, title, host and author.
fn line(story: &Story) -> String {
    let title = plain_text(story.title.as_deref().unwrap_or("(no title)"));
    let host = story.url.as_deref().and_then(|url| Url::parse(url).ok());
    let host = host.as_ref().and_then(Url::host_str);
    let host = host.map(|host| host.strip_prefix("www.").unwrap_or(host));
    let host = host.map_or_else(String::new, |host| format!(" ({})", plain_text(host)));
    let by = story.by.as_deref();
    let by = by.map_or_else(String::new, |by| format!(" by {}", plain_text(by)));
    format!("{}  {title}{host}{by}", story.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_a_line_that_does_not_control_the_terminal() {
        let story = Story {
            id: 8863,
            title: Some("My YC app: Dropbox &amp; <b>\u{1b}[2J</b>".to_owned()),
            url: Some("https://www.getdropbox.com/u/2/screencast.html".to_owned()),
            by: Some("dhouston".to_owned()),
        };
        assert_eq!(
            line(&story),
            "8863  My YC app: Dropbox & \u{fffd}[2J (getdropbox.com) by dhouston"
        );
        let bare = Story {
            id: 1,
            title: None,
            url: None,
            by: None,
        };
        assert_eq!(line(&bare), "1  (no title)");
    }
}
