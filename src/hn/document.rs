//! What a body may be instead of plain JSON: JSON behind a byte order mark, or something compressed.

/// The first bytes of formats that a server or a proxy may send without saying so in `Content-Encoding`. No JSON begins with
/// them.
const COMPRESSED: [(&[u8], &str); 8] = [
    (b"\x1f\x8b", "gzip"),
    (b"\x1f\x9d", "compress"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x78\x01", "deflate"),
    (b"\x78\x5e", "deflate"),
    (b"\x78\x9c", "deflate"),
    (b"\x78\xda", "deflate"),
    (b"\xfd7zXZ\0", "xz"),
];

/// A document without the byte order mark of UTF-8, which some servers put before it. JSON has none (RFC 8259, 8.1).
pub(super) fn without_byte_order_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The format that a body is compressed with, as far as its first bytes tell. (Brotli has no such bytes.)
pub(super) fn compression(body: &[u8]) -> Option<&'static str> {
    let known = COMPRESSED.iter().find(|(first, _)| body.starts_with(first));
    known.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bodies_are_told_from_json_and_other_text() {
        for (body, format) in [
            (&b"\x1f\x8b\x08\0"[..], Some("gzip")),
            (b"\x28\xb5\x2f\xfd\x24", Some("zstd")),
            (b"\x78\x9c\xab", Some("deflate")),
            (b"(a text", None),
            (b"x", None),
            (b"{}", None),
            (b"", None),
        ] {
            assert_eq!(compression(body), format, "{body:?}");
        }
    }
}
