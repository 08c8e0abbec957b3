//! The pages in a real browser. Needs Chromium and chromedriver, so `cargo test` leaves it out: `cargo test --test pages_browser`.
//!
//! `cargo test --test pages_browser screenshots -- --ignored` makes the pictures in `docs/`.
#![allow(clippy::unwrap_used)]

mod browser;
mod mirror;

use serde_json::{Value, json};

use browser::Browser;
use mirror::{Served, ago, made_up};

const WIDTHS: [u32; 3] = [360, 768, 1280];

const PAGES: [&str; 14] = [
    "/",
    "/newest",
    "/ask",
    "/jobs",
    "/item?id=1000",
    "/item?id=1106",
    "/item?id=1200",
    "/user?id=harbourmaster",
    "/submitted?id=harbourmaster",
    "/threads?id=harbourmaster",
    "/history?id=1004",
    "/search?q=notes",
    "/newcomments",
    "/status",
];

fn open(served: &Served, browser: &Browser, path: &str) {
    browser.go(&format!("http://{}{path}", served.address));
}

/// What makes a page slide sideways, or nothing.
fn too_wide(browser: &Browser) -> Value {
    browser.script(
        "const wide = document.documentElement.clientWidth;
         if (document.documentElement.scrollWidth <= wide) return [];
         return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > wide + 1)
             .slice(0, 5).map((e) => e.outerHTML.slice(0, 200));",
    )
}

/// What axe finds that keeps people from using a page.
fn serious_findings(browser: &Browser) -> Value {
    browser.script(&format!(
        "{}; window.axe = axe;",
        include_str!("axe/axe.min.js")
    ));
    browser.script_with_callback(
        "const done = arguments[arguments.length - 1];
         axe.run().then((found) => done(found.violations
             .filter((v) => ['serious', 'critical'].includes(v.impact))
             .map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3).join(' | ')}`)));",
    )
}

#[test]
fn every_page_is_accessible_and_fits_at_every_width_in_both_schemes_without_complaints() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    let mut faults = Vec::new();
    for path in PAGES {
        for (width, scheme) in [
            (1280, "light"),
            (360, "light"),
            (360, "dark"),
            (768, "dark"),
        ] {
            browser.resize(width);
            browser.prefer(scheme);
            open(&served, &browser, path);
            let wide = too_wide(&browser);
            if wide != json!([]) {
                faults.push(format!("{path} at {width}: too wide: {wide}"));
            }
            // Colours are all that differs beyond these.
            if width != 768 {
                let findings = serious_findings(&browser);
                if findings != json!([]) {
                    faults.push(format!("{path} at {width}, {scheme}: {findings}"));
                }
            }
            faults.extend(
                browser
                    .complaints()
                    .into_iter()
                    .map(|line| format!("{path}: {line}")),
            );
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_front_page_shows_the_list_in_its_order_with_its_age() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    open(&served, &browser, "/");
    let titles = browser.script("return [...document.querySelectorAll('.stories li')].map((li) => li.querySelector('a').textContent)");
    assert_eq!(
        titles[3],
        "Ask HN: How do you keep notes that you still read a year later?"
    );
    assert_eq!(titles[9], "Original of 9999");
    let age = browser.script("return document.querySelector('.as-of').textContent");
    assert_eq!(age, "As of moments ago");
    let link =
        browser.script("const a = document.querySelector('.stories a'); return [a.href, a.rel]");
    assert_eq!(
        link,
        json!([
            "https://tidewater.example/one-file",
            "noopener nofollow ugc"
        ])
    );
}

#[test]
fn a_thread_folds_by_mouse_and_by_keys_and_dead_comments_are_folded() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    open(&served, &browser, "/item?id=1000");
    let is_shown = |id: i64| {
        let text = format!("const text = document.getElementById('{id}').querySelector('.text');");
        browser.script(&format!("{text} return text.checkVisibility()"))
    };
    assert_eq!(
        (is_shown(1102), is_shown(1107)),
        (json!(true), json!(false))
    );
    browser.script("document.getElementById('1100').querySelector('summary').click()");
    assert_eq!(
        (is_shown(1102), is_shown(1105)),
        (json!(false), json!(true))
    );
    let folded = browser.script(
        "return document.getElementById('1100').querySelector('.folded').checkVisibility()",
    );
    assert_eq!(folded, true);
    // The return key unfolds it again.
    browser.script("document.getElementById('1100').querySelector('summary').focus()");
    browser.press("\u{e007}");
    assert_eq!(is_shown(1102), true);
    browser.script("document.getElementById('fold-all').click()");
    assert_eq!(
        (is_shown(1102), is_shown(1105)),
        (json!(false), json!(false))
    );
    // A link to a comment shows it.
    browser.script("location.hash = '#1102'");
    browser.wait_for(
        "return document.getElementById('1102').querySelector('.text').checkVisibility()",
    );
    let missing = browser.script("return document.querySelectorAll('#thread .missing').length");
    assert_eq!(missing, 2);
}

#[test]
fn the_first_key_leads_to_the_content() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    open(&served, &browser, "/");
    browser.press("\u{e004}");
    let skip = browser.script("const a = document.activeElement; return [a.textContent, a.getBoundingClientRect().top >= 0]");
    assert_eq!(skip, json!(["Skip to the content", true]));
    browser.press("\u{e007}");
    browser.wait_for("return document.activeElement.id === 'content'");
    let landmarks = browser.script("return ['header', 'nav', 'main', 'footer', 'h1'].map((n) => document.querySelectorAll(n).length)");
    assert_eq!(landmarks, json!([1, 1, 1, 1, 1]));
}

#[test]
fn a_search_is_typed_and_its_results_show_the_words_the_best_or_the_newest_first() {
    let served = made_up().serve();
    let browser = Browser::open(768);
    open(&served, &browser, "/search");
    browser.script("document.getElementById('q').focus()");
    browser.press("notes\u{e007}");
    browser.wait_for("return document.querySelector('.results') !== null");
    let titles = "return [...document.querySelectorAll('.results h2 a:first-child')].map((a) => a.textContent)";
    let notes = "Ask HN: How do you keep notes that you still read a year later?";
    let poll = "Poll: Where do your notes live?";
    // The address of the timetable has the word, too.
    let timetable = "What a bus timetable taught me about distributed systems (2019)";
    assert_eq!(browser.script(titles), json!([notes, poll, timetable]));
    let note = browser.script("return document.querySelector('p.note').textContent");
    assert_eq!(note, "3 results.");
    browser.script("document.querySelector('.as-of a').click()");
    browser.wait_for("return location.search.includes('sort=date') && document.querySelector('.results') !== null");
    assert_eq!(browser.script(titles), json!([notes, timetable, poll]));
    open(&served, &browser, "/search?q=%22a+copy%22+reproduction");
    let comment = browser.script(
        "const li = document.querySelector('.results li');
         return [...li.querySelectorAll('mark, h2 a')].map((e) => e.textContent)",
    );
    let story = "A small database that fits in one file, and why that is enough";
    assert_eq!(
        comment,
        json!(["Comment", story, "a", "copy", "reproduction"])
    );
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn the_earlier_versions_show_what_changed() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    open(&served, &browser, "/history?id=1004");
    let added = browser
        .script("return [...document.querySelectorAll('ins')].map((e) => e.textContent.trim())");
    // The sentence that explains the marks has one, too.
    assert_eq!(added, json!(["underlined", "(2019)"]));
}

#[test]
fn dark_pages_are_dark_and_light_pages_are_light() {
    let served = made_up().serve();
    let browser = Browser::open(768);
    for (scheme, is_dark) in [("light", false), ("dark", true)] {
        browser.prefer(scheme);
        open(&served, &browser, "/");
        let back = browser.script(
            "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)",
        );
        let sum: i64 = back
            .as_array()
            .unwrap()
            .iter()
            .take(3)
            .filter_map(Value::as_i64)
            .sum();
        assert_eq!(sum < 150, is_dark, "{scheme}: {back}");
    }
}

#[test]
fn new_items_are_announced_and_the_dashboard_stays_current() {
    let served = made_up().serve();
    let browser = Browser::open(768);
    open(&served, &browser, "/");
    // The stream must have told the first number before the next one comes.
    browser.wait_for("return document.body.dataset.seen !== undefined");
    let new =
        |id: i64| json!({"id": id, "type": "story", "by": "tern", "time": ago(0), "title": "New"});
    served.mirror.store([new(1500), new(1501)]);
    browser.wait_for("return !document.getElementById('news').hidden");
    let news = browser.script("return document.getElementById('news').textContent");
    assert_eq!(news, "201 new items");
    open(&served, &browser, "/status");
    served.mirror.store([new(1502)]);
    browser.wait_for("return document.querySelector('.totals dd').textContent === '28'");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn nothing_that_a_field_holds_runs_or_leaves_its_place() {
    let mirror = made_up();
    let evil = "\"'><img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script><svg onload=\"document.title='owned'\">";
    mirror.store([
        json!({"id": 2000, "type": "story", "by": evil, "time": ago(1), "title": evil, "url": format!("javascript:document.title='owned'//{evil}"),
            "text": evil, "score": 1, "descendants": 1, "kids": [2001]}),
        json!({"id": 2001, "type": "comment", "by": evil, "parent": 2000, "time": ago(1),
            "text": format!("</div></details></article>{evil}<a href=\"javascript:document.title='owned'\" onclick=\"document.title='owned'\">x</a>")}),
    ]);
    mirror.store([json!({"id": 2000, "type": "story", "by": evil, "time": ago(1), "title": format!("{evil} 2"), "text": "x", "kids": [2001]})]);
    mirror.store_user(json!({"id": evil, "about": evil}));
    mirror.store_list(hn_ingest::hn::List::Best, &[2000]);
    let served = mirror.serve();
    let browser = Browser::open(768);
    let query: String = evil.bytes().map(|b| format!("%{b:02x}")).collect();
    for path in [
        "/best",
        "/newest",
        "/newcomments",
        "/item?id=2000",
        "/item?id=2001",
        "/history?id=2000",
        &format!("/user?id={query}"),
        &format!("/threads?id={query}"),
        &format!("/submitted?id={query}"),
        &format!("/search?q={query}"),
        &format!("/from?site={query}"),
        &format!("/{query}"),
        "/status",
    ] {
        open(&served, &browser, path);
        browser.script("document.querySelectorAll('main a:not([href])').forEach((a) => a.click())");
        let title = browser.script("return document.title");
        assert!(
            title.as_str().unwrap().ends_with("| Hacker News mirror"),
            "{path}: {title}"
        );
        let strange = browser.script(
            "return [...document.querySelectorAll('main img, main script, main iframe, [onclick], [onerror], [onload], [style], \
             a[href^=\"javascript\"]')].map((e) => e.outerHTML)",
        );
        assert_eq!(strange, json!([]), "{path}");
        let structure = browser.script("return document.querySelectorAll('body > *').length");
        assert_eq!(structure, 4, "{path}");
    }
}

/// Makes the pictures of the README.
#[test]
#[ignore = "writes files of the repository"]
fn screenshots() {
    let served = made_up().serve();
    let browser = Browser::open(1280);
    let folder = std::env::var("SCREENSHOTS").unwrap_or("docs/screenshots".to_owned());
    std::fs::create_dir_all(&folder).unwrap();
    let all = std::env::var("SCREENSHOTS").is_ok();
    for (name, path) in [
        ("front", "/"),
        ("thread", "/item?id=1000"),
        ("status", "/status"),
        ("history", "/history?id=1004"),
        ("user", "/user?id=harbourmaster"),
        ("poll", "/item?id=1200"),
        ("search", "/search?q=notes"),
        ("lost", "/item?id=9999"),
    ] {
        for width in WIDTHS {
            for scheme in ["light", "dark"] {
                // For the README: a wide light thread, a dark dashboard, and a front page on a phone.
                let is_for_readme = matches!(
                    (name, width, scheme),
                    ("thread", 768, "light") | ("status", 768, "dark") | ("front", 360, "light")
                );
                if !all && !is_for_readme {
                    continue;
                }
                browser.resize(width);
                browser.prefer(scheme);
                open(&served, &browser, path);
                let height = if width == 360 { 720 } else { 900 };
                let picture = browser.screenshot(width, height);
                std::fs::write(format!("{folder}/{name}-{width}-{scheme}.png"), picture).unwrap();
            }
        }
    }
}
