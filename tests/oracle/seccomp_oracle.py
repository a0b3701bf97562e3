#!/usr/bin/python3
"""Asks libseccomp (python3-seccomp) what filter it makes of a profile.

    seccomp_oracle.py random SEED COUNT [ARCH...]   random profiles
    seccomp_oracle.py compile < PROFILE...          one linux.seccomp document per line of standard input

For each profile one line of JSON: {"profile": ..., "filter": hex of struct sock_filter, "little": bool, "ends": {arch: highest
number that the profile names}, "decisions": ...} or {"profile": ..., "error": text}. The way from profile to rules is runc's:
a rule with the default action is left out, conditions that share an argument are separate rules.

"decisions" is libseccomp's own picture (its pseudo filter code) of the calls with conditions: {arch: {number: level}}, where a
level is a list of nodes that are tried in turn, a node is [argument, high half?, mask, operator, value, then, else], and
"then" and "else" are an action, a level, or null (on to the next node). It is needed because libseccomp 2.5 turns some of
these pictures into wrong instructions: two LT or LE rules on one argument of 64 bits, for example, compare the lower half
with a value for the upper one, as the register is not loaded again.
"""
import functools, json, random, re, sys, tempfile

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


def add(target, rule, default, archs):
    what = action(rule["action"], rule.get("errnoRet"))
    if what == default:
        return
    for name in rule["names"]:
        # Left to itself, libseccomp makes rules for calls that no architecture of the filter has, which can contradict.
        if all(resolve(a, name) < 0 for a in archs):
            continue
        number = resolve("NATIVE", name)
        args = rule.get("args", [])
        indices = [a["index"] for a in args]
        split = len(set(indices)) != len(indices)
        for group in ([[a] for a in args] if split else [args]):
            target.add_rule(what, number, *map(argument, group))


def resolve(name, call):
    try:
        return seccomp.resolve_syscall(arch(name), call)
    except ValueError:
        return -1


def ends(profile, archs):
    names = {n for rule in profile.get("syscalls", []) for n in rule["names"]}
    # ARM's private calls lie far above the table.
    numbers = {name: [n for call, n in calls(name).items() if call in names and (name != "ARM" or n < 0xF0000)] for name in archs}
    return {name: max(found) for name, found in numbers.items() if found}


@functools.cache
def calls(name):
    """Name to number. Asked by number: by name, calls that can be multiplexed have no number of their own."""
    found = {}
    base = 0x40000000 if name == "X32" else 0
    for number in [*range(base, base + 7000), *range(0xF0000, 0xF0010)]:
        try:
            found[seccomp.resolve_syscall(arch(name), number).decode()] = number
        except ValueError:
            pass
    return found


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
        add(target, rule, default, archs)
    with tempfile.TemporaryFile() as out:
        target.export_bpf(out)
        out.seek(0)
        bpf = out.read().hex()
    target.set_attr(Attr.CTL_OPTIMIZE, 1)
    with tempfile.TemporaryFile("w+") as out:
        target.export_pfc(out)
        out.seek(0)
        decisions = pictures(out.read().splitlines())
    return {"filter": bpf, "little": not big, "ends": ends(profile, archs), "archs": archs, "decisions": decisions}


RAW = {"KILL_PROCESS": 0x80000000, "KILL": 0, "TRAP": 0x30000, "ERRNO": 0x50000, "TRACE": 0x7FF00000, "LOG": 0x7FFC0000, "ALLOW": 0x7FFF0000}


def raw(text):
    kind, _, number = text.removeprefix("action ").rstrip(";").rstrip(")").partition("(")
    return int(kind, 16) if kind.startswith("0x") else RAW[kind] | int(number or 0)


def pictures(lines):
    lines = [(len(l) - len(l.lstrip()), l.strip()) for l in lines if l.strip() and not re.match(r"\s*# (?!filter for arch)", l)]
    found, at = {}, 0
    while at < len(lines):
        depth, text = lines[at]
        at += 1
        if text.startswith("# filter for arch"):
            here = found.setdefault(text.split()[4].upper(), {})
        elif text.startswith("if ($syscall =="):
            number = int(text.split()[3].rstrip(")"))
            if lines[at][1].startswith("if ("):
                here[number], at = level(lines, at)
    return found


def level(lines, at):
    """The nodes from line `at` on that stand at its depth, and the line behind them."""
    depth, nodes = lines[at][0], []
    while at < len(lines) and lines[at][0] == depth and lines[at][1].startswith("if ("):
        arg, half, mask, op, value = re.fullmatch(r"if \(\$a(\d)(\.hi32|\.lo32|)(?: & (0x\w+))? (==|>=|>) (\d+)\)", lines[at][1]).groups()
        node = [int(arg), half == ".hi32", int(mask or "0xffffffff", 16), op, int(value)]
        at += 1
        then, at = branch(lines, at, depth)
        other = None
        if at < len(lines) and lines[at] == (depth, "else"):
            other, at = branch(lines, at + 1, depth)
        nodes.append(node + [then, other])
    return nodes, at


def branch(lines, at, depth):
    if at >= len(lines) or lines[at][0] <= depth:
        return None, at
    if lines[at][1].startswith("action"):
        return raw(lines[at][1]), at + 1
    return level(lines, at)


def names_of(archs):
    # Debian's libseccomp 2.5.4 knows the number of the first on x86-64 only (it has one everywhere), and cannot find the
    # second from x86-64.
    return sorted(set().union(*map(calls, archs)) - {"map_shadow_stack", "sys_debug_setcontext"})


def value(rng):
    return rng.choice([0, 1, 2, 3, 5, 8, 40, 0xFFFF, 0x7E020000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, (3 << 32) + 1,
                       (1 << 63) + 2, (1 << 64) - 1, rng.getrandbits(64), rng.getrandbits(32)])


def condition(rng, index, last, main):
    # Only the last condition of a rule may be of a kind that libseccomp splits into two ways of being true (NE and the
    # order operators): it shares what follows them between rules, so that one rule's conditions come to hold for another.
    # And where NE, LT or LE of two rules with different actions overlap, its answer depends on which half differs.
    plain = ["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"]
    op = rng.choice(plain if not last else list(OPERATORS) if main else plain + ["SCMP_CMP_GE", "SCMP_CMP_GT"])
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
        split = len(set(indices)) < len(indices)
        rule["args"] = [condition(rng, i, split or i == indices[-1], what == main) for i in indices]
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
