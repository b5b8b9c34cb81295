"""The page of a report: no script, no fonts or files from elsewhere; light and dark as the reader's machine is set."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --paper: #f6f7f9; --card: #fff; --ink: #1d2430; --soft: #667085; --line: #e3e6eb;
  --source: {{ colours.source }}; --accepted: {{ colours.accepted }}; --rejected: {{ colours.rejected }}; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --card: #1d2128; --ink: #e8eaee; --soft: #98a2b3;
  --line: #2c323b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 18px; margin: 40px 0 12px; }
.soft, .sub { color: var(--soft); } .sub { margin: 2px 0 24px; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: 12px; }
.fact { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 16px; }
.fact b { display: block; font-size: 18px; font-weight: 600; } .fact span { color: var(--soft); font-size: 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px;
  margin: 0 0 20px; }
.card h3 { margin: 0 0 2px; font-size: 16px; } .card > p { margin: 0 0 12px; }
figure { margin: 0 0 14px; padding-left: 12px; border-left: 4px solid var(--line); }
figure:last-child { margin-bottom: 0; }
figure.source { border-color: var(--source); } figure.accepted { border-color: var(--accepted); }
figure.generated { border-color: var(--accepted); } figure.rejected { border-color: var(--rejected); }
figure img { display: block; width: 100%; max-width: 1200px; height: auto; border-radius: 6px; }
figcaption { font-size: 13px; margin-bottom: 5px; }
.tag { display: inline-block; border-radius: 999px; padding: 0 9px; margin-right: 6px; font-size: 12px; color: #fff; }
.tag.source { background: var(--source); } .tag.accepted, .tag.generated { background: var(--accepted); }
.tag.rejected, .tag.failed { background: var(--rejected); }
.reason { color: var(--rejected); }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } svg { display: block; width: 100%; min-width: 180px; height: 18px; }
summary { cursor: pointer; color: var(--soft); }
</style>
</head>
<body><main>
<h1>{{ title }}</h1>
<p class="sub">{{ subtitle }}</p>
<div class="facts">
{% for name, value in facts %}
<div class="fact"><b>{{ value }}</b><span>{{ name }}</span></div>
{% endfor %}
</div>
{% if scores %}
<h2>Scores</h2>
<div class="card scroll"><table>
<tr><th>score</th><th class="n">least</th><th class="n">median</th><th class="n">most</th>
<th style="width: 50%">each clip; red: rejected</th></tr>
{% for line in scores %}
<tr><td>{{ line.name }}</td><td class="n">{{ "%.3g"|format(line.least) }}</td>
<td class="n">{{ "%.3g"|format(line.median) }}</td><td class="n">{{ "%.3g"|format(line.most) }}</td>
<td><svg viewBox="-2 0 104 8" preserveAspectRatio="none">
{% for x, colour in line.dots %}<ellipse cx="{{ "%.2f"|format(x) }}" cy="4" rx=".7" ry="2.2" fill="{{ colour }}" \
fill-opacity=".55"/>{% endfor %}
</svg></td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if failed %}
<h2>Not made</h2>
<div class="card scroll"><table>
<tr><th>episode</th><th>variant</th><th>prompt</th><th>reason</th></tr>
{% for row in failed %}
<tr><td>{{ row.episode }}</td><td>{{ row.variant }}</td><td>{{ row.prompt }}</td>
<td class="reason">{{ row.reason }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% if sections %}
<h2>Source and variants</h2>
{% endif %}
{% for section in sections %}
<section class="card">
<h3>{{ section.title }}</h3>
<p class="soft">{{ section.text }} <a href="{{ section.file }}">as PNG</a></p>
{% for item in section.strips %}
<figure class="{{ item.kind }}">
<figcaption><span class="tag {{ item.kind }}">{{ item.kind }}</span>{{ item.text }}
{% if item.row %}
<span class="soft">seed {{ item.row.seed }}</span>
{% if item.row.reason %}<br><span class="reason">{{ item.row.reason }}</span>{% endif %}
{% endif %}
</figcaption>
<img width="{{ item.width }}" height="{{ item.height }}" alt="{{ item.kind }}: {{ item.text }}" \
src="data:image/png;base64,{{ item.image }}">
</figure>
{% endfor %}
</section>
{% endfor %}
{% if losers %}
<p><a href="rejected.png">Rejected clips beside their sources, as PNG</a></p>
{% endif %}
{% if rows %}
<h2>All clips</h2>
<details class="card"><summary>{{ rows|length }} clips with prompt and scores</summary><div class="scroll"><table>
<tr><th>episode</th><th>variant</th><th></th><th>prompt</th>{% for line in scores %}<th class="n">{{ line.name }}</th>\
{% endfor %}<th>reason</th></tr>
{% for row in rows %}
<tr><td>{{ row.episode }}</td><td>{{ row.variant }}</td><td><span class="tag {{ row.kind }}">{{ row.kind }}</span></td>
<td>{{ row.prompt }}</td>
{% for line in scores %}<td class="n">{% if row.scores.get(line.name) is not none %}\
{{ "%.3g"|format(row.scores[line.name]) }}{% else %}-{% endif %}</td>{% endfor %}
<td class="reason">{{ row.reason }}</td></tr>
{% endfor %}
</table></div></details>
{% endif %}
</main></body></html>
"""
