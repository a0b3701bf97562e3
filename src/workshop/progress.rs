//! What is said while a command works: only when it takes long, and only to whoever reads it as it comes.
//!
//! Nothing for half a second. Then on a terminal one line, which replaces itself and is gone at the end; in a pipe or a log
//! one line for each step, as nothing can be taken back there. All of it goes to stderr: stdout is data. The one who works
//! calls [`Progress::look`] whenever it comes by; there is no thread, and no clock but that of the caller.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::style::{Looks, Style};

/// Nobody needs to be told of what is over so soon.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often a line on a terminal is written anew.
const RHYTHM: Duration = Duration::from_millis(200);

/// What a command is at.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    way: Way,
    style: Style,
    step: String,
    /// Whether the step has been named in a pipe.
    named: bool,
    /// When the line on the terminal was written, if one is there.
    written: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Terminal,
    Lines,
    Silent,
}

impl Progress {
    /// The work begins. `quiet` is the flag that asks for silence.
    pub fn begin(quiet: bool, looks: &Looks) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let way = match (quiet, terminal, looks.dumb) {
            (true, ..) => Way::Silent,
            (_, true, false) => Way::Terminal,
            // A terminal that cannot erase gets what a log gets.
            _ => Way::Lines,
        };
        Self { begun: Instant::now(), way, style: looks.stderr(), step: String::new(), named: false, written: None }
    }

    /// The next step begins.
    pub fn step(&mut self, name: impl Into<String>) {
        (self.step, self.named) = (name.into(), false);
        self.look("");
    }

    /// Says what it is at, if it is time to. `detail` changes too often for a log.
    pub fn look(&mut self, detail: &str) {
        let now = Instant::now();
        if let Some(text) = self.due(now, detail) {
            // Nobody may be there to see it.
            nix::unistd::write(std::io::stderr(), text.as_bytes()).ok();
        }
    }

    /// How long a wait may last until there is something to say; `None` if there will be nothing.
    pub fn next(&self) -> Option<Duration> {
        match self.way {
            Way::Silent => None,
            Way::Lines if self.named => None,
            _ => Some(PATIENCE.saturating_sub(self.begun.elapsed()).max(RHYTHM)),
        }
    }

    fn due(&mut self, now: Instant, detail: &str) -> Option<String> {
        if now.duration_since(self.begun) < PATIENCE || self.step.is_empty() {
            return None;
        }
        match self.way {
            Way::Lines if !self.named => {
                self.named = true;
                Some(format!("{} ...\n", self.step))
            }
            Way::Terminal if self.written.is_none_or(|at| now.duration_since(at) >= RHYTHM) => {
                self.written = Some(now);
                let gap = if detail.is_empty() { "" } else { ": " };
                let line = format!("{}{gap}{detail} {}", self.step, self.style.ellipsis());
                // One column is left free: a full line would go on in the next, and could not be erased.
                let narrow = Style { width: self.style.width.map(|width| width.saturating_sub(1)), ..self.style };
                Some(format!("\r\x1b[K{}", narrow.fit(&line)))
            }
            _ => None,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.written.is_some() {
            nix::unistd::write(std::io::stderr(), b"\r\x1b[K").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(way: Way) -> Progress {
        let style = Style { width: Some(20), ..Style::default() };
        Progress { begun: Instant::now(), way, style, step: String::new(), named: false, written: None }
    }

    #[test]
    fn what_is_over_soon_is_not_spoken_of() {
        for way in [Way::Terminal, Way::Lines] {
            let mut short = progress(way);
            short.step("a step");
            assert_eq!((short.due(short.begun + PATIENCE / 2, ""), short.named, short.written), (None, false, None));
        }
    }

    #[test]
    fn a_log_has_a_line_for_each_step() {
        let mut long = progress(Way::Lines);
        long.step = "first".into();
        let late = long.begun + PATIENCE;
        assert_eq!(long.due(late, "1 of 9").as_deref(), Some("first ...\n"));
        assert_eq!((long.due(late + PATIENCE, "2 of 9"), long.next()), (None, None));
        (long.step, long.named) = ("second".into(), false);
        assert_eq!(long.due(late, "").as_deref(), Some("second ...\n"));
    }

    #[test]
    fn a_terminal_has_one_line_that_fits() {
        let mut long = progress(Way::Terminal);
        long.step = "first".into();
        let late = long.begun + PATIENCE;
        assert_eq!(long.due(late, "1 of 9").as_deref(), Some("\r\x1b[Kfirst: 1 of 9 ..."));
        assert_eq!(long.due(late + RHYTHM / 2, "2 of 9"), None);
        assert_eq!(long.due(late + RHYTHM, "20000 of 90000").as_deref(), Some("\r\x1b[Kfirst: 20000 of ..."));
        long.written = None;
        let mut silent = progress(Way::Silent);
        silent.step = "first".into();
        assert_eq!((silent.due(late, ""), silent.next()), (None, None));
    }
}
