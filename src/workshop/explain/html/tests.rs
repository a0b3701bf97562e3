//! The page is well formed, small, and whatever an attacker names stays text in it.

use serde_json::json;

use super::super::asked::tests::blind;
use super::super::policy::Policy;
use super::super::subject::{Member, Subject};
use super::*;

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}\x1b[2J</svg><img src=x onerror=y>";

/// Everything that an attacker may name has a hostile name.
fn hostile(members: usize, mounts: usize) -> Report {
    let mount = |i: usize| json!({"destination": format!("/{i}{HOSTILE}"), "source": format!("/etc/{HOSTILE}"), "type": "bind"});
    let all: Vec<_> = (0..mounts).map(mount).collect();
    let config = json!({"mounts": all, "process": {"apparmorProfile": HOSTILE}, "linux": {"namespaces": [{"type": "network", "path": HOSTILE}]}});
    let escaped = crate::log::value(HOSTILE);
    let member = |i: usize| Member { pid: 100 + i as i32, inner: 1 + i as i32, parent: 99 + i as i32, name: escaped.clone() };
    let subject = Subject {
        word: "web".into(),
        name: HOSTILE.to_owned(),
        place: HOSTILE.to_owned(),
        status: "running",
        hash: Some("ab".repeat(32)),
        bundle: None,
        facts: blind(&config),
        config: Some(config),
        asked: None,
        notes: vec![super::super::notes::Note { id: "KEYS", text: HOSTILE.to_owned(), cis: "" }],
        ids: [Some(4_026_531_840); 8],
        members: (0..members).map(member).collect(),
    };
    Report::new(subject, Policy::default())
}

/// The names of the elements, if each is closed in its turn and every attribute is quoted.
fn elements(page: &str) -> Vec<String> {
    let mut open: Vec<String> = vec![];
    let mut names = vec![];
    let (mut rest, mut style) = (page.strip_prefix("<!DOCTYPE html>").expect("a doctype"), false);
    while let Some((text, after)) = rest.split_once('<') {
        assert!(style || (!text.contains('>') && text.split('&').skip(1).all(|e| e.contains(';'))), "{text}");
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closed in turn");
            style = false;
            continue;
        }
        let (body, alone) = tag.strip_suffix('/').map_or((tag, false), |body| (body, true));
        let name = body.split(' ').next().unwrap_or_default().to_owned();
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
        assert!(body.matches('"').count().is_multiple_of(2) && body.matches('=').count() <= body.matches('"').count(), "{tag}");
        style = name == "style";
        names.push(name.clone());
        if !alone {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    names
}

#[test]
fn a_hostile_name_stays_text() {
    let page = page(&hostile(3, 3));
    let names = elements(&page);
    for forbidden in ["script", "img", "link", "iframe", "object", "image", "use", "foreignObject", "a onerror"] {
        assert!(!names.iter().any(|name| name == forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains(['\x1b', '\u{202e}']), "what a terminal or a browser obeys is shown, not done");
    assert!(!page.contains("onerror=y>") && !page.contains("://"), "no address of any kind");
    assert!(page.matches("url(").count() == page.matches("url(#hatched)").count());
}

#[test]
fn the_policy_forbids_what_the_page_does_not_need() {
    let page = page(&hostile(0, 0));
    let policy = "content=\"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; img-src data:\"";
    assert!(page.contains(&format!("<meta http-equiv=\"Content-Security-Policy\" {policy}/>")), "{}", &page[..600]);
    let before = page.split("Content-Security-Policy").next().expect("a head");
    assert!(!before.contains("<style"), "it must stand before what it governs");
}

#[test]
fn it_is_small_and_has_its_pictures() {
    let page = page(&hostile(500, 500));
    assert!(page.len() < 200_000, "{}", page.len());
    let names = elements(&page);
    assert_eq!(names.iter().filter(|n| *n == "svg").count(), 4, "a gauge and three pictures");
    assert!(names.iter().filter(|n| *n == "desc").count() == 4 && page.contains("and 488 more"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
}

#[test]
fn it_says_what_the_json_says() {
    let report = hostile(2, 1);
    let (page, json) = (page(&report), report.json());
    assert!(page.contains(&format!("{} {}", json["score"], json["level"].as_str().expect("text"))));
    for finding in json["findings"].as_array().expect("a list") {
        assert!(page.contains(&format!("id=\"{}\"", finding["id"].as_str().expect("text"))));
        assert!(page.contains(&text(finding["reason"].as_str().expect("text"))), "{finding}");
        let fixes = finding["fix"].as_array().expect("a list");
        assert!(fixes.iter().all(|op| page.contains(&text(&op.to_string()))), "{finding}");
    }
    assert!(page.contains("SHARED") && page.contains(">101<"));
}
