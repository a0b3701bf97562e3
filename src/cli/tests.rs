//! Every command line that engines send is parsed here, and what is wrong with
//! a line is said in the words that runc uses. Facts about the machine are made up, so that the tests run as anybody,
//! anywhere.

use super::*;

fn around() -> Surroundings {
    Surroundings {
        name: "rrun",
        cwd: Some("/work/dir".into()),
        runtime_dir: None,
        rootless: false,
        strict: false,
        looks: Looks::default(),
        is_bundle: |dir| dir.ends_with("web"),
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn parse_in(line: &str, around: &Surroundings) -> std::result::Result<(Global, Verb), Refused> {
    let (global, rest) = global(&words(line), around)?;
    let verb = verb(&global, rest, around)?;
    Ok((global, verb))
}

#[track_caller]
fn parse(line: &str) -> (Global, Verb) {
    parse_in(line, &around()).unwrap_or_else(|refused| panic!("{line}: {}", refused.error))
}

#[track_caller]
fn refusal(line: &str) -> String {
    match parse_in(line, &around()) {
        Err(refused) => refused.error.to_string(),
        Ok(parsed) => panic!("{line} gives {parsed:?}"),
    }
}

#[test]
fn containerd_and_docker() {
    let before = "--root /r --debug --log /l --log-format json --systemd-cgroup --rootless=true";
    for line in [
        "create --bundle /b --pid-file /p --console-socket /s --pidfd-socket /q --no-pivot --no-new-keyring --preserve-fds 2 c1",
        "run --bundle /b --pid-file /p --detach c1",
        "start c1",
        "state c1",
        "pause c1",
        "resume c1",
        "kill --all c1 9",
        "kill c1 15",
        "delete --force c1",
        "delete c1",
        "list --format=json",
        "ps --format json c1",
        "ps --format table c1 -ef",
        "events --stats c1",
        "events --interval=5s c1",
        "update --resources=- c1",
        "features",
        "--version",
    ] {
        let (global, _) = parse(&format!("{before} {line}"));
        assert_eq!((global.root.to_str(), global.debug, global.log_json), (Some("/r"), true, true), "{line}");
        assert_eq!((global.driver, global.rootless), (Driver::Systemd, Some(true)), "{line}");
        parse(line);
    }
}

#[test]
fn every_flag_of_create_arrives() {
    let line = "create --bundle /b --pid-file p --console-socket /s --pidfd-socket /q --no-pivot --no-new-keyring --preserve-fds 2 \
                --narrate --layer /a,b --layer /c --overlay --overlay-size 8m --keep-layer k c1";
    let (_, Verb::Create(args)) = parse(line) else { panic!("not create") };
    let CreateArgs { id, bundle, console_socket, pidfd_socket, pid_file, no_pivot, no_new_keyring, preserve_fds, .. } = args;
    let (narrate, layers) = (args.narrate, args.layers);
    assert_eq!((id.as_deref(), args.recorder, args.net_of), (Some("c1"), None, None));
    let paths = [bundle, console_socket, pidfd_socket, pid_file, layers.keep].map(|p| p.expect("given"));
    assert_eq!(paths.map(|p| p.display().to_string()), ["/b", "/s", "/q", "/work/dir/p", "/work/dir/k"]);
    assert!(no_pivot && no_new_keyring && narrate && layers.overlay);
    assert_eq!((preserve_fds, layers.size.as_deref()), (2, Some("8m")));
    assert_eq!(layers.layers, [Path::new("/a,b"), Path::new("/c")]);
}

#[test]
fn every_flag_of_run_arrives() {
    let (_, Verb::Run(args)) = parse("run -d --keep -no-subreaper --net-of web -b /b c1") else { panic!("not run") };
    assert!(args.detach && args.keep && args.no_subreaper);
    assert_eq!(args.create.net_of.as_deref(), Some("web"));
    assert_eq!(args.create.bundle.as_deref(), Some(Path::new("/b")));
    let (_, Verb::Run(args)) = parse("run --detach=false --keep=0 --no-subreaper=f c1") else { panic!("not run") };
    assert!(!args.detach && !args.keep && !args.no_subreaper);
}

#[test]
fn conmon_podman_and_crio() {
    for line in [
        "--systemd-cgroup --log-format=json --log /l create --bundle /b --pid-file /p --no-new-keyring --preserve-fds 1 --console-socket /s c1",
        "--log-format=json --log /l --cgroup-manager disabled create --bundle /b --pid-file /p c1",
        "start c1",
        "kill --all c1 9",
        "kill -a c1 9",
        "kill c1 SIGTERM",
        "delete --force c1",
        "update --resources=/f c1",
        "--root /r update --resources - c1",
        "--root /r --systemd-cgroup state c1",
        "--root /r features",
    ] {
        parse(line);
    }
    assert_eq!(parse("--cgroup-manager disabled create c1").0.driver, Driver::Disabled);
    assert_eq!(parse("--cgroup-manager=systemd create c1").0.driver, Driver::Systemd);
    assert_eq!(parse("--systemd-cgroup=false create c1").0.driver, Driver::Cgroupfs);
    assert!(refusal("--systemd-cgroup --cgroup-manager cgroupfs create c1").contains("contradicts"));
}

#[test]
fn the_arguments_of_ps_belong_to_ps() {
    let (_, Verb::Ps(args)) = parse("ps -f=json c1 -e -o pid --format x") else { panic!("not ps") };
    assert_eq!(args.format, Format::Json);
    assert_eq!(args.options, ["-e", "-o", "pid", "--format", "x"]);
}

#[test]
fn the_arguments_of_kill_delete_list_and_spec() {
    let (_, Verb::Kill(args)) = parse("kill c1") else { panic!("not kill") };
    assert_eq!((args.signal, args.all), (None, false));
    let (_, Verb::Kill(args)) = parse("kill -all c1 USR1") else { panic!("not kill") };
    assert_eq!((args.signal.as_deref(), args.all), (Some("USR1"), true));
    assert!(matches!(parse("delete -f c1").1, Verb::Delete(DeleteArgs { force: true, .. })));
    assert!(matches!(parse("list -q").1, Verb::List(ListArgs { quiet: true, format: Format::Table })));
    let (_, Verb::Spec(args)) = parse("spec --rootless -b x") else { panic!("not spec") };
    assert_eq!((args.bundle.as_deref(), args.rootless), (Some(Path::new("/work/dir/x")), true));
    let (_, Verb::Plan(args)) = parse("plan --json --overlay ../web") else { panic!("not plan") };
    assert_eq!(
        (args.create.bundle.as_deref(), args.json, args.create.layers.overlay),
        (Some(Path::new("/work/web")), true, true)
    );
    assert!(matches!(parse("plan").1, Verb::Plan(PlanArgs { json: false, .. })));
}

#[test]
fn the_arguments_of_update_and_events() {
    let update = |line: &str| match parse(line).1 {
        Verb::Update(args) => *args,
        other => panic!("{other:?}"),
    };
    assert_eq!(update("update -r - c1").resources, Resources::Stdin);
    assert_eq!(update("update --resources=x c1").resources, Resources::File("/work/dir/x".into()));
    let flags = "--blkio-weight 10 --cpu-period 1 --cpu-quota -1 --cpu-burst 2 --cpu-share 3 --cpu-rt-period 4 --cpu-rt-runtime 5 \
                 --cpu-idle 1 --cpuset-cpus 0-1 --cpuset-mems 0 --memory 64m --memory-reservation 1.5k --memory-swap -1 --pids-limit 0";
    let Resources::Flags(limits) = update(&format!("update {flags} c1")).resources else { panic!("no flags") };
    let expected = serde_json::json!({
        "blockIO": {"weight": 10}, "pids": {"limit": 0}, "memory": {"limit": 64 << 20, "reservation": 1536, "swap": -1},
        "cpu": {"period": 1, "quota": -1, "burst": 2, "shares": 3, "realtimePeriod": 4, "realtimeRuntime": 5, "idle": 1,
                "cpus": "0-1", "mems": "0"},
    });
    assert_eq!(serde_json::to_value(&limits).expect("JSON"), expected);
    let args = update("update --l3-cache-schema L3:0=f --mem-bw-schema= --kernel-memory 5 c1");
    assert_eq!(
        (args.l3_cache_schema.as_deref(), args.mem_bw_schema.as_deref(), args.kernel_memory),
        (Some("L3:0=f"), None, true)
    );
    assert_eq!(args.resources, Resources::Flags(Box::default()));
    for one in flags.split("--").skip(1) {
        assert!(refusal(&format!("update -r - --{one} c1")).contains("exclude each other"), "{one}");
    }
    for (line, flag) in [("--memory 10xm", "memory"), ("--cpu-period -1", "cpu-period"), ("--blkio-weight 70000", "blkio-weight")]
    {
        assert!(refusal(&format!("update {line} c1")).ends_with(&format!("for --{flag}")), "{line}");
    }
    assert!(refusal("update --kernel-memory nonsense c1").contains("--kernel-memory"));
    let Verb::Events(args) = parse("events --interval 1m30s c1").1 else { panic!("not events") };
    assert_eq!((args.interval, args.stats), (Duration::from_secs(90), false));
    assert_eq!(refusal("events --interval 0s c1"), "duration interval must be greater than 0");
    assert_eq!(refusal("events --interval 5 c1"), "invalid value \"5\" for --interval");
}

#[test]
fn counts_of_arguments_in_the_words_of_runc() {
    for (line, text) in [
        ("start", "rrun: \"start\" requires exactly 1 argument(s)"),
        ("start a b", "rrun: \"start\" requires exactly 1 argument(s)"),
        ("list x", "rrun: \"list\" requires exactly 0 argument(s)"),
        ("ps", "rrun: \"ps\" requires a minimum of 1 argument(s)"),
        ("kill", "rrun: \"kill\" requires a minimum of 1 argument(s)"),
        ("kill a b c", "rrun: \"kill\" requires a maximum of 2 argument(s)"),
    ] {
        assert_eq!(refusal(line), text);
    }
    let Err(refused) = parse_in("delete c1 --fore", &around()) else { panic!("accepted") };
    assert_eq!(refused.error.hint_text(), Some("--fore is no flag of delete"));
    assert_eq!((refused.usage.as_str(), refused.status), ("rrun delete [FLAGS] ID", 1));
    let Err(refused) = parse_in("exec --nope c1 ls", &around()) else { panic!("accepted") };
    assert_eq!(refused.status, 255);
}

#[test]
fn says_what_is_wrong_with_a_word() {
    assert_eq!(refusal("strat c1"), "unknown command \"strat\"");
    assert_eq!(refusal("run --bundle"), "flag needs an argument: --bundle");
    assert_eq!(refusal("--nope list"), "flag provided but not defined: -nope");
    assert_eq!(refusal("create --preserve-fds x c1"), "invalid value \"x\" for --preserve-fds");
    assert_eq!(refusal("create --preserve-fds -1 c1"), "invalid value \"-1\" for --preserve-fds");
    assert_eq!(refusal("list -f yaml"), "invalid value \"yaml\" for --format");
    #[cfg(feature = "workshop")]
    assert_eq!(refusal("stats --json --format table"), "--json and --format table contradict each other");
    #[cfg(feature = "workshop")]
    parse("diff --json --format json c1");
    assert_eq!(refusal("--rootless maybe list"), "invalid value \"maybe\" for --rootless");
    assert_eq!(refusal("--log-format xml list"), "invalid value \"xml\" for --log-format");
    assert!(refusal("").contains("a command is missing"));
    let hint = |line: &str| parse_in(line, &around()).expect_err(line).error.hint_text().map(String::from);
    assert_eq!(hint("strat c1").as_deref(), Some("did you mean start?"));
    assert_eq!(hint("list -f yaml").as_deref(), Some("use one of: table, json"));
}

#[test]
fn the_state_root() {
    let root = |line: &str, around: &Surroundings| parse_in(line, around).expect(line).0.root;
    assert_eq!(root("list", &around()), Path::new("/run/rrun"));
    assert_eq!(root("--root ../x/./y//z/ list", &around()), Path::new("/work/x/y/z"));
    for line in ["--root / list", "--root /a/.. list", "--root ../.. list"] {
        assert!(refusal(line).contains("--root may not be /"), "{line}");
    }
    let login = Surroundings { runtime_dir: Some("/run/user/7".into()), ..around() };
    assert_eq!(root("list", &login), Path::new("/run/rrun"), "root's own login does not count");
    assert_eq!(root("--rootless=true list", &login), Path::new("/run/user/7/rrun"));
    let rootless = Surroundings { rootless: true, ..login };
    assert_eq!(root("list", &rootless), Path::new("/run/user/7/rrun"));
    assert_eq!(root("--rootless auto list", &rootless), Path::new("/run/user/7/rrun"));
    assert_eq!(root("--root /x list", &rootless), Path::new("/x"));
}

#[test]
fn without_a_current_directory_only_absolute_paths_work() {
    let nowhere = Surroundings { cwd: None, ..around() };
    assert!(parse_in("--root /x create -b /b c1", &nowhere).is_ok());
    let refused = parse_in("create -b b c1", &nowhere).expect_err("relative");
    assert!(refused.error.to_string().contains("the current directory is gone"));
}

#[test]
fn the_operand_of_run_is_a_bundle_where_nothing_else_can_be_meant() {
    let run = |line: &str, cwd: &str| match parse_in(line, &Surroundings { cwd: Some(cwd.into()), ..around() }).expect(line).1 {
        Verb::Run(args) => (args.create.id, args.create.bundle.map(|b| b.display().to_string())),
        other => panic!("{other:?}"),
    };
    let bundle = |path: &str| (None, Some(path.to_owned()));
    assert_eq!(run("run ./x", "/w"), bundle("/w/x"));
    assert_eq!(run("run /srv/x", "/w"), bundle("/srv/x"));
    assert_eq!(run("run web", "/w"), bundle("/w/web"));
    assert_eq!(run("run c1", "/w"), (Some("c1".into()), None));
    // In a bundle, or with --bundle, it is runc's id.
    assert_eq!(run("run web", "/srv/web"), (Some("web".into()), None));
    assert_eq!(run("run -b /b web", "/w"), (Some("web".into()), Some("/b".into())));
}

#[test]
fn levels_of_the_log() {
    let level = |line: &str| {
        let global = parse(line).0;
        (global.debug, global.silent)
    };
    assert_eq!(level("list"), (false, false));
    assert_eq!(level("--debug list"), (true, false));
    assert_eq!(level("--log-level debug list"), (true, false));
    assert_eq!(level("--log-level=info list"), (false, false));
    assert_eq!(level("--log-level error list"), (false, true));
    assert!(parse("--criu /x list").0.criu && !parse("list").0.criu);
    assert!(parse("--strict list").0.strict && !parse("list").0.strict);
    assert!(parse_in("list", &Surroundings { strict: true, ..around() }).expect("parses").0.strict);
}

#[test]
fn help_and_version_need_nothing_else() {
    assert!(matches!(parse("-v").1, Verb::Version));
    for (line, text) in [
        ("-h", "Global flags:"),
        ("--help list", "Global flags:"),
        ("help", "Understand:"),
        #[cfg(feature = "workshop")]
        ("help", "Print the help of a command, an error code, a finding, a lab, or a key of config.json"),
        ("run -h", "--no-subreaper"),
        ("help kill", "kill web KILL"),
        ("help update", "--memory-swap"),
    ] {
        let Verb::Help(help) = parse(line).1 else { panic!("{line}") };
        assert!(help.starts_with("Examples:\n") && help.contains(text), "{line}: {help}");
        assert!(!help.contains("--criu") && !help.contains("--all") && !help.contains("kernel"), "{line}: {help}");
    }
}

#[test]
fn each_example_of_the_help_parses() {
    for command in table::commands() {
        for example in command.examples {
            let line = example.split('|').next().unwrap_or_default().trim_start_matches('@');
            parse(line);
        }
    }
}

/// A flag that is parsed and dropped is a restriction that its caller believes in. What each does is tested where it is done;
/// here, that none is lost on the way.
#[test]
fn every_flag_changes_what_is_meant() {
    let flags = |command: &'static Command| command.all_flags().map(move |flag| (Some(command), flag));
    for (command, flag) in GLOBAL.iter().map(|flag| (None, flag)).chain(table::commands().flat_map(flags)) {
        let values: Vec<String> = match flag.takes {
            table::Takes::Nothing => vec![String::new()],
            table::Takes::Number(_) => vec!["=7".into()],
            table::Takes::OneOf(words) => words.iter().map(|word| format!("={word}")).collect(),
            // What is a good value for one of these flags.
            table::Takes::Text(_) | table::Takes::Texts(_) => ["=7", "=/x", "=a:b", "=7s"].map(String::from).to_vec(),
        };
        let meaning = |given: &str| {
            let line = match command {
                None => format!("{given} list"),
                Some(command) if command.name == "exec" => format!("exec {given} c1 ls"),
                Some(command) if command.name == "tree" => format!("tree {given} c1"),
                Some(command) if command.name == "lab" => format!("lab run {given} userns"),
                Some(command) => format!("{} {given} {}", command.name, "c1 ".repeat(command.count.0)),
            };
            parse_in(&line, &around()).ok().map(|parsed| format!("{parsed:?}"))
        };
        let plain = meaning("").expect("parses without it");
        let changed = values.iter().any(|value| meaning(&format!("--{}{value}", flag.long)).is_some_and(|with| with != plain));
        // --process takes the place of the program on the command line.
        assert!(changed || flag.long == "process", "--{} of {:?} has no effect", flag.long, command.map(|c| c.name));
    }
}

#[test]
fn the_name_is_that_of_the_binary() {
    assert_eq!(name_of(Path::new("/usr/bin/runc")), "runc");
    assert_eq!(name_of(Path::new("./rrun")), "rrun");
    assert_eq!(name_of(Path::new("crun")), "rrun");
    let refused = parse_in("start", &Surroundings { name: "runc", ..around() }).expect_err("no id");
    assert_eq!(
        (refused.error.to_string().as_str(), refused.usage.as_str()),
        ("runc: \"start\" requires exactly 1 argument(s)", "runc start ID")
    );
}
