//! Everything that is shown of one subject, and its JSON form.
//!
//! The JSON document is the interface of pipelines: its keys are stable, numbers are numbers, and the version of the table says
//! which scores may be compared.

use serde_json::{Value, json};

use super::drift::{self, Drift};
use super::facts::{Facts, Sharing};
use super::fix;
use super::grade::{Finding, Grade, grade};
use super::policy::Policy;
use super::subject::Subject;
use super::table::{ALWAYS_SHARED, STRONGER, VERSION};
use crate::workshop::observed::namespaces::Kind;

/// One subject, judged.
pub struct Report {
    /// Who.
    pub subject: Subject,
    /// How it is judged.
    pub grade: Grade,
    /// What differs from its config.
    pub drift: Vec<Drift>,
    /// What was weighed otherwise.
    pub policy: Policy,
}

impl Report {
    /// Judges.
    pub fn new(subject: Subject, policy: Policy) -> Self {
        let grade = grade(&subject.facts, &policy);
        let drift = subject.asked.as_ref().map(|asked| drift::of(asked, &subject.facts)).unwrap_or_default();
        Self { subject, grade, drift, policy }
    }

    /// What fails, the costliest first.
    pub fn failing(&self) -> Vec<&Finding> {
        let mut failing: Vec<&Finding> = self.grade.findings.iter().filter(|f| f.fails()).collect();
        failing.sort_by_key(|f| std::cmp::Reverse((f.floor.is_some(), f.cost)));
        failing
    }

    /// What is good.
    pub fn passed(&self) -> impl Iterator<Item = &Finding> {
        self.grade.findings.iter().filter(|f| f.verdict.is_some() && !f.fails() && f.accepted.is_none())
    }

    /// The patch of config.json that repairs one finding; empty if there is no config, or if it takes a person.
    pub fn fix(&self, id: &str) -> Vec<Value> {
        let Some(config) = &self.subject.config else { return vec![] };
        let facts = self.subject.asked.as_ref().unwrap_or(&self.subject.facts).clone();
        fix::patch(config, [id], &|_: &Value| Facts::clone(&facts)).1
    }

    /// What no setting changes.
    pub fn shared() -> Vec<String> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel = format!("kernel {}", crate::log::value(release.trim()));
        [kernel].into_iter().chain(ALWAYS_SHARED.map(String::from)).collect()
    }

    /// The document of `--json`.
    pub fn json(&self) -> Value {
        let subject = &self.subject;
        let point = |tenths: u32| f64::from(tenths) / 10.0;
        let passed: Vec<&str> = self.passed().map(|f| f.check.id).collect();
        let absent: Vec<&str> = self.grade.findings.iter().filter(|f| f.verdict.is_none()).map(|f| f.check.id).collect();
        let accepted = self.grade.findings.iter().filter_map(|f| Some(json!({"id": f.check.id, "reason": f.accepted.as_ref()?})));
        let doors = self.grade.doors.iter().map(|d| json!({"id": d.id, "floor": point(d.floor), "reason": d.text}));
        let drift = self
            .drift
            .iter()
            .map(|d| json!({"id": d.id, "config": d.asked, "effective": d.effective, "weaker": d.weaker, "text": d.text}));
        let notes = subject.notes.iter().map(|n| json!({"id": n.id, "reason": n.text}));
        json!({
            "tableVersion": VERSION,
            "subject": {"name": subject.name, "place": subject.place, "status": subject.status, "configSha256": subject.hash},
            "score": point(self.grade.score),
            "level": self.grade.level(),
            "average": point(self.grade.average),
            "doors": doors.collect::<Vec<_>>(),
            "findings": self.failing().into_iter().map(|f| self.finding(f)).collect::<Vec<_>>(),
            "passed": passed,
            "notApplicable": absent,
            "accepted": accepted.collect::<Vec<_>>(),
            "expiredExceptions": self.policy.expired,
            "notes": notes.collect::<Vec<_>>(),
            "drift": drift.collect::<Vec<_>>(),
            "shared": Self::shared(),
            "stronger": STRONGER,
            "namespaces": self.namespaces(),
            "processes": subject.members.iter().map(|m| json!({"pid": m.pid, "containerPid": m.inner, "parent": m.parent, "name": m.name})).collect::<Vec<_>>(),
            "mounts": subject.facts.binds.iter().map(|b| json!({
                "source": super::shown(&b.source), "destination": super::shown(&b.target), "readOnly": b.read_only,
                "nosuid": b.nosuid, "nodev": b.nodev, "sensitive": b.is_sensitive(), "socket": b.is_socket(),
            })).collect::<Vec<_>>(),
        })
    }

    /// One finding of the document.
    pub fn finding(&self, f: &Finding) -> Value {
        let risk: Vec<&str> = f.check.risk.chars().map(risk_name).collect();
        json!({
            "id": f.check.id,
            "weight": f.weight,
            "badness": f64::from(f.badness()) / 100.0,
            "exposure": f64::from(f.cost) / 100.0,
            "floor": f.floor.map(|floor| f64::from(floor) / 10.0),
            "reason": f.reason(),
            "fix": self.fix(f.check.id),
            "refs": f.check.references(),
            "risk": risk,
        })
    }

    fn namespaces(&self) -> Value {
        let one = |kind: Kind| {
            let shared = match self.subject.facts.namespace(kind) {
                Sharing::Own => "own".to_owned(),
                Sharing::Host => "host".to_owned(),
                Sharing::With(whom) => whom.clone(),
                Sharing::Unknown => "unknown".to_owned(),
            };
            (kind.name().to_owned(), json!({"sharing": shared, "id": self.subject.ids[kind as usize]}))
        };
        Value::Object(Kind::ALL.into_iter().map(one).collect())
    }
}

impl Finding {
    /// What is wrong, in one line.
    pub fn reason(&self) -> String {
        match self.verdict.as_ref().map_or("", |v| v.reason.as_str()) {
            "" => self.check.what.to_owned(),
            reason if self.badness() > 0 => format!("{}: {reason}", self.check.what),
            reason => reason.to_owned(),
        }
    }
}

/// A letter of the table in full.
pub fn risk_name(letter: char) -> &'static str {
    match letter {
        'C' => "confidentiality",
        'I' => "integrity",
        _ => "availability",
    }
}

/// JSON for people to read, too.
pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("plain data has a JSON form") + "\n"
}
