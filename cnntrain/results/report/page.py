"""The page is one HTML file that needs neither scripts nor a network and suits light and dark, phone and desktop."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.results.report.html import Markup, element, escape

_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
# A box that scrolls has a shadow at each edge; a cover in the card's colour at that end of its content hides it there.
_STYLE = """
:root{color-scheme:light dark;--font:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--page:#f6f7f9;--card:#fff;--ink:#1b2330;--quiet:#5d6778;--line:#dfe4ec;--shade:#0003;
--hit:37 99 235;--miss:214 69 31;--good:#0a7d59;
--s0:#2563eb;--s1:#c2620a;--s2:#0a7d59;--s3:#c81e3a;--s4:#7c3aed;--s5:#0b7c93;--s6:#b0277f;--s7:#5a2d00}
@media screen and (prefers-color-scheme:dark){
:root{--page:#0e1218;--card:#171c25;--ink:#e6eaf1;--quiet:#98a3b5;--line:#2b3340;
--shade:#000c;--hit:74 131 255;--miss:255 112 67;--good:#3ecf9a;
--s0:#6ea0ff;--s1:#f2a14b;--s2:#3ecf9a;--s3:#ff7089;--s4:#b394ff;--s5:#45c8e0;--s6:#f27fc4;--s7:#b2802d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 var(--font);-webkit-text-size-adjust:100%}
main{max-width:1060px;margin:0 auto;padding:28px 20px 60px}
header{margin:0 0 22px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:0 0 4px}
h3{font-size:21px;margin:34px 0 12px;overflow-wrap:anywhere}
p{margin:0 0 12px}
.note,.path,figcaption span,small{color:var(--quiet)}
.note{font-size:14px;max-width:75ch}
.path{overflow-wrap:anywhere}
section,.cards>div,.warn{background:var(--card);border:1px solid var(--line);border-radius:12px}
.spread{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
.spread>*{grid-column:1/-1}
section{padding:18px 20px 20px;min-width:0}
.warn{padding:12px 16px;border-left:4px solid rgb(var(--miss))}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:12px}
.cards>div{padding:12px 16px}
.cards b{display:block;font-size:23px;line-height:1.25;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
.cards span{font-size:13px;color:var(--quiet)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:18px 26px}
figure{margin:0}
.chart>svg{display:block;width:100%;height:auto;max-width:560px}
.wide{overflow-x:auto;max-height:620px;overflow-y:auto}
.wide,.scrolls{background:linear-gradient(var(--card) 30%,#0000) 0 0/100% 40px local,
linear-gradient(#0000,var(--card) 70%) 0 100%/100% 40px local,
linear-gradient(90deg,var(--card) 30%,#0000) 0 0/40px 100% local,
linear-gradient(90deg,#0000,var(--card) 70%) 100% 0/40px 100% local,
linear-gradient(var(--shade),#0000) 0 0/100% 12px,linear-gradient(#0000,var(--shade)) 0 100%/100% 12px,
linear-gradient(90deg,var(--shade),#0000) 0 0/12px 100%,linear-gradient(90deg,#0000,var(--shade)) 100% 0/12px 100%;
background-color:var(--card);background-repeat:no-repeat}
.chart figcaption{color:var(--quiet);max-width:560px}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;list-style:none;margin:0 0 14px;padding:0;font-size:13.5px}
.legend li{overflow-wrap:anywhere}
.swatch{display:inline-block;width:16px;height:3px;border-radius:2px;margin-right:7px;vertical-align:4px}
.patches .swatch{width:13px;height:13px;vertical-align:-2px}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;white-space:nowrap}
th{color:var(--quiet);font-weight:600}
thead th{position:sticky;top:0;background:var(--card)}
tbody tr:last-child td,tbody tr:last-child th{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.half .wide>table:not(.matrix){width:100%}
td b{font-weight:600}
.n{text-align:right}
.bar{display:inline-block;min-width:84px;padding-bottom:3px;
background:linear-gradient(rgb(var(--hit)/.75) 0 0) 0 100%/calc(var(--p)*100%) 3px no-repeat,
linear-gradient(var(--line) 0 0) 0 100%/100% 3px no-repeat}
.matrix td,.matrix thead th{text-align:center;padding:6px 4px;border:1px solid var(--card);min-width:38px}
.matrix tbody th{text-align:right;padding:6px 10px 6px 0;border:0;color:var(--ink);font-weight:500;
position:sticky;left:0;background:var(--card)}
.matrix .hit{background:rgb(var(--hit)/var(--p))}
.matrix .miss{background:rgb(var(--miss)/var(--p))}
.matrix .zero{color:var(--line)}
.matrix .up{vertical-align:bottom}
.matrix .up span{writing-mode:vertical-rl;text-orientation:sideways;transform:rotate(180deg);height:max-content;
max-height:150px;overflow-wrap:anywhere}
.matrix tbody th span{display:inline-block;width:max-content;max-width:min(240px,34vw);white-space:normal;
overflow-wrap:anywhere}
.thumbs{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:16px 14px}
.pairs{grid-template-columns:repeat(auto-fill,minmax(204px,1fr))}
.compared{grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr))}
.compared.rows{grid-template-columns:1fr}
.thumbs audio{display:block;width:100%;height:32px;margin-top:4px}
.thumbs img{display:block;width:100%;max-width:220px;height:auto;border-radius:6px}
.compared img{width:auto;max-width:100%}
figcaption{margin-top:6px;font-size:13px;line-height:1.35}
figcaption b,figcaption span,figcaption small{display:block;overflow-wrap:anywhere}
.sharp img{image-rendering:pixelated;max-width:100%;height:auto}
.filters img{display:block;max-width:100%;height:auto}
@media screen and (prefers-color-scheme:dark){.signed img{filter:invert(1) hue-rotate(180deg)}}
.layer{border-top:1px solid var(--line);margin-top:16px;padding-top:4px}
.layer h3{font-size:15px;margin:8px 0 2px}
.layer p{font-size:13px;color:var(--quiet);margin:0 0 8px;max-width:100ch}
.step{font-size:14px;font-variant-numeric:tabular-nums;overflow-wrap:anywhere;margin:0 0 4px}
.whole{white-space:nowrap}
.sum{margin-top:10px}
.two{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:12px 24px;align-items:start}
.two img{display:block;max-width:100%;height:auto;image-rendering:pixelated}
details{margin-top:10px}
summary{cursor:pointer;color:var(--s0);font-size:14px;font-weight:600;padding:4px 0}
details>.wide{margin-top:6px}
.wide thead th{white-space:normal}
.wide td:not(.n)>:is(span,b){white-space:normal;overflow-wrap:anywhere}
.many td:first-child,.half td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:90px}
.half table:not(.matrix) :is(th,td):not(:last-child){padding-right:10px}.half .bar{min-width:66px}
.spread>details>summary{font-size:17px;color:var(--ink);margin:0 0 6px;overflow-wrap:anywhere}
footer{color:var(--quiet);font-size:13px;margin-top:26px}
@media(min-width:900px){.spread>.half{grid-column:span 1}}
@media(max-width:560px){.matrix{font-size:12px}.matrix td,.matrix thead th{min-width:27px;padding:5px 1px}
.large td{font-size:0}.large td,.large thead th{min-width:0;padding:0;border-width:1px;height:12px}.large{width:100%}
.matrix.large .up span{white-space:nowrap;max-height:260px;overflow:hidden;text-overflow:ellipsis}
.matrix.large tbody th{font-size:10px;line-height:1.1;padding:2px 6px 2px 0}
main{padding:18px 12px 40px}section{padding:14px 14px 16px}h1{font-size:23px}
.cards{grid-template-columns:repeat(2,1fr);gap:8px}.cards b{font-size:18px}.cards>div{padding:10px 12px}
.thumbs{grid-template-columns:repeat(3,1fr);gap:14px 10px}
.pairs{grid-template-columns:repeat(2,minmax(0,1fr))}.compared{grid-template-columns:minmax(0,1fr)}
.chart>svg{font-size:12.5px;overflow:visible}.chart>svg>text:first-child{font-size:15px}}
@media(max-width:560px){.two{grid-template-columns:1fr}
.wide table:not(.matrix) :is(th,td){white-space:normal;font-size:13px}
.wide:not(.many) table:not(.matrix) :is(th,td):not(:last-child){padding-right:7px}
.half td:first-child{min-width:56px}
.wide td:not(.n),.wide th:not(.n){overflow-wrap:anywhere}
.wide .bar{min-width:40px}.wide>table:not(.matrix){width:100%}
.many thead{display:none}
.many tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1px 16px;padding:9px 0;
border-bottom:1px solid var(--line)}.many tr:last-child{border-bottom:0}.few tr{grid-template-columns:minmax(0,1fr)}
.many table:not(.matrix) td{display:flex;flex-wrap:wrap;justify-content:flex-end;gap:0 8px;border:0;padding:0}
.many td::before{text-align:left;min-width:0;margin-right:auto;overflow-wrap:anywhere}
.many table:not(.matrix) td:first-child{justify-content:flex-start}
.many td:first-child{grid-column:1/-1;font-weight:600}.many td[data-name]::before{content:attr(data-name);
color:var(--quiet)}}
@media print{body{background:#fff;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.spread,.two:has(table){display:block}.spread>*{margin-bottom:14px}
figure,tr,.note,.layer,.cards>div{break-inside:avoid}h2,h3,.note,.legend{break-after:avoid}
.charts{grid-template-columns:repeat(2,minmax(0,1fr))}.chart>svg{font-size:12.5px;overflow:visible}
.wide,.scrolls{max-height:none;overflow:visible;background:none}thead th{position:static}}
"""


def page(title: str, subtitle: str, *content: Markup, footer: str) -> str:
    """The whole file of a report."""
    return document(title, subtitle, spread(*content), footer=footer)


def document(title: str, subtitle: str, *content: Markup, footer: str, style: str = "", policy: str = _POLICY) -> str:
    """Any page in this look: `style` is further CSS, `policy` what it may load or run."""
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<link rel="icon" href="data:,">'),
        element("title", title),
        element("style", Markup(_STYLE + style)),
    )
    top = element("header", element("h1", title), element("div", subtitle, class_="path"))
    body = element("body", element("main", top, *content, element("footer", footer)))
    text = "\n".join(["<!doctype html>", f'<html lang="en">{head}', body, "</html>", ""])
    return text.replace("</section>", "</section>\n").replace("</tr>", "</tr>\n").replace("</figure>", "</figure>\n")


def spread(*content: Markup) -> Markup:
    """Sections below each other, half ones in pairs."""
    return element("div", *content, class_="spread")


def cards(pairs: Sequence[tuple[str, str]]) -> Markup:
    """The few numbers that count, large, each with what it is."""
    return element("div", *(element("div", element("b", value), element("span", name)) for name, value in pairs),
                   class_="cards")  # fmt: skip


def named_colours(entries: Sequence[tuple[str, str]], patches: bool = False) -> Markup:
    """Names, each after a piece of a line in its colour, which is one of CSS; or after a patch of that."""
    items = [element("li", swatch(colour), element("bdi", name)) for name, colour in entries]
    return element("ul", *items, class_="legend patches" if patches else "legend")


def swatch(colour: str) -> Markup:
    """A small piece of a line."""
    return element("i", class_="swatch", style=f"background:{colour}")


def warning(text: str) -> Markup:
    """What is missing from the page, and why."""
    return Markup(f'<div class="warn">{escape(text)}</div>')
