'use strict';
(() => {
const $ = id => document.getElementById(id);
const states = { alive: ['●', 'alive'], suspect: ['▲', 'SUSPECT'], dead: ['✖', 'DEAD'], left: ['○', 'left'], unknown: ['?', 'unknown'] };
const pageSize = 100;
const view = { cluster: null, seconds: 3600, show: 'load', view: 'list', first: 0 };
let overview = null, nodesBusy = false, nodesAgain = false, tick = 0, mapData = null;

/* Texts only ever become text: nothing that a node says is markup. */
function el(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
        else e.setAttribute(name, value === true ? '' : value);
    }
    e.append(...children.filter(c => c !== null && c !== undefined));
    return e;
}
function svg(tag, attributes, ...children) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    e.append(...children);
    return e;
}
async function get(path, parameters) {
    const q = new URLSearchParams(Object.entries(parameters || {}).filter(([, v]) => v !== null && v !== ''));
    const answer = await fetch(path + (q.size ? '?' + q : ''), { cache: 'no-store' });
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
}

/* ---- words for figures ---- */
const known = x => x !== null && x !== undefined;
const load = x => known(x) ? (x / 100).toFixed(2) : '–';
function size(mb) {
    if (!known(mb)) return '–';
    const units = ['M', 'G', 'T', 'P'];
    let i = 0;
    for (; mb >= 1000 && i < 3; i++) mb /= 1024;
    return (i && mb < 10 ? mb.toFixed(1) : Math.round(mb)) + '\u00a0' + units[i];
}
function age(ms) {
    if (!known(ms)) return '–';
    const s = ms / 1000;
    return s < 10 ? s.toFixed(1) + ' s' : s < 100 ? Math.floor(s) + ' s' : s < 6000 ? Math.floor(s / 60) + ' min' : s < 172800 ? Math.floor(s / 3600) + ' h' : Math.floor(s / 86400) + ' d';
}
const part = (a, all) => known(a) && all > 0 ? Math.round(100 * a / all) : null;
const used = n => known(n.memory_mb) && known(n.memory_free_mb) ? Math.max(0, n.memory_mb - n.memory_free_mb) : null;
const pct = x => known(x) ? x + ' %' : '–';
const loadLevel = x => x < 80 ? '' : x < 150 ? 'middle' : 'high';
const memoryLevel = x => x < 75 ? 'memory' : x < 90 ? 'middle' : 'high';
const plural = (n, word) => n + ' ' + word + (n === 1 ? '' : 's');

function bar(value, most, level) {
    const fill = el('i', { class: level || null });
    fill.style.width = known(value) && most > 0 ? Math.max(value > 0 ? 1.5 : 0, Math.min(100, 100 * value / most)) + '%' : '0';
    return el('span', { class: 'bar', 'aria-hidden': 'true' }, fill);
}
function stateOf(name, revoked) {
    const [mark, words] = states[name] || states.unknown;
    return el('span', { class: 's-' + (revoked ? 'dead' : name) }, mark + ' ' + (revoked ? 'REVOKED' : words));
}
function statesOf(sums) {
    const box = el('div', { class: 'states' });
    for (const name of Object.keys(states))
        if (sums[name]) box.append(el('span', { class: 's-' + name }, states[name][0] + ' ' + sums[name] + ' ' + states[name][1]));
    return box;
}

/* ---- now, and clusters ---- */
const sumsOf = () => overview.clusters.find(c => c.number === view.cluster) || overview.all;
function tile(name, value, small, extra) {
    return el('div', null, el('dt', null, name), el('dd', null, value, small ? el('small', null, ' ' + small) : null), el('dd', { class: 'note' }, extra || ''));
}
function drawTiles() {
    const s = sumsOf(), up = s.alive + s.suspect, memory = used(s), mp = part(memory, s.memory_mb);
    $('tiles').replaceChildren(
        tile('Nodes', String(up), 'of ' + s.nodes, s.suspect || s.dead ? statesOf({ suspect: s.suspect, dead: s.dead }) : plural(s.cores, 'core')),
        tile('Load by speed', load(s.load_centi), null, bar(s.load_centi, Math.max(200, s.load_centi), loadLevel(s.load_centi))),
        tile('Memory used', size(memory), 'of ' + size(s.memory_mb), bar(mp, 100, memoryLevel(mp))),
        tile('Swap used', size(s.swap_used_mb), s.swap_mb ? 'of ' + size(s.swap_mb) : null, bar(part(s.swap_used_mb, s.swap_mb), 100, memoryLevel(part(s.swap_used_mb, s.swap_mb)))),
        tile('Guests', String(s.guests), null, el('span', { class: 'muted' }, s.frozen ? s.frozen + ' frozen' : 'none frozen')),
        tile('Oldest figure', age(s.oldest_ms), null, el('span', { class: 'muted' }, 'of a living node')));
}
function drawClusters() {
    const many = overview.clusters.length > 1;
    $('clusters-part').hidden = !many;
    if (!many) return;
    const focus = document.activeElement && document.activeElement.dataset.cluster;
    const card = (number, name, sums, own) => el('li', null, el('button', { type: 'button', class: 'card', 'data-cluster': String(number), 'aria-pressed': String(view.cluster === number),
        onclick: () => { view.cluster = number; view.first = 0; drawAll(); history(); nodes(); } },
        el('span', { class: 'name' }, el('span', null, name), el('span', { class: 'own' }, own ? 'this node’s' : plural(sums.nodes, 'node'))),
        statesOf(sums),
        el('span', { class: 'pair' }, 'load', bar(sums.load_centi, Math.max(200, sums.load_centi), loadLevel(sums.load_centi)), el('b', null, load(sums.load_centi))),
        el('span', { class: 'pair' }, 'memory', bar(part(used(sums), sums.memory_mb), 100, memoryLevel(part(used(sums), sums.memory_mb))), el('b', null, pct(part(used(sums), sums.memory_mb))))));
    $('clusters').replaceChildren(card(null, 'All clusters', overview.all, false), ...overview.clusters.map(c => card(c.number, c.name || 'cluster ' + c.number, c, c.is_own)));
    if (focus !== undefined && focus !== null) {
        const again = [...document.querySelectorAll('#clusters button')].find(b => b.dataset.cluster === focus);
        if (again) again.focus();
    }
}
function drawHead() {
    const own = overview.clusters.find(c => c.is_own), s = overview.all;
    $('cluster-name').textContent = own && own.name ? own.name : 'mosweb';
    document.title = (s.dead + s.suspect ? '(' + (s.dead + s.suspect) + ') ' : '') + (own && own.name ? own.name + ' · ' : '') + 'mosweb';
    const trouble = !overview.is_answered ? overview.words + (known(overview.answer_age_ms) ? '. What is shown is ' + age(overview.answer_age_ms) + ' old.' : '.')
        : overview.config_error ? 'A newer configuration was refused: ' + overview.config_error
        : overview.mode === 'static' ? 'This node knows nothing of the others: its cluster has no gossip.' : '';
    if ($('trouble').textContent !== trouble) $('trouble').textContent = trouble;
    $('trouble').hidden = !trouble;
    setLive(overview.is_answered ? 'ok' : 'lost', overview.is_answered ? 'live' : 'mosixd does not answer');
}
function setLive(className, words) {
    $('live').className = className;
    if ($('live-words').textContent !== words) $('live-words').textContent = words;
}
function drawAll() {
    drawHead();
    drawTiles();
    drawClusters();
}

/* ---- history ---- */
function timeOf(s) {
    return s < 3600 ? Math.round(s / 60) + ' min ago' : (s / 3600).toFixed(s % 3600 ? 1 : 0) + ' h ago';
}
function chart(name, values, period, span, words, colour, least, width) {
    const w = width || pictureWidth(), h = w < 220 ? 110 : 140, left = 40, right = 6, top = 6, bottom = 20, there = values.filter(known);
    const most = roundUp(Math.max(least, ...there)), count = Math.max(1, Math.round(span / period));
    const x = i => left + (w - left - right) * (i + count - values.length) / Math.max(1, count - 1), y = v => top + (h - top - bottom) * (1 - v / most);
    const picture = svg('svg', { viewBox: `0 0 ${w} ${h}`, role: 'img' });
    const last = there.length ? words(there[there.length - 1]) : '–';
    picture.append(svg('title', {}, there.length ? `${name}: now ${last}, from ${words(Math.min(...there))} to ${words(Math.max(...there))}` : name + ': nothing yet'));
    for (const v of [0, most / 2, most]) {
        picture.append(svg('line', { class: 'grid', x1: left, x2: w - right, y1: y(v), y2: y(v) }));
        picture.append(svg('text', { x: left - 6, y: y(v) + 4, 'text-anchor': 'end' }, words(v)));
    }
    picture.append(svg('text', { x: left, y: h - 5 }, timeOf(span)), svg('text', { x: w - right, y: h - 5, 'text-anchor': 'end' }, 'now'));
    for (let i = 0; i < values.length; i++) { /* each run between gaps is a line of its own */
        if (!known(values[i])) continue;
        let end = i;
        while (end + 1 < values.length && known(values[end + 1])) end++;
        const line = values.slice(i, end + 1).map((v, j) => `${x(i + j).toFixed(1)},${y(v).toFixed(1)}`);
        if (line.length > 1) {
            picture.append(svg('path', { class: 'area', d: `M${x(i).toFixed(1)},${y(0)} L${line.join(' L')} L${x(end).toFixed(1)},${y(0)} Z`, fill: `var(${colour})` }));
            picture.append(svg('path', { class: 'line', d: 'M' + line.join(' L'), stroke: `var(${colour})` }));
        } else picture.append(svg('circle', { class: 'dotty', cx: x(i), cy: y(values[i]), r: 2.5, fill: `var(${colour})` }));
        i = end;
    }
    return el('figure', { class: 'card' }, el('figcaption', null, name, el('b', null, last)), picture);
}
/* One unit is one pixel, so that words in it are as large as others. */
function pictureWidth() {
    const box = $('charts').clientWidth, columns = innerWidth <= 760 ? 2 : Math.max(1, Math.floor((box + 12) / 282));
    return Math.max(140, Math.round((box - 12 * (columns - 1)) / columns - (innerWidth <= 760 ? 22 : 30)));
}
function roundUp(v) {
    const unit = Math.pow(10, Math.floor(Math.log10(v || 1)));
    return [1, 2, 5, 10].map(m => m * unit).find(r => r >= v) || v;
}
async function history() {
    try {
        const past = await get('/api/v1/history', { cluster: view.cluster, seconds: view.seconds });
        const of = (name, key, words, colour, least) => chart(name, past[key], past.period_s, view.seconds, words, colour, least);
        $('charts').replaceChildren(of('Load by speed', 'load_centi', load, '--low', 100), of('Memory used', 'memory_used_pct', x => Math.round(x) + ' %', '--memory', 100),
            of('Living nodes', 'alive', x => String(Math.round(x)), '--accent', 2), of('Guests', 'guests', x => String(Math.round(x)), '--middle', 2));
    } catch (e) { /* the next tick tries again, and a lost server is said at the top */ }
}

/* ---- nodes ---- */
const choice = () => ({ cluster: view.cluster, order: $('order').value, find: $('find').value.trim(), dead: $('dead').checked ? 1 : 0 });
function reason(n) {
    return n.is_revoked ? 'its certificate is revoked' : n.state === 'left' ? 'has left ' + age(n.since_ms) + ' ago' : n.state === 'dead' ? 'no answer for ' + age(n.since_ms)
        : n.state === 'unknown' ? 'nothing was heard of it' : null;
}
function row(n, most) {
    const gone = reason(n), memory = used(n), mp = part(memory, n.memory_mb), old = n.age_ms > 60000;
    const r = el('tr', { class: old || gone ? 'old' : null },
        el('td', { class: 'n number' }, String(n.number)),
        el('td', { class: 'name' }, el('button', { type: 'button', 'data-node': String(n.number), onclick: () => showNode(n) }, n.name || 'node ' + n.number), n.is_self ? el('small', null, 'this node') : null),
        el('td', { class: 'state' }, stateOf(n.state, n.is_revoked)));
    if (gone)
        r.append(el('td', { class: 'reason', colspan: 5 }, gone));
    else
        r.append(el('td', { class: 'wide', 'data-label': 'Load' }, el('span', { class: 'with' }, bar(n.load_centi, most, loadLevel(n.load_centi)), el('b', null, load(n.load_centi)))),
            el('td', { class: 'wide', 'data-label': 'Memory' }, el('span', { class: 'with' }, bar(mp, 100, memoryLevel(mp)), el('b', null, pct(mp)))),
            el('td', { class: 'n', 'data-label': 'Swap' }, n.swap_mb === 0 ? 'none' : pct(n.swap_used_pct)),
            el('td', { class: 'n', 'data-label': 'Guests' }, known(n.guests) ? n.guests + (n.is_blocked ? ' (shut)' : known(n.guests_max) ? ' / ' + n.guests_max : '') : '–'),
            el('td', { class: 'n', 'data-label': 'Idle cores' }, known(n.cores) ? (known(n.idle_cores) ? n.idle_cores : '–') + ' / ' + n.cores : '–'));
    r.append(el('td', { class: 'n', 'data-label': 'Age' }, age(n.age_ms) + (old ? ' !' : '')));
    return r;
}
async function nodes() {
    if (nodesBusy) { nodesAgain = true; return; }
    nodesBusy = true;
    try {
        if (view.view === 'map') drawMap(await get('/api/v1/map', { ...choice(), show: view.show }));
        else drawList(await get('/api/v1/nodes', { ...choice(), first: view.first, count: pageSize }));
    } catch (e) { /* as above */ }
    nodesBusy = false;
    if (nodesAgain) { nodesAgain = false; nodes(); }
}
function drawList(answer) {
    const focus = document.activeElement && document.activeElement.dataset.node;
    if (answer.chosen && view.first >= answer.chosen) { view.first = Math.floor((answer.chosen - 1) / pageSize) * pageSize; nodes(); return; }
    $('rows').replaceChildren(...(answer.nodes.length ? answer.nodes.map(n => row(n, answer.scale_load_centi)) : [el('tr', null, el('td', { class: 'reason', colspan: 9 }, 'no node is chosen'))]));
    $('pages').hidden = answer.chosen <= pageSize;
    $('place').textContent = `${answer.first + 1} to ${answer.first + answer.nodes.length} of ${answer.chosen}`;
    $('back').disabled = view.first === 0;
    $('on').disabled = view.first + pageSize >= answer.chosen;
    if (focus) {
        const again = document.querySelector(`#rows button[data-node="${focus}"]`);
        if (again) again.focus({ preventScroll: true });
    }
}
function drawMap(answer) {
    mapData = answer;
    const canvas = $('map'), style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(name).trim();
    const width = canvas.parentElement.clientWidth, count = answer.cells.length;
    let cell = 22;
    while (cell > 9 && Math.ceil(count / Math.floor((width - 16) / cell)) * cell > 640) cell--;
    const columns = Math.max(1, Math.floor((width - 16) / cell)), rows = Math.ceil(count / columns), ratio = window.devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = (rows * cell + 16) * ratio;
    canvas.style.height = rows * cell + 16 + 'px';
    const c = canvas.getContext('2d');
    c.scale(ratio, ratio);
    c.font = `${Math.round(cell * .62)}px system-ui, sans-serif`;
    c.textAlign = 'center';
    c.textBaseline = 'middle';
    const wrong = { S: '--warn', '!': '--bad', '-': '--muted', '?': '--muted', o: '--muted' };
    const tally = {};
    for (let i = 0; i < count; i++) {
        const mark = answer.cells[i], x = 8 + (i % columns) * cell, y = 8 + Math.floor(i / columns) * cell;
        tally[mark] = (tally[mark] || 0) + 1;
        c.fillStyle = colour('--track');
        c.fillRect(x + 1, y + 1, cell - 2, cell - 2);
        if (mark in wrong) {
            c.strokeStyle = c.fillStyle = colour(wrong[mark]);
            c.strokeRect(x + 1.5, y + 1.5, cell - 3, cell - 3);
            c.fillText(mark, x + cell / 2, y + cell / 2 + 1);
        } else { /* filled as far as it is full */
            const step = Number(mark) + 1, h = (cell - 2) * step / 10;
            c.fillStyle = colour(view.show === 'memory' ? (step > 9 ? '--high' : step > 7 ? '--middle' : '--memory')
                : answer.scale * step / 10 < 80 ? '--low' : answer.scale * step / 10 < 150 ? '--middle' : '--high');
            c.fillRect(x + 1, y + cell - 1 - h, cell - 2, h);
        }
    }
    mapData.layout = { columns, cell };
    const words = `${plural(count, 'node')}; a full square is ${view.show === 'memory' ? '100 % of memory used' : 'a load of ' + load(answer.scale)}` +
        `${tally.S ? '; S: ' + tally.S + ' SUSPECT' : ''}${tally['!'] ? '; !: ' + tally['!'] + ' DEAD' : ''}${tally['-'] ? '; -: ' + tally['-'] + ' left' : ''}${tally['?'] ? '; ?: ' + tally['?'] + ' unknown' : ''}${tally.o ? '; o: ' + tally.o + ' older than a minute' : ''}.`;
    $('map-words').textContent = words + ' Touch one to see it; the list has the same for keys.';
    canvas.setAttribute('aria-label', 'Map of nodes: ' + words);
}
function numberAt(place) {
    for (const [from, run] of mapData.runs) {
        if (place < run) return from + place;
        place -= run;
    }
    return null;
}
async function touched(event) {
    const { columns, cell } = mapData.layout, column = Math.floor((event.offsetX - 8) / cell), line = Math.floor((event.offsetY - 8) / cell), place = line * columns + column;
    if (column < 0 || column >= columns || place < 0 || place >= mapData.cells.length) return;
    const answer = await get('/api/v1/nodes', { ...choice(), first: place, count: 1 });
    const n = answer.nodes[0];
    if (n && n.number === numberAt(place)) showNode(n);
}

/* ---- one node ---- */
async function showNode(n) {
    $('node-name').textContent = (n.name || 'node ' + n.number) + (n.is_self ? ' (this node)' : '');
    const facts = [['State', el('span', null, stateOf(n.state, n.is_revoked), known(n.since_ms) ? ' for ' + age(n.since_ms) : '')], ['Number', n.number], ['Address', n.address], ['Cluster', n.cluster_name],
        ['Load by speed', load(n.load_centi)], ['Load of a core', load(n.load_raw_centi)], ['Speed of a core', known(n.speed) ? n.speed + ' (10000 is standard)' : null],
        ['Cores', known(n.cores) ? n.cores + (known(n.idle_cores) ? ', ' + n.idle_cores + ' idle' : '') : null], ['Memory', known(n.memory_mb) ? size(used(n)) + ' of ' + size(n.memory_mb) + ' used' : null],
        ['Swap', n.swap_mb === 0 ? 'none' : known(n.swap_mb) ? pct(n.swap_used_pct) + ' of ' + size(n.swap_mb) + ' used' : null], ['Waits for memory', known(n.psi_memory_pct) ? pct(n.psi_memory_pct) : null],
        ['Guests', known(n.guests) ? n.guests + (known(n.guests_max) ? ' of ' + n.guests_max : '') + (n.is_blocked ? '; takes none now' : '') : null], ['Frozen', known(n.frozen) ? (n.frozen && !n.is_self ? 'one or more' : n.frozen) : null],
        ['Started', known(n.life) ? new Date(n.life * 1000).toLocaleString() : null], ['Kernel', n.kernel], ['x86-64 level', n.cpu_level], ['mosixd', n.version], ['Age of figures', age(n.age_ms)]];
    $('node-facts').replaceChildren(...facts.filter(([, v]) => known(v)).flatMap(([name, v]) => [el('dt', null, name), el('dd', null, v instanceof Node ? v : String(v))]));
    $('node-chart').replaceChildren();
    $('node').showModal();
    try {
        const past = await get('/api/v1/history', { node: n.number });
        $('node-chart').replaceChildren(chart('Load by speed', past.load_centi, past.period_s, 10800, load, '--low', 100, Math.max(200, $('node-chart').clientWidth - 30)));
    } catch (e) { /* facts without a picture */ }
}

/* ---- processes ---- */
function tableOf(heads, rows) {
    return el('table', null, el('thead', null, el('tr', null, ...heads.map(h => el('th', { scope: 'col' }, h)))),
        el('tbody', null, ...rows.map(r => el('tr', null, ...r.map((c, i) => el('td', { 'data-label': i ? heads[i] : null }, known(c) ? String(c) : ''))))));
}
async function processes() {
    try {
        const all = (await get('/api/v1/processes')).processes, jobs = all.filter(p => !p.is_guest), guests = all.filter(p => p.is_guest), box = $('processes');
        box.replaceChildren();
        if (!all.length) box.append(el('p', { class: 'muted' }, 'No job of this node runs, and no guest is here.'));
        if (jobs.length) box.append(el('h3', null, `${plural(jobs.length, 'process')}`.replace('processs', 'processes') + ' of jobs that began here'),
            tableOf(['Command', 'PID', 'Job', 'Runs on', 'State', 'Moves', 'Why not'], jobs.slice(0, 500).map(p => [p.command, p.pid, p.job, p.where || 'gone from the map', p.phase, p.moves, p.why])));
        if (guests.length) box.append(el('h3', null, plural(guests.length, 'guest') + ' from other nodes'),
            tableOf(['Command', 'PID here', 'Home', 'PID at home'], guests.slice(0, 500).map(p => [p.command, p.pid, p.where, p.home_pid])));
    } catch (e) {
        if (e.message === '404') $('processes-part').hidden = true;
    }
}

/* ---- switches ---- */
function press(group, attribute, value) {
    for (const b of $(group).querySelectorAll('button')) b.setAttribute('aria-pressed', String(b.dataset[attribute] === String(value)));
}
function switched(group, attribute, then) {
    $(group).addEventListener('click', e => {
        const b = e.target.closest('button');
        if (!b) return;
        press(group, attribute, b.dataset[attribute]);
        then(b.dataset[attribute]);
    });
}
switched('spans', 'seconds', s => { view.seconds = Number(s); history(); });
switched('views', 'view', v => { view.view = v; $('list').hidden = v !== 'list'; $('map-part').hidden = v !== 'map'; nodes(); });
switched('shows', 'show', s => { view.show = s; nodes(); });
press('spans', 'seconds', view.seconds);
press('views', 'view', view.view);
press('shows', 'show', view.show);
for (const id of ['find', 'order', 'dead']) $(id).addEventListener('input', () => { view.first = 0; nodes(); });
$('choose').addEventListener('submit', e => e.preventDefault());
$('back').addEventListener('click', () => { view.first = Math.max(0, view.first - pageSize); nodes(); });
$('on').addEventListener('click', () => { view.first += pageSize; nodes(); });
$('map').addEventListener('click', touched);
addEventListener('resize', () => { if (view.view === 'map' && mapData) drawMap(mapData); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { if (mapData && view.view === 'map') drawMap(mapData); });

/* ---- live ---- */
function came(event) {
    const first = !overview;
    overview = JSON.parse(event.data);
    drawAll();
    if (document.hidden && !first) return;
    if (first && overview.all.nodes > 200) $('views').querySelector('[data-view=map]').click();
    else nodes();
    if (tick % 2 === 0) processes();
    if (tick % 5 === 0) history();
    tick++;
}
const events = new EventSource('/api/v1/events');
events.addEventListener('overview', came);
events.addEventListener('error', () => setLive('lost', 'connection lost, trying again'));
document.addEventListener('visibilitychange', () => { if (!document.hidden && overview) { tick = 0; came({ data: JSON.stringify(overview) }); } });
})();
