//! Profiles that leave rrun itself too little: an error that names the call, before anything runs, or after the refusal.

use serde_json::json;

use super::program::program;
use super::{THREE, allow_but, bundle, rule};

/// A profile that kills for execve kills every program before its first instruction: peers end with 159 and no word.
pub fn a_profile_that_kills_execve_is_refused() {
    for (action, verdict) in [("KILL", "kill thread"), ("KILL_PROCESS", "kill process"), ("TRAP", "trap")] {
        for no_new_privileges in [true, false] {
            let mut b = bundle(&program(&THREE), allow_but(vec![rule("execve", action)]));
            b.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            let done = b.run();
            done.fails_with(&format!("unable to init seccomp: the profile denies execve ({verdict}), which starting needs"));
            done.fails_with("add execve with SCMP_ACT_ALLOW to linux.seccomp.syscalls");
            assert_eq!(b.write().rrun(["create", &b.id]).code, 1);
            b.assert_no_trace();
        }
    }
    let nothing = json!({"defaultAction": "SCMP_ACT_KILL"});
    bundle(&program(&THREE), nothing).run().fails_with("the profile denies execve (kill thread)");
    // Whether this one kills depends on what is executed.
    let mut depends = rule("execve", "KILL");
    depends["args"] = json!([{"index": 2, "op": "SCMP_CMP_EQ", "value": 0}]);
    bundle(&program(&THREE), allow_but(vec![depends])).run().ok();
}

/// A call that is killed for has no part in the start where it is not made.
pub fn a_profile_may_kill_what_the_start_does_not_need() {
    let mut b = bundle(&program(&THREE), allow_but(vec![rule("setresuid", "KILL"), rule("recvmsg", "KILL")]));
    b.run().ok();
    b.config["process"]["noNewPrivileges"] = json!(false);
    b.run().fails_with("the profile denies setresuid (kill thread), which starting needs");
}

pub fn a_refused_execve_is_explained() {
    let mut b = bundle(&program(&THREE), allow_but(vec![rule("execve", "ERRNO")]));
    for no_new_privileges in [true, false] {
        b.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        // The engines' words first: they conclude status 126 from them.
        let done = b.run();
        done.fails_with("exec /bin/calls: operation not permitted");
        done.fails_with("the profile refuses execve; allow it with SCMP_ACT_ALLOW in linux.seccomp.syscalls");
        b.create();
        let done = b.rrun(["start", &b.id]);
        done.fails_with("exec /bin/calls: operation not permitted");
        done.fails_with("the profile refuses execve");
        b.rrun(["delete", "--force", &b.id]).ok();
    }
}

pub fn a_call_refused_on_the_way_is_named() {
    let mut b = bundle(&program(&THREE), allow_but(vec![rule("capset", "ERRNO")]));
    b.run().ok();
    b.config["process"]["noNewPrivileges"] = json!(false);
    let done = b.run();
    done.fails_with("operation not permitted");
    done.fails_with("likely cause: the profile refuses capset; allow it");
    b.assert_no_trace();
}

pub fn a_death_on_the_way_is_explained() {
    let mut b = bundle(&program(&THREE), allow_but(vec![rule("newfstatat", "KILL_PROCESS")]));
    b.run().ok();
    b.config["process"]["noNewPrivileges"] = json!(false);
    let done = b.run();
    done.fails_with("container init was killed by SIGSYS");
    done.fails_with("likely cause: the profile kills for newfstatat");
    b.assert_no_trace();
}

/// The agent's descriptor is sent by sendmsg: that call would wait for the agent for ever.
pub fn sendmsg_cannot_wait_for_the_listener() {
    let mut b = bundle(&program(&THREE), allow_but(vec![rule("sendmsg", "NOTIFY")]));
    b.config["linux"]["seccomp"]["listenerPath"] = json!(b.scratch("agent"));
    b.run().fails_with("SCMP_ACT_NOTIFY cannot be used for the sendmsg syscall");
}
