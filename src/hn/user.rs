//! A profile, converted between its JSON and the columns of table `users`. Nothing is lost either way.

use super::record::{
    RecordError, decode, encode,
    fields::columns,
    values::{integer, integers, quoted, string},
};

columns! {
    Id "id",
    Created "created",
    Karma "karma",
    About "about",
    Submitted "submitted",
}

/// One user.
///
/// The fields are those of <https://github.com/HackerNews/API#users> under their own names. `None` means that the field was
/// absent or is in `extra`; an empty text or list is not the same and stays empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user's name. Upper and lower case differ.
    pub id: String,
    /// When the account was made, in Unix seconds.
    pub created: Option<i64>,
    /// The user's karma.
    pub karma: Option<i64>,
    /// What the user says about themselves, as HTML.
    pub about: Option<String>,
    /// Ids of the user's stories, polls and comments, as a JSON array without whitespace.
    pub submitted: Option<String>,
    /// A JSON object of every field that has no column or does not fit it, each value as the API wrote it; never empty.
    pub extra: Option<String>,
}

impl User {
    /// Names are shorter than this, in bytes. A longer text names no user.
    #[cfg(any(feature = "mock-api", feature = "serve"))]
    pub(crate) const NAME_MAX: usize = 100;

    /// Reads the API's answer for the user `name`. `None` if it is the literal `null`: there is no such user.
    ///
    /// # Errors
    /// The body is anything but `null` or one JSON object whose `id` is `name`.
    pub fn decode(name: &str, body: &[u8]) -> Result<Option<Self>, RecordError> {
        let Some(mut fields) = decode(body)? else {
            return Ok(None);
        };
        let id = name.to_owned();
        fields.check_id(Column::Id, string, &id, format_args!("user {name}"), body)?;
        Ok(Some(Self {
            id,
            created: fields.take(Column::Created, integer),
            karma: fields.take(Column::Karma, integer),
            about: fields.take(Column::About, string),
            submitted: fields.take(Column::Submitted, integers),
            extra: fields.extra(),
        }))
    }

    /// The JSON object that [`User::decode`] read: the same fields with the same values, numbers to the last digit. The order of
    /// the fields, whitespace and the spelling of strings may differ.
    #[must_use]
    pub fn encode(&self) -> String {
        let number = |n: Option<i64>| n.map(|n| n.to_string());
        let columns = [
            ("id", Some(quoted(&self.id))),
            ("created", number(self.created)),
            ("karma", number(self.karma)),
            ("about", self.about.as_deref().map(quoted)),
            ("submitted", self.submitted.clone()),
        ];
        encode(columns, self.extra.as_deref())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn user(body: &str) -> User {
        User::decode("pg", body.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn every_field_has_its_column_and_everything_else_is_kept() {
        let body = r#"{"id":"pg","created":1160418092,"karma":157316,"about":"Bug <i>fixer</i>.","submitted":[ 3, 1 ],
            "delay":2,"avatar":null}"#;
        let expected = User {
            id: "pg".into(),
            created: Some(1_160_418_092),
            karma: Some(157_316),
            about: Some("Bug <i>fixer</i>.".into()),
            submitted: Some("[3,1]".into()),
            extra: Some(r#"{"delay":2,"avatar":null}"#.into()),
        };
        assert_eq!(user(body), expected);
    }

    #[test]
    fn an_odd_field_costs_no_user_and_every_field_can_be_made_again() {
        for body in [
            r#"{"id":"pg"}"#,
            r#"{"id":"pg","karma":"many","created":1e400,"about":null,"submitted":[1,"x"]}"#,
            r#"{"id":"pg","about":"","submitted":[],"karma":-3}"#,
            r#"{"about":"a\u0000\ud83d\ude80","id":"pg","new":{"a":[1.50]}}"#,
        ] {
            let again = user(body).encode();
            let meaning = |text: &str| -> Option<Value> { serde_json::from_str(text).ok() };
            assert_eq!(meaning(&again), meaning(body), "{body}");
        }
    }

    #[test]
    fn a_compressed_body_fails_with_a_message_that_says_so() {
        for (body, format) in [
            (&b"\x1f\x8b\x08"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd", "zstd"),
        ] {
            let error = User::decode("pg", body).unwrap_err();
            let message = format!("the body is compressed ({format}), which was not asked for");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
    }

    #[test]
    fn null_is_no_user_and_another_user_is_an_error() {
        assert_eq!(User::decode("pg", b"null").unwrap(), None);
        for body in [r#"{"id":"PG"}"#, r#"{"id":1}"#, "{}", "[]", "", "{"] {
            assert!(User::decode("pg", body.as_bytes()).is_err(), "{body}");
        }
        let error = User::decode("pg", br#"{"id":"PG"}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"asked for user pg, but the id of the answer is "PG": {"id":"PG"}"#
        );
    }
}
