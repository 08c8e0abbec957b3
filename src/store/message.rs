//! Messages for a log and for a terminal: what a database says, and how long something takes.

use std::time::Duration;

/// A message in one line. Those of libpq have several, some of which go on in the next one.
pub(crate) fn in_one_line(message: &str) -> String {
    let mut line = String::new();
    for part in message.lines() {
        let words: Vec<&str> = part.split_whitespace().collect();
        let Some(first) = words.first() else { continue };
        if !line.is_empty() {
            let goes_on =
                first.starts_with(char::is_lowercase) && !part.starts_with("connection to");
            line.push_str(if goes_on { " " } else { "; " });
        }
        line.push_str(&words.join(" "));
    }
    line
}

/// A duration for people, such as `1h 30m` or `30 days`.
pub(crate) fn in_words(duration: Duration) -> String {
    in_largest_units(duration, usize::MAX)
}

/// As [`in_words`], down to this number of units.
pub(crate) fn in_largest_units(duration: Duration, units: usize) -> String {
    let text = humantime::format_duration(duration).to_string();
    let mut text = text.split(' ').take(units).collect::<Vec<_>>().join(" ");
    for unit in ["year", "month", "day"] {
        text = text.replace(unit, &format!(" {unit}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_units_of_a_duration_are_words_of_their_own() {
        let hour = 3600;
        for (seconds, words) in [
            (0, "0s"),
            (90, "1m 30s"),
            (24 * hour, "1 day"),
            (30 * 24 * hour, "30 days"),
            (50 * hour, "2 days 2h"),
            (400 * 24 * hour, "1 year 1 month 4 days 7h 26m 24s"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        let long = Duration::from_secs(50 * hour + 90);
        assert_eq!(in_largest_units(long, 2), "2 days 2h");
    }

    #[test]
    fn a_message_of_several_lines_reads_well_in_one() {
        for (message, line) in [
            ("database is locked", "database is locked"),
            (
                "FATAL:  the database system is starting up\n",
                "FATAL: the database system is starting up",
            ),
            (
                "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing the request.\n",
                "server closed the connection unexpectedly; This probably means the server terminated abnormally before or while processing the request.",
            ),
            (
                "connection to server at \"h\" (::1), port 1 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\nconnection to server at \"h\" (127.0.0.1), port 1 failed: timeout expired",
                "connection to server at \"h\" (::1), port 1 failed: Connection refused; Is the server running on that host and accepting TCP/IP connections?; connection to server at \"h\" (127.0.0.1), port 1 failed: timeout expired",
            ),
        ] {
            assert_eq!(in_one_line(message), line);
        }
    }
}
