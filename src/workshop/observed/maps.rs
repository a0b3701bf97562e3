//! uid_map and gid_map: who the users of a user namespace are outside of it (user_namespaces(7)).
//!
//! Each line maps a range. What is not mapped does not exist inside: files of such owners belong to `nobody` there, and host id 0 that is
//! in no range is root whom nobody inside can become.

/// One line: `size` ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first id inside.
    pub inside: u32,
    /// The first id outside, as the reader's user namespace numbers it.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// A whole map; empty while nobody wrote one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap(pub Vec<Range>);

impl IdMap {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(|n| n.parse().ok());
            Some(Range { inside: numbers.next()??, outside: numbers.next()??, size: numbers.next()?? })
        };
        Self(text.lines().filter_map(range).collect())
    }

    /// Who `id` of the inside is outside.
    pub fn outside(&self, id: u32) -> Option<u32> {
        self.0.iter().find_map(|r| id.checked_sub(r.inside).filter(|n| *n < r.size).map(|n| r.outside.saturating_add(n)))
    }

    /// Who `id` of the outside is inside.
    pub fn inside(&self, id: u32) -> Option<u32> {
        self.0.iter().find_map(|r| id.checked_sub(r.outside).filter(|n| *n < r.size).map(|n| r.inside.saturating_add(n)))
    }

    /// Whether every id is itself: no user namespace, or one that separates nobody.
    pub fn is_identity(&self) -> bool {
        self.0.iter().all(|r| r.inside == r.outside) && self.0.iter().map(|r| u64::from(r.size)).sum::<u64>() >= 0xffff_ffff
    }
}

impl std::fmt::Display for IdMap {
    /// `0..65535 → 100000..165535`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, r) in self.0.iter().enumerate() {
            let span = |first: u32| match r.size {
                0 | 1 => first.to_string(),
                size => format!("{first}..{}", u64::from(first) + u64::from(size) - 1),
            };
            write!(f, "{}{} → {}", if i > 0 { ", " } else { "" }, span(r.inside), span(r.outside))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_followed_both_ways() {
        let map = IdMap::parse("         0     100000      65536\n     70000          7          1\n");
        assert_eq!((map.outside(0), map.outside(65_535), map.outside(65_536)), (Some(100_000), Some(165_535), None));
        assert_eq!((map.inside(100_001), map.inside(7), map.inside(0)), (Some(1), Some(70_000), None));
        assert_eq!(map.to_string(), "0..65535 → 100000..165535, 70000 → 7");
        assert!(!map.is_identity() && IdMap::parse("0 0 4294967295\n").is_identity());
        assert!(!IdMap::parse("").is_identity() && IdMap::parse("x y z\n").0.is_empty());
    }
}
