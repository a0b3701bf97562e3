//! Pages for man(1), in the language of man(7): one for rrun and one for each command.
//!
//! They come from the table that the parser reads, as `--help` does, so that they cannot promise what is not there. What a page has
//! beside that are the parts that a reader of man pages looks for: exit status, environment, files, and where to go on.

use super::help::usage_of;
use super::table::{Command, Flag, GLOBAL, Group, HELP, Takes, commands};

/// What rrun is, in a line.
const ABOUT: &str = "run containers from OCI bundles: a directory with config.json and a root filesystem";

/// What it reads of its environment.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("RRUN_STRICT", "Make each warning an error, as --strict does"),
    ("XDG_RUNTIME_DIR", "Where a user who is not root keeps state"),
    ("NO_COLOR, CLICOLOR_FORCE, TERM", "Whether to paint what people read, unless --color says it"),
    ("LC_ALL, LC_CTYPE, LANG", "Whether symbols outside ASCII may be used"),
    ("LISTEN_FDS, LISTEN_PID", "Descriptors that are passed on to the container (sd_listen_fds(3))"),
    ("NOTIFY_SOCKET", "Where the container says that it is ready (sd_notify(3))"),
];

/// The files that it knows.
const FILES: [(&str, &str); 4] = [
    ("config.json", "In the bundle: what the container is made of, and what it may do"),
    ("/run/rrun", "The state of root's containers, unless --root names another directory"),
    ("/etc/rrun/audit", "Keep an audit log for all commands; a directory, or a file that names one"),
    ("/etc/rrun-lab", "This machine is for labs: those that may harm it run without --i-am-a-lab-vm"),
];

/// All pages, with the names of their files.
pub fn pages() -> Vec<(String, String)> {
    let all = commands().map(|command| (format!("rrun-{}.1", command.name), page(command)));
    std::iter::once(("rrun.1".to_owned(), first())).chain(all).collect()
}

/// rrun(1).
fn first() -> String {
    let mut text = head("rrun", ABOUT);
    text += &section("SYNOPSIS", &(bold("rrun") + " [GLOBAL FLAGS] COMMAND [FLAGS] [OPERANDS]\n"));
    let more = "Each command has a page of its own and prints its flags with --help. rrun help WORD explains an error code, a \
                finding, a lab, or a key of config.json.";
    text += &section("DESCRIPTION", &format!("{}\n.PP\n{}\n", roff(&sentence(ABOUT)), roff(more)));
    text += &section("GLOBAL FLAGS", &flags(GLOBAL.iter().chain(&HELP)));
    for (group, title) in [(Group::Runtime, "COMMANDS OF THE RUNTIME"), (Group::Understand, "COMMANDS TO UNDERSTAND")] {
        let one = |c: &Command| entry(&format!(".BR rrun\\-{} (1)", c.name), c.about);
        text += &section(title, &commands().filter(|c| c.group == group).map(one).collect::<String>());
    }
    text += &statuses(None);
    let list = |rows: &[(&str, &str)]| rows.iter().map(|(name, about)| entry(&bold(name), about)).collect::<String>();
    text += &section("ENVIRONMENT", &list(&ENVIRONMENT));
    text += &section("FILES", &list(&FILES));
    text += &examples(["@ run ./bundle", "@ plan ./bundle"]);
    text + &section("SEE ALSO", ".BR rrun\\-errors (7),\n.BR namespaces (7),\n.BR cgroups (7),\n.BR capabilities (7)\n")
}

/// The page of a command.
fn page(command: &'static Command) -> String {
    let usage = usage_of("rrun [GLOBAL FLAGS]", command);
    let mut text = head(&format!("rrun-{}", command.name), command.about);
    text += &section("SYNOPSIS", &(bold("rrun") + &roff(usage.strip_prefix("rrun").unwrap_or(&usage)) + "\n"));
    text += &section("DESCRIPTION", &(roff(&sentence(command.about)) + "\n"));
    text += &section("FLAGS", &flags(command.all_flags().chain(&HELP)));
    text += &statuses(Some(command));
    text += &examples(command.examples);
    text + &section("SEE ALSO", ".BR rrun (1),\n.BR rrun\\-errors (7)\n")
}

/// With what a command ends; `None`: what holds for all.
fn statuses(command: Option<&Command>) -> String {
    let failed = ("1", "It failed; the message says why and what to do");
    let rows: &[(&str, &str)] = match command.map_or("", |command| command.name) {
        "run" => &[
            ("N", "That of the container's program; 128+N if signal N ended it. With --detach 0"),
            ("1", "rrun failed; with --exit-style env 125, 126 or 127"),
        ],
        "exec" => &[("N", "That of the program; 128+N if signal N ended it. With --detach 0"), ("255", "rrun failed")],
        "trace" => &[("N", "That of the program; 0 for a container that ran already"), failed],
        "explain" => &[("0", "The score is not above --threshold"), ("1", "It is above; or rrun failed, and says why on stderr")],
        "lab" => &[
            ("0", "OFF shows the effect and ON does not"),
            ("1", "It was otherwise"),
            ("77", "This host cannot show it; the reason is printed"),
            ("128+N", "Signal N ended the lab, and it was cleaned up"),
        ],
        "doctor" => &[("0", "Containers can run here"), ("1", "Something that is needed is missing")],
        _ => &[("0", "It is done"), failed],
    };
    let mut text: String = rows.iter().map(|(status, about)| entry(&bold(status), about)).collect();
    let usage = |about| entry(&bold("2"), about);
    match command.map(|command| command.group) {
        Some(Group::Understand) => text += &usage("The command line was wrong"),
        Some(Group::Runtime) => {}
        None => {
            text += &usage("The command line of a command to understand was wrong");
            text += ".PP\nThe pages of run, exec, trace, explain, lab and doctor say what theirs are.\n";
        }
    }
    section("EXIT STATUS", &text)
}

fn head(name: &str, about: &str) -> String {
    let title = roff(name);
    format!(".TH {title} 1 \"\" \"rrun {}\"\n.SH NAME\n{title} \\- {}\n", env!("CARGO_PKG_VERSION"), roff(about))
}

fn section(title: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(".SH {title}\n{text}") }
}

/// A term in the margin, and what it means. The term is roff, the text is not.
fn entry(term: &str, about: &str) -> String {
    format!(".TP\n{term}\n{}\n", roff(about))
}

fn flags<'a>(all: impl Iterator<Item = &'a Flag>) -> String {
    let one = |flag: &Flag| {
        let short = flag.short.map_or_else(String::new, |short| bold(&format!("-{short}")) + ", ");
        let (value, words) = match flag.takes {
            Takes::Nothing => ("", String::new()),
            Takes::Text(name) | Takes::Texts(name) | Takes::Number(name) => (name, String::new()),
            Takes::OneOf(words) => ("WORD", format!(" [possible values: {}]", words.join(", "))),
        };
        let value = if value.is_empty() { String::new() } else { format!(" \\fI{value}\\fR") };
        entry(&(short + &bold(&format!("--{}", flag.long)) + &value), &(flag.help.to_owned() + &words))
    };
    all.filter(|flag| !flag.help.is_empty()).map(one).collect()
}

fn examples(lines: [&str; 2]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| roff(&line.replace('@', "rrun"))).collect();
    section("EXAMPLES", &format!(".EX\n{}\n.EE\n", lines.join("\n")))
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", roff(text))
}

/// A line of the help as a sentence.
fn sentence(line: &str) -> String {
    let mut letters = line.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect::<String>() + ".")
}

/// Text that man(7) takes for text: a line may not begin with a dot or an apostrophe, a backslash starts an escape.
pub fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let line = |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_has_what_a_reader_looks_for() {
        let pages = pages();
        assert_eq!(pages.len(), commands().count() + 1);
        for (name, text) in &pages {
            let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
            for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                assert_eq!(titles.iter().filter(|t| **t == title).count(), 1, "{name}: {title}");
            }
            // An unknown request would be passed over in silence.
            let known = [".TH", ".SH", ".TP", ".PP", ".EX", ".EE", ".BR"];
            let requests = text.lines().filter(|line| line.starts_with('.')).filter_map(|line| line.split(' ').next());
            requests.for_each(|request| assert!(known.contains(&request), "{name}: {request}"));
        }
    }

    #[test]
    fn flags_and_statuses_are_those_of_the_command() {
        let page = |name: &str| page(commands().find(|c| c.name == name).expect("a command"));
        let run = page("run");
        assert!(run.contains(".SH SYNOPSIS\n\\fBrrun\\fR [GLOBAL FLAGS] run [FLAGS] ID|BUNDLE\n"), "{run}");
        assert!(run.contains(".TP\n\\fB\\-b\\fR, \\fB\\-\\-bundle\\fR \\fIDIR\\fR\nThe bundle"), "{run}");
        assert!(
            run.contains("[possible values: runc, env]") && run.contains("128+N") && !run.contains("The command line was wrong")
        );
        assert!(page("exec").contains("\\fB255\\fR\n"));
        #[cfg(feature = "workshop")]
        assert!(page("lab").contains("\\fB77\\fR\n") && page("lab").contains("\\fB2\\fR\nThe command line was wrong"));
        assert!(!first().contains("criu"), "what is hidden from the help is hidden here");
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(roff(".x\n'y\n-z \\n"), "\\&.x\n\\&'y\n\\-z \\en");
    }
}
