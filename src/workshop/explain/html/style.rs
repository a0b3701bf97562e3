//! The style sheet of the report: light, dark and print.
//!
//! Colours are variables, so that each scheme is one block. Red and green never carry a meaning alone: shared namespaces are hatched and say
//! SHARED, open doors say so. On paper all details are open and the background is white.

/// The sheet; no URL in it.
pub const SHEET: &str = "\
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5a6675;--line:#d9dee5;--accent:#1f5fa8;--good:#1f7a44;--fair:#946200;--weak:#b4500f;--bad:#b3202c;--hatch:#e9b3b3;--slab:#dfe5ec;--box:#eaf3ec;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e4e9f0;--soft:#9aa7b6;--line:#303a47;--accent:#7db4f0;--good:#5cc285;--fair:#e0ae4a;--weak:#f0935a;--bad:#f5757f;--hatch:#7a3b42;--slab:#2a3441;--box:#1d3327}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem 3rem}
header{display:flex;flex-wrap:wrap;gap:1rem 2rem;align-items:center;justify-content:space-between;margin-bottom:1.5rem}
.who{flex:1 1 20rem;min-width:0}
h1{font-size:2rem;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.2rem 0 .8rem}
h3{font:600 1rem/1.5 var(--mono);margin:0}
p{margin:.3rem 0}
a{color:var(--accent)}
abbr{text-decoration:none;border-bottom:1px dotted var(--soft)}
code,pre{font-family:var(--mono);font-size:.875em;overflow-wrap:anywhere}
.place,.sum,.why,footer{color:var(--soft)}
.place{overflow-wrap:anywhere}
.gauge{width:17rem;max-width:100%}
.gauge .arc{fill:none;stroke-width:14}
.arc.good{stroke:var(--good)}.arc.fair{stroke:var(--fair)}.arc.weak{stroke:var(--weak)}.arc.bad{stroke:var(--bad)}
.tick{stroke:var(--ink);stroke-width:2}
.needle{stroke:var(--ink);stroke-width:5;stroke-linecap:round}
svg text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;fill:var(--ink);font-size:13px}
.gauge text{text-anchor:middle}
.gauge .score{font-size:44px;font-weight:700}
text.good{fill:var(--good)}text.fair{fill:var(--fair)}text.weak{fill:var(--weak)}text.bad{fill:var(--bad)}
.gauge .level{font-size:14px;font-weight:600;letter-spacing:.08em}
.gauge .ends{font-size:11px;fill:var(--soft)}
.doors{border:2px solid var(--bad);border-radius:10px;padding:.9rem 1.2rem;background:var(--card)}
.doors h2{margin:0 0 .3rem;color:var(--bad)}
.doors ul{margin:0;padding:0;list-style:none}
.doors strong{display:inline-block;min-width:2.2rem;color:var(--bad);font-variant-numeric:tabular-nums}
.doors a{font-family:var(--mono);font-size:.9em}
.pictures{display:grid;gap:1rem;margin-top:1.5rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;overflow-x:auto}
figcaption{font-weight:600;margin-bottom:.6rem}
figcaption span{font-weight:400;color:var(--soft)}
figure svg{display:block;width:100%;height:auto;min-width:36rem}
.slab{fill:var(--slab)}
.own{fill:var(--box);stroke:var(--good)}
.host{stroke:var(--bad)}
.with{fill:var(--card);stroke:var(--fair);stroke-dasharray:6 4}
.unknown{fill:var(--card);stroke:var(--soft);stroke-dasharray:2 4}
.own,.host,.with,.unknown{stroke-width:1.5}
.hatch{stroke:var(--hatch);stroke-width:5}
.plain{fill:var(--card)}
svg .name{font-weight:700;font-size:15px}
svg .small{font-size:11px;fill:var(--soft)}
svg .shared{font-weight:700;fill:var(--bad)}
svg .mono{font-family:var(--mono);font-size:12.5px}
svg .mid{text-anchor:middle}
svg .over{paint-order:stroke;stroke:var(--card);stroke-width:7;stroke-linejoin:round}
svg .end{text-anchor:end}
.edge{fill:none;stroke:var(--soft);stroke-width:1.5}
.edge.bad{stroke:var(--bad);stroke-width:2.5}
.border{stroke:var(--accent);stroke-width:1.5;stroke-dasharray:7 5}
.dot{fill:var(--accent)}
.finding{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--fair);border-radius:8px;padding:.8rem 1.1rem;margin:0 0 .8rem}
.finding.door{border-left-color:var(--bad)}
.line{display:grid;grid-template-columns:7rem 1fr auto;gap:.2rem 1rem;align-items:baseline}
.what{font-weight:600;margin:0;overflow-wrap:anywhere}
.cost{margin:0;white-space:nowrap;font-variant-numeric:tabular-nums}
.number{font-weight:700}
.floor{color:var(--bad);font-weight:600}
.why{margin:.2rem 0 .6rem}
dl{display:grid;grid-template-columns:7rem minmax(0,1fr) 3rem minmax(0,1fr);gap:.25rem 1rem;margin:0}
.wide{grid-column:2/-1}
dt{color:var(--soft)}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd p{margin:0}
pre{margin:.3rem 0 0;padding:.6rem .8rem;background:var(--bg);border:1px solid var(--line);border-radius:6px;white-space:pre-wrap;user-select:all;max-height:18rem;overflow:auto}
summary{cursor:pointer;color:var(--accent)}
ul{padding-left:1.2rem}
li{overflow-wrap:anywhere}
.passed{columns:2;list-style:none;padding:0}
.passed li::before{content:'\\2713';color:var(--good);font-weight:700;margin-right:.5rem}
.passed code{display:inline-block;min-width:6.2rem}
footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.8rem;font-size:.875rem}
@media (max-width:40rem){.line,dl{grid-template-columns:1fr}.wide{grid-column:auto}.passed{columns:1}dt{margin-top:.4rem}main{padding:1rem}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#bbb;--accent:#003f87;--good:#1f7a44;--fair:#946200;--weak:#b4500f;--bad:#b3202c;--hatch:#e9b3b3;--slab:#e6e9ee;--box:#f2f8f3}body{font-size:11pt}main{max-width:none;padding:0}.finding,figure,.doors{break-inside:avoid}pre{max-height:none;overflow:visible}details::details-content{content-visibility:visible;display:block}summary{display:none}a{color:inherit;text-decoration:none}}
";
