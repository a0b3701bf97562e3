//! "Did you mean": the known word that an unknown one was probably meant to be.
//!
//! A misspelt key of config.json is worse than a missing one: its author believes in a protection that is not there.
//! Suggestions are only ever shown. Nothing is corrected: a guess about somebody's security settings is not ours to act on.

/// The known word nearest to `word`: equal but for letter case and separators, else at most two edits away, else the only
/// one that begins or ends with it. `None` if nothing is near, or if `word` itself is known.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    // A word of an attacker's length is nobody's typing mistake, and the distance takes quadratic time.
    if word.len() > 64 || known.clone().into_iter().any(|k| k == word) {
        return None;
    }
    let wanted = folded(word);
    if let Some(same) = known.clone().into_iter().find(|k| folded(k) == wanted) {
        return Some(same);
    }
    let near = known.clone().into_iter().map(|k| (distance(word, k), k)).min_by_key(|(d, _)| *d);
    if let Some((d, k)) = near
        && d <= 2
        && d * 2 <= word.chars().count() + 1
    {
        return Some(k);
    }
    let mut parts =
        known.into_iter().filter(|k| wanted.len() >= 2 && (folded(k).starts_with(&wanted) || folded(k).ends_with(&wanted)));
    let only = parts.next();
    if parts.next().is_some() { None } else { only }
}

/// ` - did you mean X?`, or nothing: to be put behind a message.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    closest(word, known).map_or_else(String::new, |k| format!(" - did you mean {k}?"))
}

fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

/// The number of letters to insert, delete or replace to make `b` of `a` (Levenshtein distance). Two that changed places,
/// the commonest slip of fingers, count as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let least = replaced.min(row[j - 1] + 1).min(above[j] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            row.push(if swapped { least.min(before[j - 2] + 1) } else { least });
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_misspelt_words() {
        let keys = ["noNewPrivileges", "cwd", "args"];
        assert_eq!(closest("noNewPrivileged", keys), Some("noNewPrivileges"));
        assert_eq!(closest("no_new_privileges", keys), Some("noNewPrivileges"));
        assert_eq!(closest("argz", keys), Some("args"));
        assert_eq!(closest("somethingElse", keys), None);
        assert_eq!(closest("args", keys), None);
    }

    #[test]
    fn finds_the_long_form_of_a_short_one() {
        assert_eq!(closest("net", ["pid", "network", "mount"]), Some("network"));
        assert_eq!(closest("NET_ADMIN", ["CAP_NET_ADMIN", "CAP_NET_RAW"]), Some("CAP_NET_ADMIN"));
        // Two are possible: none is named.
        assert_eq!(closest("CAP_NET", ["CAP_NET_ADMIN", "CAP_NET_RAW"]), None);
    }

    #[test]
    fn measures_edits() {
        assert_eq!(distance("nosiud", "nosuid"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn letters_that_changed_places_are_nearer_than_others() {
        assert_eq!(closest("TREM", ["TRAP", "TERM"]), Some("TERM"));
        assert_eq!(closest("lsit", ["list", "run"]), Some("list"));
    }

    #[test]
    fn ignores_words_of_absurd_length() {
        let long = "a".repeat(1 << 20);
        assert_eq!(closest(&long, ["a"]), None);
    }
}
