//! Messages of databases, for a log and for a terminal.

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

#[cfg(test)]
mod tests {
    use super::*;

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
