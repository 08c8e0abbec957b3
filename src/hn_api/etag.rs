//! Entity tags.

/// The FNV-1a hash of the body, without quotes, as Firebase sends it.
pub(super) fn etag(body: &[u8]) -> String {
    let add_byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", body.iter().fold(0xCBF2_9CE4_8422_2325, add_byte))
}

/// Whether the value of `If-None-Match` names this tag. Tags may be quoted and weak.
pub(super) fn names(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == etag
    })
}
