#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use serde_json::value::RawValue;

use super::*;
use crate::hn::record::{excerpt, values::unquoted};

fn item(body: &str) -> Item {
    Item::decode(1, body.as_bytes()).unwrap().unwrap()
}

fn error(body: impl AsRef<[u8]>) -> String {
    Item::decode(1, body.as_ref()).unwrap_err().to_string()
}

/// What a body says, apart from order, whitespace and the spelling of strings: for each key its value.
fn meaning(body: &str) -> BTreeMap<String, String> {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(body).unwrap();
    let plain = |(key, raw): (_, Box<RawValue>)| (key, compact(raw.get()));
    fields.into_iter().map(plain).collect()
}

/// Without whitespace outside of strings, and each string in one spelling if it decodes.
fn compact(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let mut end = c.len_utf8();
        if c == '"' {
            let mut escaped = true; // the opening quote closes nothing
            let closes = |c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            };
            end = rest.find(closes).unwrap() + 1;
            let raw = &rest[..end];
            out += &serde_json::from_str::<String>(raw).map_or(raw.into(), |text| quoted(&text));
        } else if !c.is_ascii_whitespace() {
            out.push(c);
        }
        rest = &rest[end..];
    }
    out
}

#[test]
fn every_field_has_its_column() {
    let body = r#"{"id":1,"type":"poll","by":"a","time":2,"title":"t","url":"u","text":"x","score":-3,
        "descendants":4,"parent":5,"poll":6,"kids":[7, 8],"parts":[],"deleted":true,"dead":false}"#;
    let all = Item {
        id: 1,
        type_: Some("poll".into()),
        by: Some("a".into()),
        time: Some(2),
        title: Some("t".into()),
        url: Some("u".into()),
        text: Some("x".into()),
        score: Some(-3),
        descendants: Some(4),
        parent: Some(5),
        poll: Some(6),
        kids: Some("[7,8]".into()),
        parts: Some("[]".into()),
        deleted: Some(true),
        dead: Some(false),
        extra: None,
    };
    assert_eq!(item(body), all);
    assert_eq!(meaning(&all.encode()), meaning(body));
}

#[test]
fn an_odd_field_never_costs_the_item() {
    for odd in [
        r#""type":null"#,
        r#""by":7"#,
        r#""title":["t"]"#,
        r#""url":{}"#,
        r#""text":"lone \ud800 surrogate""#,
        r#""text":"\udc00\ud800""#,
        r#""time":null"#,
        r#""time":"1""#,
        r#""time":1.0"#,
        r#""score":1e3"#,
        r#""score":-0"#,
        r#""score":0.10000000000000000000000000000000001"#,
        r#""descendants":9223372036854775808"#,
        r#""parent":-9223372036854775809"#,
        r#""poll":1e400"#,
        r#""kids":null"#,
        r#""kids":7"#,
        r#""kids":{"0":1}"#,
        r#""kids":[1,"2"]"#,
        r#""kids":["1,2"]"#,
        r#""kids":[1,[2,3]]"#,
        r#""kids":[1,-0]"#,
        r#""kids":[1,2.0]"#,
        r#""kids":[1,9223372036854775808]"#,
        r#""parts":[null]"#,
        r#""parts":[[]]"#,
        r#""deleted":[true]"#,
        r#""dead":[]"#,
        r#""dead":"true""#,
        r#""dead":0"#,
        r#""unknown":"\/\u0041""#,
        r#""type_":"x""#,
        r#""extra":{"extra":{}}"#,
        r#""":123456789012345678901234567890.123456789e-1000000"#,
        r#""a\"b\\":1"#,
        r#""\ud800":1"#,
    ] {
        let got = item(&format!(r#"{{"id":1,"by2":1,{odd}}}"#));
        // The value stands there word for word, and no column has anything of it.
        assert_eq!(got.extra, Some(format!(r#"{{"by2":1,{odd}}}"#)));
        let bare = Item { extra: None, ..got };
        assert_eq!(bare.encode(), r#"{"id":1}"#, "{odd}");
    }
}

#[test]
fn integers_fit_up_to_the_ends_of_i64() {
    let got =
        item(r#"{"id":1,"time":9223372036854775807,"kids":[-9223372036854775808],"score":0}"#);
    assert_eq!(got.time, Some(i64::MAX));
    assert_eq!(got.kids.as_deref(), Some("[-9223372036854775808]"));
    assert_eq!((got.score, got.extra), (Some(0), None));
}

#[test]
fn text_is_decoded_whatever_it_holds() {
    let got = item(r#"{"id":1,"text":"a\u0000\n\"\\\/\u00e9é\ud83d\ude00😀\u2028","url":""}"#);
    assert_eq!(got.text.as_deref(), Some("a\0\n\"\\/éé😀😀\u{2028}"));
    assert_eq!(got.url.as_deref(), Some(""));
    assert_eq!(item(&got.encode()), got);
}

#[test]
fn whitespace_is_free() {
    let got =
        item("\n {\r\n \"id\" :\t1 , \"kids\": [ 1 ,\n2 ], \"parts\": [ ], \"x\": [ 1 ] } \n");
    assert_eq!(got.kids.as_deref(), Some("[1,2]"));
    assert_eq!(got.parts.as_deref(), Some("[]"));
    assert_eq!(got.extra.as_deref(), Some(r#"{"x":[ 1 ]}"#));
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    let by = |s: &str| Some(s.to_owned());
    for (fields, column, extra) in [
        (r#""by":"a","by":"b""#, by("b"), None),
        (r#""by":1,"by":"b""#, by("b"), None),
        (r#""by":"a","by":1"#, None, Some(r#"{"by":1}"#)),
        (r#""by":2,"by":"a","by":1"#, None, Some(r#"{"by":1}"#)),
        (r#""by":1,"\u0062y":"b""#, by("b"), None),
        (r#""x":1,"y":2,"\u0078":3"#, None, Some(r#"{"y":2,"x":3}"#)),
        (
            r#""\u0001\n":1,"\u0001\u000a":2"#,
            None,
            Some(r#"{"\u0001\n":2}"#),
        ),
    ] {
        let got = item(&format!(r#"{{"id":1,{fields}}}"#));
        assert_eq!((got.by, got.extra.as_deref()), (column, extra), "{fields}");
    }
    assert_eq!(item(r#"{"id":"x","id":1}"#).id, 1);
    assert!(error(r#"{"id":1,"id":"x"}"#).contains(r#"id of the answer is "x""#));
}

#[test]
fn null_means_that_there_is_no_item() {
    for body in ["null", " null\n"] {
        assert_eq!(Item::decode(1, body.as_bytes()).unwrap(), None);
    }
}

#[test]
fn anything_but_an_object_with_the_asked_for_id_is_an_error() {
    for (body, says) in [
        ("", "body is empty"),
        (" ", "not JSON: EOF"),
        ("nul", "not JSON"),
        ("null null", "trailing characters"),
        (r#"{"id":1"#, "EOF"),
        (r#"{"id":1}x"#, "trailing characters"),
        (r#"{"id":1}{"id":1}"#, "trailing characters"),
        (r#"{"id":1,}"#, "trailing comma"),
        (r#"{"id":1,"x":01}"#, "not JSON"),
        (r#"{"id":1,"x":+1}"#, "not JSON"),
        (r#"{"id":1,"x":"\x"}"#, "invalid escape"),
        ("{\"id\":1,\"x\":\"\n\"}", "control character"),
        ("\u{feff}{\"id\":1}", "not JSON"),
        (
            "<html>\t503</html>",
            r"not JSON: expected value at line 1 column 1: <html>\t503",
        ),
        ("[1]", "not a JSON object: [1]"),
        ("1e400", "1e400"),
        (r#""text""#, r#"not a JSON object: "text""#),
        (
            "{}",
            "asked for item 1, but the id of the answer is missing: {}",
        ),
        (
            r#"{"id":2,"by":"a"}"#,
            r#"asked for item 1, but the id of the answer is 2: {"id":2,"by":"a"}"#,
        ),
        (r#"{"id":"1"}"#, r#"id of the answer is "1""#),
        (r#"{"id":1.0}"#, "id of the answer is 1.0"),
        (r#"{"id":null}"#, "id of the answer is null"),
        (r#"{"ID":1}"#, "id of the answer is missing"),
    ] {
        assert!(error(body).contains(says), "{body:?}: {}", error(body));
    }
    assert!(Item::decode(0, br#"{"id":-0}"#).is_err());
    assert!(error(b"{\"id\":1,\"by\":\"\xff\"}").contains("not UTF-8 from byte 14 on: {\"id\":1"));
}

#[test]
fn an_error_is_one_short_printable_line() {
    let long = "x\u{1b}[31m\0\u{202e}é".repeat(10_000);
    for body in [
        long.clone(),
        quoted(&long),
        format!(r#"{{"id":{}}}"#, quoted(&long)),
        format!(r#"{{{}:1"#, quoted(&long)),
    ] {
        let text = error(&body);
        assert!(text.chars().count() < 300, "{text}");
        assert!(
            text.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{text}"
        );
    }
    assert_eq!(excerpt("é".repeat(1000).as_bytes()), "é".repeat(80));
}

#[test]
fn nesting_a_million_deep_overflows_nothing() {
    let deep = |key: &str, open: &str, middle: &str, close: &str| {
        let n = 1_000_000;
        format!(
            r#"{{"id":1,"{key}":{}{middle}{}}}"#,
            open.repeat(n),
            close.repeat(n)
        )
    };
    for body in [
        deep("x", "[", "", "]"),
        deep("x", r#"{"":"#, "1", "}"),
        deep("kids", "[", "1", "]"),
        deep("text", r#"[{"":"#, "1", "}]"),
    ] {
        let got = item(&body);
        assert_eq!(got.encode(), body);
        assert!(Item::decode(2, body.as_bytes()).is_err());
        assert!(Item::decode(1, &body.as_bytes()[..body.len() / 2]).is_err());
    }
}

/// Lone surrogates have no text to compare by: each spelling is a key of its own, and all of them stay, in order.
#[test]
fn keys_that_do_not_decode_are_kept_as_spelled() {
    let got = item(r#"{"id":1,"\ud800":1,"\uD800":2,"\ud800":3}"#);
    assert_eq!(got.extra.as_deref(), Some(r#"{"\uD800":2,"\ud800":3}"#));
    assert_eq!(got.encode(), r#"{"id":1,"\uD800":2,"\ud800":3}"#);
}

#[test]
fn an_emptied_extra_encodes_to_nothing() {
    let mut got = item(r#"{"id":1,"x":1}"#);
    got.extra = Some("{}".into());
    assert_eq!(got.encode(), r#"{"id":1}"#);
}

const KEYS: [&str; 22] = [
    "type",
    "by",
    "time",
    "title",
    "url",
    "text",
    "score",
    "descendants",
    "parent",
    "poll",
    "kids",
    "parts",
    "deleted",
    "dead",
    r"\u0062y",
    r"ki\u0064s",
    "",
    "extra",
    "type_",
    r"a\n\u0000",
    "é",
    r"\u00e9",
];

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => select(&KEYS[..]).prop_map(str::to_owned), 1 => any::<String>().prop_map(|s| escaped(&s))]
}

fn escaped(text: &str) -> String {
    unquoted(&quoted(text)).unwrap().to_owned()
}

fn json_string() -> impl Strategy<Value = String> {
    let pieces = select(
        &[
            "a",
            "é",
            "😀",
            r"\n",
            r#"\""#,
            r"\\",
            r"\/",
            r"\u0000",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\ud800",
            r"\udc00",
            ",",
            "]",
            "}",
            " ",
            "1",
            "\u{7f}",
        ][..],
    );
    vec(pieces, 0..8).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0i64..100).prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,6})?",
        select(
            &[
                "1e400",
                "-0",
                "1.0",
                "1e3",
                "9223372036854775807",
                "9223372036854775808"
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let space = || select(&["", "", " ", "\n\t\r "][..]);
    let leaf = prop_oneof![
        select(&["null", "true", "false", "[]", "{}", "[ ]", "[1, 2]"][..]).prop_map(str::to_owned),
        number(),
        number(),
        json_string(),
        json_string(),
        vec(0i64..1000, 0..6).prop_map(|ids| format!("{ids:?}")),
        (1..200usize).prop_map(|n| format!("{}{}", "[".repeat(n), "]".repeat(n))),
        (1..200usize).prop_map(|n| format!("{}1{}", "{\"a\": ".repeat(n), "}".repeat(n))),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space())
                .prop_map(|(list, s)| format!("[{s}{}{s}]", list.join(&format!("{s},")))),
            (vec((json_string(), inner), 0..3), space()).prop_map(|(fields, s)| {
                let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}{s}:{v}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    })
}

/// An object with `"id":1` somewhere, duplicates and odd values included.
fn object() -> impl Strategy<Value = String> {
    (
        vec((key(), value()), 0..12),
        any::<Index>(),
        select(&["", " ", "\n"][..]),
    )
        .prop_map(|(mut fields, at, s)| {
            fields.insert(at.index(fields.len() + 1), ("id".into(), "1".into()));
            let fields: Vec<_> = fields
                .iter()
                .map(|(k, v)| format!("\"{k}\"{s}:{s}{v}"))
                .collect();
            format!("{s}{{{s}{}{s}}}{s}", fields.join(&format!("{s},")))
        })
}

const REAL: [&str; 3] = [
    r#"{"by":"a","descendants":7,"id":1,"kids":[2,3],"score":7,"time":1744978974,"title":"T","type":"story","url":"https://a.b/"}"#,
    r#"{"by":"a","id":1,"parent":5,"text":"<p>&#x27;\"\n\u2014é","time":1744978974,"type":"comment"}"#,
    r#"{"deleted":true,"id":1,"parent":5,"time":1744978974,"type":"comment"}"#,
];

/// Whatever comes, decode returns; and what it takes it can give back.
fn survives(body: &[u8]) -> Result<(), TestCaseError> {
    match Item::decode(1, body) {
        Ok(Some(item)) => {
            let again = Item::decode(1, item.encode().as_bytes());
            prop_assert_eq!(again.unwrap(), Some(item));
        }
        Ok(None) => prop_assert_eq!(body.trim_ascii(), b"null"),
        Err(e) => prop_assert!(e.to_string().chars().count() < 300),
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_same_fields_with_the_same_values_come_back(body in object()) {
        let item = item(&body);
        let json = item.encode();
        prop_assert_eq!(meaning(&json), meaning(&body));
        // Columns first and extra last: the encoded order differs, the item does not.
        prop_assert_eq!(Item::decode(1, json.as_bytes()).unwrap(), Some(item));
    }

    #[test]
    fn any_bytes_are_survived(body in vec(any::<u8>(), 0..64)) {
        survives(&body)?;
    }

    #[test]
    fn any_json_is_survived(body in value()) {
        survives(body.as_bytes())?;
    }

    #[test]
    fn mutated_items_are_survived(
        body in prop_oneof![select(&REAL[..]).prop_map(str::to_owned), object()],
        flips in vec((any::<Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of((any::<Index>(), any::<Index>())),
        swap in proptest::option::of((any::<Index>(), value())),
    ) {
        let mut body = body;
        if let Some((at, value)) = swap {
            // In place of what stands between two commas or colons.
            let ends: Vec<_> = body.match_indices([',', ':']).map(|(i, _)| i).collect();
            if !ends.is_empty() {
                let i = at.index(ends.len());
                let end = ends.get(i + 1).copied().unwrap_or(body.len() - 1);
                if body.is_char_boundary(end) {
                    body.replace_range(ends[i] + 1..end, &value);
                }
            }
        }
        let mut body = body.into_bytes();
        if let Some((a, b)) = cut {
            let (a, b) = (a.index(body.len()), b.index(body.len()));
            body.drain(a.min(b)..a.max(b));
        }
        if !body.is_empty() {
            for (at, byte) in flips {
                let i = at.index(body.len());
                body[i] = byte;
            }
        }
        survives(&body)?;
    }
}
