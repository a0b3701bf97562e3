//! Resource limits and the out-of-memory score.

use serde_json::json;

use crate::support::*;

crate::tests![
    limits_are_as_given,
    every_type_is_limited,
    limits_are_as_given_in_a_user_namespace,
    what_cannot_be_set_is_refused,
    a_hard_limit_above_the_hosts_is_refused if host_may_raise_limits,
    the_score_is_as_given,
    a_score_below_the_hosts_is_refused if host_may_raise_limits,
];

fn host_may_raise_limits() -> Option<&'static str> {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let text = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("CapEff").trim();
    let sets = u64::from_str_radix(text, 16).expect("hex");
    (sets & 1 << 24 != 0).then_some("needs a host without CAP_SYS_RESOURCE")
}

fn limited(b: &mut Bundle) {
    b.config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 500, "hard": 501},
        {"type": "RLIMIT_RTTIME", "soft": 7, "hard": 8},
    ]);
    b.config["process"]["oomScoreAdj"] = json!(321);
}

fn assert_limited(b: &mut Bundle) {
    let w = b.witness();
    assert_eq!(w["rlimits"]["RLIMIT_NOFILE"], json!({"soft": 100, "hard": 200}));
    assert_eq!(w["rlimits"]["RLIMIT_CORE"], json!({"soft": 0, "hard": 0}));
    assert_eq!(w["rlimits"]["RLIMIT_NPROC"], json!({"soft": 500, "hard": 501}));
    assert_eq!(w["rlimits"]["RLIMIT_RTTIME"], json!({"soft": 7, "hard": 8}));
    assert_eq!(w["oom_score_adj"], 321);
}

fn limits_are_as_given() {
    let mut b = Bundle::new(&["witness"]);
    limited(&mut b);
    assert_limited(&mut b);
}

fn every_type_is_limited() {
    let mut b = Bundle::new(&["witness"]);
    let large = 1_u64 << 40;
    let limits = [
        ("AS", large),
        ("CORE", 1),
        ("CPU", 1000),
        ("DATA", large),
        ("FSIZE", large),
        ("LOCKS", 3),
        ("MEMLOCK", 4096),
        ("MSGQUEUE", 4097),
        ("NICE", 0),
        ("NOFILE", 64),
        ("NPROC", 1000),
        ("RSS", large),
        ("RTPRIO", 0),
        ("RTTIME", 5),
        ("SIGPENDING", 6),
        ("STACK", 1 << 23),
    ];
    let all = limits.map(|(name, n)| json!({"type": format!("RLIMIT_{name}"), "soft": n, "hard": n}));
    b.config["process"]["rlimits"] = json!(all);
    let w = b.witness();
    for (name, n) in limits {
        assert_eq!(w["rlimits"][format!("RLIMIT_{name}")], json!({"soft": n, "hard": n}), "{name}");
    }
}

fn limits_are_as_given_in_a_user_namespace() {
    let mut b = Bundle::new(&["witness"]);
    map_ids(&mut b.config, 0, u32::MAX);
    limited(&mut b);
    assert_limited(&mut b);
}

fn what_cannot_be_set_is_refused() {
    let mut b = Bundle::new(&["true"]);
    let one = json!({"type": "RLIMIT_NOFILE", "soft": 10, "hard": 10});
    b.config["process"]["rlimits"] = json!([one, one]);
    b.run().fails_with("rlimit RLIMIT_NOFILE is specified more than once");
    b.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 11, "hard": 10}]);
    b.run().fails_with("the soft limit 11 is above the hard limit 10");
    b.config["process"]["rlimits"] = json!([]);
    b.config["process"]["oomScoreAdj"] = json!(1001);
    b.run().fails_with("oomScoreAdj 1001 is not between -1000 and 1000");
}

fn a_hard_limit_above_the_hosts_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 1_000_000_000}]);
    b.run().fails_with("error setting rlimit RLIMIT_NOFILE to 10:1000000000: operation not permitted");
    b.assert_no_trace();
}

fn the_score_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    // Raising it is everybody's right.
    let own =
        std::fs::read_to_string("/proc/self/oom_score_adj").expect("the own score").trim().parse::<i64>().expect("a number");
    for score in [own.max(0), 1000] {
        b.config["process"]["oomScoreAdj"] = json!(score);
        assert_eq!(b.witness()["oom_score_adj"], score);
    }
}

fn a_score_below_the_hosts_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["oomScoreAdj"] = json!(-1000);
    b.run().fails_with("failed to set oom_score_adj to -1000: permission denied");
}
