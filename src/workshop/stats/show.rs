//! What `stats` prints for people, and as JSON of its own.
//!
//! Memory is shown as the kernel counts it, the page cache included: that is what is held against the limit.

use serde_json::{Value, json};

use super::{Pair, Reading};
use crate::style::{Column, Paint, Style, columns, table};
use crate::workshop::observed::groups::Limit;

/// One line for each container. A terminal that is too narrow for the heads gets shorter ones: numbers are never cut.
pub fn text(pairs: &[Pair], style: &Style) -> String {
    fitting(&rows(pairs, style), style)
}

fn fitting(rows: &[Vec<String>], style: &Style) -> String {
    const HEADS: [&str; 9] =
        ["ID", "CPU%", "THROTTLED", "MEM / LIMIT", "CACHE", "OOM", "PIDS/MAX", "CTXSW v/i", "PRESSURE cpu/mem/io"];
    const SHORT: [&str; 9] = ["ID", "CPU%", "THROT", "MEM/LIMIT", "CACHE", "OOM", "PIDS", "CTXSW", "PRESSURE"];
    let wide = shown(style, HEADS, rows);
    if style.width.is_none_or(|width| wide.lines().all(|line| columns(line) <= width)) {
        return wide;
    }
    let tight = |row: &Vec<String>| row.iter().map(|cell| cell.replace(" / ", "/")).collect();
    shown(style, SHORT, &rows.iter().map(tight).collect::<Vec<Vec<String>>>())
}

fn shown(style: &Style, heads: [&str; 9], rows: &[Vec<String>]) -> String {
    table(style, &heads.map(|head| if head == "ID" { Column::new(head) } else { Column::number(head) }), rows)
}

fn rows(pairs: &[Pair], style: &Style) -> Vec<Vec<String>> {
    let row = |pair: &Pair| {
        let now = &pair.now;
        let share = share(now.memory, now.memory_limit);
        let memory = format!(
            "{} / {}{}",
            bytes(now.memory),
            limit(now.memory_limit, |n| bytes(Some(n))),
            share.map_or(String::new(), |s| format!(" {s:.0}%"))
        );
        let sched = now.sched;
        vec![
            crate::log::value(&pair.container.state.id),
            or_dash(pair.cpu_percent().map(|p| format!("{p:.1}"))),
            or_dash(throttled(now).map(|p| format!("{p:.0}%"))),
            if share.is_some_and(|s| s >= 90.0) { style.paint(Paint::Warn, memory).into_owned() } else { memory },
            bytes(now.cache()),
            match now.oom_kills {
                Some(n @ 1..) => style.paint(Paint::Bad, n.to_string()).into_owned(),
                other => or_dash(other.map(|n| n.to_string())),
            },
            format!("{}/{}", count(now.pids), limit(now.pids_limit, |n| n.to_string())),
            format!("{}/{}", count(sched.voluntary), count(sched.involuntary)),
            now.pressure.map(|p| or_dash(p.map(|p| format!("{p:.1}")))).join("/"),
        ]
    };
    pairs.iter().map(row).collect()
}

/// Where the memory of each container is (`--memory-breakdown`).
pub fn breakdown(pairs: &[Pair], style: &Style) -> String {
    let heads = ["ID", "anon", "file", "tmpfs", "kernel", "sockets", "swap", "total / limit"];
    let heads = heads.map(|head| if head == "ID" { Column::new(head) } else { Column::number(head) });
    let row = |pair: &Pair| {
        let now = &pair.now;
        let [anon, file, tmpfs, kernel, sockets, swap] = parts(now);
        let total = format!("{} / {}", bytes(now.memory), limit(now.memory_limit, |n| bytes(Some(n))));
        let id = crate::log::value(&pair.container.state.id);
        vec![id, bytes(anon), bytes(file), bytes(tmpfs), bytes(kernel), bytes(sockets), bytes(swap), total]
    };
    let told = "file: cache of what was read or written, given back when memory runs short; charged to who touched it first\n\
                tmpfs: files in memory, held until removed or swapped out; swap lies outside the limit unless it is limited too";
    table(style, &heads, &pairs.iter().map(row).collect::<Vec<_>>()) + &style.wrap(told, 0)
}

/// How often the threads of each container gave up their CPU (`--sched`).
pub fn sched(pairs: &[Pair], style: &Style) -> String {
    let heads = ["ID", "threads", "vol", "invol", "migr", "waited ms"];
    let heads = heads.map(|head| if head == "ID" { Column::new(head) } else { Column::number(head) });
    let row = |pair: &Pair| {
        let sched = pair.now.sched;
        let id = crate::log::value(&pair.container.state.id);
        let waited = sched.waited.map(|ns| ns / 1_000_000);
        vec![
            id,
            sched.threads.to_string(),
            count(sched.voluntary),
            count(sched.involuntary),
            count(sched.migrations),
            count(waited),
        ]
    };
    let told =
        "vol: had nothing to do; invol: its time was over; migr: went on on another CPU; waited: could run, and another did";
    table(style, &heads, &pairs.iter().map(row).collect::<Vec<_>>()) + &style.wrap(told, 0)
}

/// anon, file without tmpfs, tmpfs, kernel, sockets, swap.
fn parts(now: &Reading) -> [Option<u64>; 6] {
    let tmpfs = now.stat("shmem", "shmem");
    let file = now.cache().map(|cache| cache.saturating_sub(tmpfs.unwrap_or(0)));
    [now.stat("rss", "anon"), file, tmpfs, now.kernel, now.sockets, now.swap]
}

/// One object for each container; what is not known is null.
pub fn json(pair: &Pair) -> Value {
    let now = &pair.now;
    let [anon, file, tmpfs, kernel, sockets, swap] = parts(now);
    let most = |limit: Limit| match limit {
        Limit::Most(n) => Some(n),
        _ => None,
    };
    let [cpu, memory, io] = now.pressure;
    let sched = now.sched;
    json!({
        "id": pair.container.state.id,
        "cpu": {"percent": pair.cpu_percent(), "totalNanoseconds": now.cpu, "throttledPercent": throttled(now),
                "periods": now.throttling.map(|t| t.0), "throttledPeriods": now.throttling.map(|t| t.1)},
        "memory": {"usage": now.memory, "limit": most(now.memory_limit), "cache": now.cache(), "oomKills": now.oom_kills,
                   "breakdown": {"anon": anon, "file": file, "tmpfs": tmpfs, "kernel": kernel, "sockets": sockets, "swap": swap}},
        "pids": {"current": now.pids, "limit": most(now.pids_limit)},
        "sched": {"threads": sched.threads, "voluntary": sched.voluntary, "involuntary": sched.involuntary,
                  "migrations": sched.migrations, "waitedNanoseconds": sched.waited},
        "pressure": {"cpu": cpu, "memory": memory, "io": io},
    })
}

/// The share of quota periods that were cut short, in percent; `None` without a quota.
fn throttled(now: &Reading) -> Option<f64> {
    now.throttling.filter(|(periods, _)| *periods > 0).map(|(periods, throttled)| throttled as f64 * 100.0 / periods as f64)
}

fn share(used: Option<u64>, limit: Limit) -> Option<f64> {
    match (used, limit) {
        (Some(used), Limit::Most(limit @ 1..)) => Some(used as f64 * 100.0 / limit as f64),
        _ => None,
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

fn count(number: Option<u64>) -> String {
    or_dash(number.map(|n| n.to_string()))
}

fn limit(limit: Limit, show: impl Fn(u64) -> String) -> String {
    match limit {
        Limit::Most(n) => show(n),
        Limit::None => "max".into(),
        Limit::Unknown => "-".into(),
    }
}

/// `28.1M`.
fn bytes(number: Option<u64>) -> String {
    let Some(number) = number else { return "-".into() };
    let (mut value, mut unit) = (number as f64, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    let unit = ["B", "K", "M", "G", "T"][unit];
    if value.fract() == 0.0 { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_has_shorter_heads_and_whole_numbers() {
        let rows = [["database", "12.1", "41%", "28.1M / 256M 88%", "30.4M", "3", "104/1000", "6/94", "8.2/0.4/0.0"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let at = |width| fitting(&rows, &Style { width, ..Style::default() });
        assert!(at(None).contains("PRESSURE cpu/mem/io") && at(Some(120)) == at(None));
        let narrow = at(Some(80));
        assert!(
            narrow.contains("  PRESSURE\n") && narrow.contains("28.1M/256M 88%") && narrow.contains("8.2/0.4/0.0"),
            "{narrow}"
        );
        assert!(narrow.lines().all(|line| columns(line) <= 80), "{narrow}");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([Some(0), Some(512), Some(32 << 20), Some(29_465_600), None].map(bytes), ["0B", "512B", "32M", "28.1M", "-"]);
        assert_eq!((limit(Limit::None, |n| n.to_string()), limit(Limit::Unknown, |n| n.to_string())), ("max".into(), "-".into()));
        assert_eq!(share(Some(28), Limit::Most(32)).map(|s| s.round()), Some(88.0));
    }
}
