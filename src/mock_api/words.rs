//! What items say: words, titles, texts and addresses made from small lists. Nothing is quoted from the real site.

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
const FOREIGN: &[&str] = &[
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

/// Names are a front and a back; the pool is all pairs. Case counts.
#[rustfmt::skip]
const FRONTS: &[&str] = &[
    "amber", "Bolt", "cedar", "dusty", "ember", "fern", "Gale", "hazel", "ivory", "jolly", "kilo", "lunar", "mossy",
    "north", "opal", "pixel", "quiet", "rusty", "salty", "tidal", "umbra", "vivid", "wry", "xeno", "young", "zinc",
];
#[rustfmt::skip]
const BACKS: &[&str] = &[
    "fox", "Otter", "_dev", "42", "-heron", "smith", "wolf", "1987", "crow", "_io", "Lynx", "moth", "-vole", "hq",
    "newt", "007", "finch", "_", "toad", "wren", "2k", "mole", "Stoat", "-x",
];

/// How many names there are.
pub(super) const NAMES: u32 = (FRONTS.len() * BACKS.len()) as u32;

/// The name at `index` of the pool.
pub(super) fn name(index: u32) -> String {
    let (front, back) = (index as usize / BACKS.len(), index as usize % BACKS.len());
    [FRONTS[front % FRONTS.len()], BACKS[back]].concat()
}

/// Where in the pool a name is, if it is there. Letter case counts, as it does on the real site.
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
    let (company, season, year) = (
        rng.pick(COMPANIES),
        rng.pick(&["S", "W"]),
        10 + rng.below(16),
    );
    format!(
        "{company} (YC {season}{year}) Is Hiring a {} Engineer",
        rng.pick(TITLE_WORDS)
    )
}

/// A web address under a name that is reserved for examples.
pub(super) fn url(rng: &mut Rng) -> String {
    let (host, year) = (rng.pick(HOSTS), 2007 + rng.below(19));
    let mut out = format!(
        "https://{host}/{year}/{}-{}",
        rng.pick(WORDS_IN_URLS),
        rng.pick(WORDS_IN_URLS)
    );
    if rng.chance(1_000) {
        out.push_str("?id=");
        out.push_str(&rng.below(1_000_000).to_string());
        out.push_str("&ref=a%20b#top");
    }
    out
}

#[rustfmt::skip]
const WORDS_IN_URLS: &[&str] = &[
    "server", "slow-queries", "bicycle", "parser", "ledger", "why-we-moved", "notes", "caf%C3%A9", "東京",
];

/// HTML as the real site stores it: paragraphs parted by `<p>`, entities, links, quotes, code. About 300 bytes on average,
/// up to several thousand.
pub(super) fn text(rng: &mut Rng) -> String {
    let mut sentences = 1 + rng.low(15);
    if rng.chance(100) {
        sentences += rng.below(70);
    }
    let foreign_at = if rng.chance(1_500) {
        rng.below(sentences)
    } else {
        u32::MAX
    };
    let mut out = String::with_capacity(sentences as usize * 80);
    for i in 0..sentences {
        if i > 0 {
            out.push_str(if rng.chance(3_000) { "<p>" } else { " " });
        }
        sentence(rng, &mut out);
        if i == foreign_at {
            out.push(' ');
            out.push_str(rng.pick(FOREIGN));
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
    fn every_name_of_the_pool_is_its_own_and_is_found_again() {
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
