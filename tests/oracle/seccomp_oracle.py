#!/usr/bin/python3
"""Asks libseccomp (python3-seccomp) what filter it makes of a profile.

    seccomp_oracle.py random SEED COUNT [ARCH...]   random profiles
    seccomp_oracle.py compile < PROFILE...          one linux.seccomp document per line of standard input

For each profile one line of JSON: {"profile": ..., "filter": hex of struct sock_filter, "little": bool, "ends": {arch: highest
number that the profile names}} or {"profile": ..., "error": text}. The way from profile to rules is runc's: a rule with the
default action is left out, conditions that share an argument are separate rules.
"""
import json, random, sys, tempfile

import seccomp
from seccomp import Arch, Arg, Attr, SyscallFilter

OPERATORS = {"SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_LT": seccomp.LT, "SCMP_CMP_LE": seccomp.LE, "SCMP_CMP_EQ": seccomp.EQ,
             "SCMP_CMP_GE": seccomp.GE, "SCMP_CMP_GT": seccomp.GT, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}
LITTLE = ["X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64", "PPC64LE", "MIPSEL", "MIPSEL64", "MIPSEL64N32"]
BIG = ["PPC64", "PPC", "S390X", "S390", "MIPS", "MIPS64", "MIPS64N32", "PARISC", "PARISC64"]


def action(name, number):
    number = 1 if number is None else number
    return {"SCMP_ACT_KILL": seccomp.KILL, "SCMP_ACT_KILL_THREAD": seccomp.KILL, "SCMP_ACT_KILL_PROCESS": seccomp.KILL_PROCESS,
            "SCMP_ACT_TRAP": seccomp.TRAP, "SCMP_ACT_ERRNO": seccomp.ERRNO(number), "SCMP_ACT_TRACE": seccomp.TRACE(number),
            "SCMP_ACT_LOG": seccomp.LOG, "SCMP_ACT_ALLOW": seccomp.ALLOW, "SCMP_ACT_NOTIFY": seccomp.NOTIFY}[name]


def arch(name):
    return getattr(Arch, name.removeprefix("SCMP_ARCH_"))


def argument(a):
    # MASKED_EQ: the mask, then the value. The others have one operand.
    return Arg(a["index"], OPERATORS[a["op"]], a["value"], a.get("valueTwo", 0))


def add(target, rule, default):
    what = action(rule["action"], rule.get("errnoRet"))
    if what == default:
        return
    for name in rule["names"]:
        try:
            number = seccomp.resolve_syscall(Arch.NATIVE, name)
        except ValueError:
            continue
        if number == -1:
            continue
        args = rule.get("args", [])
        indices = [a["index"] for a in args]
        split = len(set(indices)) != len(indices)
        for group in ([[a] for a in args] if split else [args]):
            target.add_rule(what, number, *map(argument, group))


def ends(profile, archs):
    names = [n for rule in profile.get("syscalls", []) for n in rule["names"]]
    found = {}
    for name in archs:
        numbers = [n for n in (resolve(arch(name), call) for call in names) if n >= 0]
        if numbers:
            found[name] = max(n for n in numbers)
    return found


def resolve(on, call):
    try:
        return seccomp.resolve_syscall(on, call)
    except ValueError:
        return -1


def compiled(profile):
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    archs = [a.removeprefix("SCMP_ARCH_") for a in profile.get("architectures", [])]
    target = SyscallFilter(default)
    target.set_attr(Attr.CTL_OPTIMIZE, 2)
    big = any(a in BIG for a in archs)
    for name in archs:
        if big and target.exist_arch(Arch.NATIVE):
            # One filter has one byte order: leave the native architecture before the first of the other order.
            target.remove_arch(Arch.NATIVE)
        if not target.exist_arch(arch(name)):
            target.add_arch(arch(name))
    if not big and "X86_64" not in archs:
        archs.insert(0, "X86_64")
    for rule in profile.get("syscalls", []):
        add(target, rule, default)
    with tempfile.TemporaryFile() as out:
        target.export_bpf(out)
        out.seek(0)
        return {"filter": out.read().hex(), "little": not big, "ends": ends(profile, archs), "archs": archs}


def names_of(archs):
    found = set()
    for name in archs:
        for number in range(7000):
            try:
                call = seccomp.resolve_syscall(arch(name), number)
            except ValueError:
                continue
            found.add(call.decode() if isinstance(call, bytes) else call)
    return sorted(found)


def value(rng):
    return rng.choice([0, 1, 2, 3, 5, 8, 40, 0xFFFF, 0x7E020000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, (3 << 32) + 1,
                       (1 << 63) + 2, (1 << 64) - 1, rng.getrandbits(64), rng.getrandbits(32)])


def condition(rng, index):
    op = rng.choice(list(OPERATORS))
    found = {"index": index, "op": op, "value": value(rng)}
    if op == "SCMP_CMP_MASKED_EQ":
        found["valueTwo"] = value(rng) & found["value"]
    return found


def random_profile(rng, archs, names):
    default = rng.choice(["SCMP_ACT_ERRNO"] * 4 + ["SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
    profile = {"defaultAction": default, "syscalls": [], "architectures": ["SCMP_ARCH_" + a for a in archs]}
    if default == "SCMP_ACT_ERRNO" and rng.random() < 0.5:
        profile["defaultErrnoRet"] = rng.choice([1, 13, 38])
    main = "SCMP_ACT_ALLOW" if default != "SCMP_ACT_ALLOW" else "SCMP_ACT_ERRNO"
    for _ in range(rng.randrange(1, 4)):
        profile["syscalls"].append({"names": rng.sample(names, rng.choice([1, 5, 40, 150, 300])), "action": main})
    conditional = rng.sample(names, 12)
    for _ in range(rng.randrange(0, 25)):
        what = rng.choice([main] * 4 + ["SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL", "SCMP_ACT_NOTIFY"])
        rule = {"names": rng.sample(conditional, rng.choice([1, 1, 2, 4])), "action": what}
        if what == "SCMP_ACT_ERRNO" and rng.random() < 0.5:
            rule["errnoRet"] = rng.choice([1, 22, 38])
        indices = sorted(rng.sample(range(6), rng.choice([1, 1, 1, 2, 3])))
        if rng.random() < 0.1:
            indices.append(indices[0])
        rule["args"] = [condition(rng, i) for i in indices]
        if "write" not in rule["names"] or what != "SCMP_ACT_NOTIFY":
            profile["syscalls"].append(rule)
    rng.shuffle(profile["syscalls"])
    return profile


def main():
    if sys.argv[1] == "random":
        rng = random.Random(int(sys.argv[2]))
        archs = sys.argv[4:]
        pool = archs or ["X86_64", "X86", "X32"]
        names = names_of(pool)
        profiles = (random_profile(rng, archs or rng.sample(pool, rng.randrange(4)), names) for _ in range(int(sys.argv[3])))
    else:
        profiles = (json.loads(line) for line in sys.stdin)
    for profile in profiles:
        try:
            found = compiled(profile)
        except Exception as e:
            found = {"error": str(e)}
        print(json.dumps({"profile": profile, **found}))


main()
