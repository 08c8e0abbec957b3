//! The texts of items: names, titles, texts and addresses, made from small lists. Nothing is quoted from the real site.

use super::rng::Rng;

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "the", "a", "of", "and", "to", "in", "that", "with", "for", "this", "most", "some", "every", "another", "between",
    "after", "before", "against", "almost", "rather", "never", "often", "maybe", "still", "server", "compiler",
    "kernel", "database", "parser", "browser", "cache", "thread", "battery", "keyboard", "satellite", "garden",
    "bicycle", "library", "protocol", "startup", "investor", "manual", "queue", "ledger", "window", "network",
    "laptop", "printer", "sensor", "engine", "signal", "pattern", "memory", "release", "contract", "problem",
    "answer", "question", "reason", "team", "customer", "deadline", "weekend", "version", "language", "measure",
    "build", "break", "explain", "rewrite", "ship", "debug", "maintain", "replace", "ignore", "prefer", "remember",
    "wonder", "argue", "agree", "slow", "fast", "small", "large", "open", "boring", "clever", "honest", "fragile",
    "useful", "expensive", "cheap", "modern", "old", "simple", "strange", "careful", "quiet", "broken", "it&#x27;s",
    "don&#x27;t", "I&#x27;d", "we&#x27;ve", "isn&#x27;t", "R&amp;D", "&quot;good enough&quot;", "10x", "2&#x2F;3",
];

#[rustfmt::skip]
const TITLE_WORDS: &[&str] = &[
    "Server", "Compiler", "Kernel", "Database", "Parser", "Browser", "Cache", "Battery", "Keyboard", "Satellite",
    "Garden", "Bicycle", "Library", "Protocol", "Queue", "Ledger", "Network", "Sensor", "Engine", "Signal", "Pattern",
    "Memory", "Manual", "Weekend", "Language", "Rewrite", "Debugging", "Shipping", "Maintaining", "Replacing",
    "Small", "Boring", "Honest", "Fast", "Fragile", "Cheap", "Modern", "Quiet", "Broken", "from Scratch", "in Rust",
    "without Tears", "for Beginners", "at Home", "&amp; Friends", "on a Budget", "after Ten Years", "under Load",
    "Naïve", "Zürich", "Café", "São Paulo", "東京", "– Part 2", "(2009)", "(pdf)", "🚀", "“Hello”",
];

#[rustfmt::skip]
const NON_ASCII_PHRASES: &[&str] = &[
    "naïve café résumé", "Übergröße und Straße", "à bientôt, ça va", "mañana será otro día", "简单的数据库很好用", "時間は大切です",
    "한국어 문장입니다", "Привет, мир", "καλημέρα κόσμε", "שלום עולם", "🎉🚀", "👩‍💻 👍🏽", "½ µm ≈ 500 nm",
    "“curly” – and — dashes…", "e\u{301} is not é", "zero\u{200b}width",
];

#[rustfmt::skip]
const HOSTS: &[&str] = &[
    "example.com", "blog.example.com", "www.example.org", "news.example.net", "docs.example.org", "bücher.example",
    "tools.example",
];

#[rustfmt::skip]
const COMPANIES: &[&str] = &[
    "Acme Queues", "Borealis", "Copper & Tin", "Driftwood", "Émigré Labs", "Fathom", "Glasshouse",
];

/// A name is a start and an end. The pool of names is all pairs. Upper and lower case differ.
#[rustfmt::skip]
const NAME_STARTS: &[&str] = &[
    "amber", "Bolt", "cedar", "dusty", "ember", "fern", "Gale", "hazel", "ivory", "jolly", "kilo", "lunar", "mossy",
    "north", "opal", "pixel", "quiet", "rusty", "salty", "tidal", "umbra", "vivid", "wry", "xeno", "young", "zinc",
];
#[rustfmt::skip]
const NAME_ENDS: &[&str] = &[
    "fox", "Otter", "_dev", "42", "-heron", "smith", "wolf", "1987", "crow", "_io", "Lynx", "moth", "-vole", "hq",
    "newt", "007", "finch", "_", "toad", "wren", "2k", "mole", "Stoat", "-x",
];

/// How many names there are.
pub(super) const NAMES: u32 = (NAME_STARTS.len() * NAME_ENDS.len()) as u32;

/// The name at `index` of the pool.
pub(super) fn name(index: u32) -> String {
    let start = index as usize / NAME_ENDS.len();
    let end = index as usize % NAME_ENDS.len();
    [NAME_STARTS[start % NAME_STARTS.len()], NAME_ENDS[end]].concat()
}

/// The index of a name in the pool. Upper and lower case differ, as on the real site.
pub(super) fn name_index(wanted: &str) -> Option<u32> {
    (0..NAMES).find(|&i| name(i) == wanted)
}

/// A title of three to eight words.
pub(super) fn title(rng: &mut Rng) -> String {
    let mut out = String::with_capacity(80);
    for i in 0..3 + rng.below(6) {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(rng.pick(TITLE_WORDS));
    }
    out
}

/// A job's title.
pub(super) fn job_title(rng: &mut Rng) -> String {
    let company = rng.pick(COMPANIES);
    let season = rng.pick(&["S", "W"]);
    let year = 10 + rng.below(16);
    format!(
        "{company} (YC {season}{year}) Is Hiring a {} Engineer",
        rng.pick(TITLE_WORDS)
    )
}

/// A web address under a domain that is reserved for examples.
pub(super) fn url(rng: &mut Rng) -> String {
    let host = rng.pick(HOSTS);
    let year = 2007 + rng.below(19);
    let mut out = format!(
        "https://{host}/{year}/{}-{}",
        rng.pick(URL_WORDS),
        rng.pick(URL_WORDS)
    );
    if rng.chance_in_10_000(1_000) {
        out.push_str("?id=");
        out.push_str(&rng.below(1_000_000).to_string());
        out.push_str("&ref=a%20b#top");
    }
    out
}

#[rustfmt::skip]
const URL_WORDS: &[&str] = &[
    "server", "slow-queries", "bicycle", "parser", "ledger", "why-we-moved", "notes", "caf%C3%A9", "東京",
];

/// HTML as the real site stores it: paragraphs separated by `<p>`, entities, links, quotes and code. It has about 300 bytes on
/// average, and up to several thousand.
pub(super) fn text(rng: &mut Rng) -> String {
    let mut sentences = 1 + rng.skewed_below(15);
    if rng.chance_in_10_000(100) {
        sentences += rng.below(70);
    }
    let non_ascii_at = if rng.chance_in_10_000(1_500) {
        rng.below(sentences)
    } else {
        u32::MAX
    };
    let mut out = String::with_capacity(sentences as usize * 80);
    for i in 0..sentences {
        if i > 0 {
            out.push_str(if rng.chance_in_10_000(3_000) {
                "<p>"
            } else {
                " "
            });
        }
        sentence(rng, &mut out);
        if i == non_ascii_at {
            out.push(' ');
            out.push_str(rng.pick(NON_ASCII_PHRASES));
        }
    }
    out
}

fn sentence(rng: &mut Rng, out: &mut String) {
    match rng.below(100) {
        0 => out.push_str("<a href=\"https:&#x2F;&#x2F;example.com&#x2F;a?b=1&amp;c=2\" rel=\"nofollow\">https:&#x2F;&#x2F;example.com&#x2F;a?b=1&amp;c=2</a> says: "),
        1..4 => out.push_str("&gt; "),
        4 => out.push_str("<pre><code>  if (a &lt; b) {\n\treturn \"x\\n\";\n  }\n</code></pre>"),
        5 => out.push_str("<i>Edit:</i> "),
        _ => {}
    }
    let start = out.len();
    for i in 0..4 + rng.below(14) {
        if i > 0 {
            out.push(' ');
        }
        out.push_str(rng.pick(WORDS));
    }
    if let Some(first) = out.get_mut(start..=start) {
        first.make_ascii_uppercase();
    }
    out.push_str(rng.pick(&[".", ".", ".", "?", "!"]));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_of_the_pool_is_unique_and_can_be_found() {
        let names: HashSet<String> = (0..NAMES).map(name).collect();
        assert_eq!(names.len(), NAMES as usize);
        assert!(
            (0..NAMES)
                .step_by(37)
                .all(|i| name_index(&name(i)) == Some(i))
        );
        assert!(names.iter().all(|n| (2..=15).contains(&n.len())));
        assert_eq!(name_index("AMBERFOX"), None);
    }
}
