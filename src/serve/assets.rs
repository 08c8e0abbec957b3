//! The style sheet, the script and the icon of the pages. Their names change with their content, so browsers may keep them.

use std::sync::LazyLock;

/// A file that is part of the program.
pub(super) struct Asset {
    /// Where it is served.
    pub(super) address: String,
    pub(super) kind: &'static str,
    pub(super) content: &'static str,
}

/// How the pages look.
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style",
        "css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    )
});

/// What a page can do beyond being read.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("assets/script.js");
    Asset::new("script", "js", "text/javascript; charset=utf-8", content)
});

/// What a browser shows in the tab.
pub(super) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("assets/icon.svg");
    Asset::new("icon", "svg", "image/svg+xml", content)
});

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let address = format!(
            "/assets/{name}.{:016x}.{ending}",
            fnv_1a(content.as_bytes())
        );
        Self {
            address,
            kind,
            content,
        }
    }
}

/// The hash function FNV-1a: it only has to differ when the content does.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The asset that is served at this address.
pub(super) fn asset_at(address: &str) -> Option<&'static Asset> {
    let mut all = [&*STYLE, &*SCRIPT, &*ICON].into_iter();
    all.find(|asset| asset.address == address)
}
