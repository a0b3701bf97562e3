//! The lint of hints: what rrun adds to an error must not change what an engine makes of it.
//!
//! Engines look for phrases in the whole message, hint included. So all hints are read here in the sources, with sample
//! values in the place of what is filled in; what fills them at run time is checked where messages are written (src/log).

use rrun::log::MATCHED;

use super::{none, sources};

/// The string literals of a piece of code, their escapes undone, with `sample` for each `{…}`.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut text, mut inside) = (vec![], String::new(), false);
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match (inside, c) {
            (false, '"') => inside = true,
            (false, '\'') if chars.clone().nth(1) == Some('\'') => drop(chars.by_ref().take(2).count()),
            (true, '"') => {
                found.push(std::mem::take(&mut text));
                inside = false;
            }
            (true, '\\') => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                other => text.extend(other),
            },
            (true, '{') if chars.next_if_eq(&'{').is_some() => text.push('{'),
            (true, '{') => {
                chars.by_ref().take_while(|c| *c != '}').for_each(drop);
                text.push_str("sample");
            }
            (true, '}') => {
                chars.next_if_eq(&'}');
                text.push('}');
            }
            (true, c) => text.push(c),
            _ => {}
        }
    }
    found
}

/// The code in the brackets that open at the end of each `mark`, or up to the end of the statement if it opens none.
fn behind<'a>(code: &'a str, mark: &str) -> Vec<&'a str> {
    let end = |rest: &str| {
        let (mut depth, mut quoted, mut escaped) = (1, false, false);
        let closes = rest.char_indices().find(|(_, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                '(' | '{' | '[' if !quoted => depth += 1,
                ')' | '}' | ']' if !quoted => depth -= 1,
                _ => {}
            }
            depth == 0 || (!mark.ends_with('(') && !quoted && *c == ';' && depth == 1)
        });
        closes.map_or(rest.len(), |(at, _)| at)
    };
    code.match_indices(mark).map(|(at, _)| &code[at + mark.len()..]).map(|rest| &rest[..end(rest)]).collect()
}

/// (file, hint) of all hints in the sources.
fn hints() -> Vec<(String, String)> {
    let mut found = vec![];
    for source in sources().iter().filter(|s| s.is_in("src") && !s.path.ends_with("tests.rs")) {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for mark in [".hint(", "let hint = ", "Obstacle::new(", ".because("] {
            let texts = behind(code, mark).into_iter().flat_map(literals);
            found.extend(texts.filter(|t| t.contains(' ')).map(|t| (source.path.clone(), t)));
        }
    }
    assert!(found.len() > 100, "only {} hints were found", found.len());
    found
}

#[test]
fn no_hint_changes_the_class_of_an_error() {
    let matched = |(path, hint): (String, String)| {
        let folded = hint.to_lowercase();
        MATCHED.iter().find(|phrase| folded.contains(**phrase)).map(|phrase| format!("{path}: \"{phrase}\" in: {hint}"))
    };
    none(
        "an engine looks for it; write lacks, is absent, is a folder, may not:",
        hints().into_iter().filter_map(matched).collect(),
    );
}

#[test]
fn a_hint_is_one_short_line_without_a_full_stop() {
    let bad =
        |(_, hint): &(String, String)| hint.contains('\n') || hint.ends_with('.') || hint.ends_with('!') || hint.len() > 300;
    none(
        "one line, at most 300 bytes, no final full stop:",
        hints().into_iter().filter(bad).map(|(p, h)| format!("{p}: {h}")).collect(),
    );
}

/// Behind `; ` stands the fix, and it tells what to do.
#[test]
fn the_fix_of_a_hint_begins_with_a_verb() {
    const VERBS: &str = "add allow change chmod choose correct did drop give install link load log login make map mount name need raise \
                         rebuild reinstall remove rename run set show shorten start stop take turn use write let keep leave rrun run \
                         call shut close end wait delete move try declare put label mind look give create extend explain see or";
    let idle = |(path, hint): (String, String)| {
        let (_, fix) = hint.rsplit_once("; ")?;
        let first = fix.split([' ', ':', ',']).next().unwrap_or_default().to_lowercase();
        (!VERBS.split_whitespace().any(|v| v == first) && first != "sample").then(|| format!("{path}: {first}: {hint}"))
    };
    none("say what to do:", hints().into_iter().filter_map(idle).collect());
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    assert_eq!(literals("format!(\"a {x} b {{c}} \\\"d\\\"\", 'y', '\"', \"e\")"), ["a sample b {c} \"d\"", "e"]);
    assert_eq!(literals("\"one \\\n        two\""), ["one two"]);
    assert_eq!(behind("x.hint(f(\"a)\")).y", ".hint("), ["f(\"a)\")"]);
}
