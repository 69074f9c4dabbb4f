// What pages do beyond links and forms: live updates, a grid that loads as it is scrolled, a side
// panel, and keys. Every page works without this file.
'use strict';
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const body = document.body;
  const run = body.dataset.run || '';
  document.documentElement.classList.add('js');

  // --- Parts of pages ---

  // nodes parses what the server wrote; rows need a table around them.
  const nodes = (html) => {
    const isRows = /^\s*<(tr|tbody)/.test(html);
    const parsed = new DOMParser().parseFromString(isRows ? `<table>${html}</table>` : html, 'text/html');
    if (!isRows) return [...parsed.body.childNodes];
    return /^\s*<tbody/.test(html) ? $$('tbody', parsed) : $$('tr', parsed);
  };

  const fetchPart = async (url, name) => {
    const answer = await fetch(url, { headers: { 'Daybreak-Fragment': name } });
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    return nodes(await answer.text());
  };

  // swap replaces the content of a place and keeps the focus and what stands open; it leaves alone a
  // place where somebody is typing.
  const swap = (place, content) => {
    const active = place.contains(document.activeElement) ? document.activeElement : null;
    if (active && active.matches('input, textarea, select')) return;
    if ($('details[open] form', place)) return;
    const open = $$('details', place).map((d) => d.open);
    const key = active && (active.getAttribute('href') || active.id);
    place.replaceChildren(...content);
    $$('details', place).forEach((d, i) => { if (open[i] !== undefined) d.open = open[i]; });
    if (key) $$('a, [id]', place).find((e) => e.getAttribute('href') === key || e.id === key)?.focus({ preventScroll: true });
  };

  // soon calls do now, and at most once in ms after that.
  const soon = (ms, task) => {
    let waiting = false, again = false;
    const go = async () => {
      if (waiting) { again = true; return; }
      waiting = true;
      try { await task(); } catch (e) { console.warn(e); }
      setTimeout(() => { waiting = false; if (again) { again = false; go(); } }, ms);
    };
    return go;
  };

  const refresh = async (place) => {
    const url = place.id === 'panel' ? place.dataset.url : location.href;
    swap(place, await fetchPart(url, place.dataset.fragment));
  };

  // --- Grid: pages of rows, at most pagesMax of them in the document ---

  const grid = $('#grid');
  const pagesMax = 8;
  const chosen = new Set();
  const pages = () => $$('tbody[data-page]', grid);

  // keeping runs a change of the rows so that what is seen stays where it is.
  const keeping = (change) => {
    const edge = grid.getBoundingClientRect().top;
    const row = $$('tr[data-id]', grid).find((r) => r.getBoundingClientRect().bottom > edge + 40);
    const before = row?.getBoundingClientRect().top;
    change();
    if (row?.isConnected) grid.scrollTop += row.getBoundingClientRect().top - before;
  };

  const dress = () => {
    const open = new URL(location.href).searchParams.get('order');
    $$('tr[data-id]', grid).forEach((row) => {
      row.classList.toggle('open', row.dataset.id === open);
      const box = $('input[type=checkbox]', row);
      if (box) box.checked = chosen.has(row.dataset.id);
    });
    const button = $('#approve-chosen');
    if (button) {
      button.disabled = chosen.size === 0;
      $('span', button).textContent = chosen.size ? `Approve ${chosen.size.toLocaleString('en')} chosen…` : 'Approve chosen';
    }
  };

  let loading = false;
  const extend = async () => {
    if (loading) return;
    const all = pages(), margin = 1.5 * grid.clientHeight;
    const next = all.at(-1)?.dataset.next, prev = all[0]?.dataset.prev;
    const below = grid.scrollHeight - grid.scrollTop - grid.clientHeight;
    if (!(next && below < margin) && !(prev && grid.scrollTop < margin)) return;
    loading = true;
    let loaded = false;
    try {
      if (next && below < margin) {
        const [page] = await fetchPart(next, 'order-rows');
        keeping(() => { all.at(-1).after(page); if (all.length >= pagesMax) all[0].remove(); });
      } else {
        const [page] = await fetchPart(prev, 'order-rows');
        keeping(() => { all[0].before(page); if (all.length >= pagesMax) all.at(-1).remove(); });
      }
      dress();
      loaded = true;
    } catch (e) {
      console.warn(e);
    } finally {
      loading = false;
    }
    if (loaded) requestAnimationFrame(extend); // who scrolled meanwhile waits for no further move
  };

  const refreshGrid = async () => {
    const active = document.activeElement?.closest?.('tr[data-id]')?.dataset.id;
    for (const page of pages()) {
      const [fresh] = await fetchPart(page.dataset.self, 'order-rows');
      const old = new Map($$('tr[data-id]', page).map((r) => [r.dataset.id, $('.state', r)?.textContent]));
      $$('tr[data-id]', fresh).forEach((r) => { if (old.has(r.dataset.id) && old.get(r.dataset.id) !== $('.state', r)?.textContent) r.classList.add('fresh'); });
      keeping(() => page.replaceWith(fresh));
    }
    dress();
    if (active) $(`tr[data-id="${CSS.escape(active)}"] [data-open]`, grid)?.focus({ preventScroll: true });
  };

  // align brings the first row that is seen wholly below the head of the table.
  const align = () => {
    const edge = $('thead', grid).getBoundingClientRect().bottom;
    const row = $$('tr[data-id]', grid).find((r) => r.getBoundingClientRect().bottom > edge + 1);
    if (row) grid.scrollTop += Math.min(row.getBoundingClientRect().top - edge, 0);
  };

  if (grid) {
    grid.addEventListener('scroll', extend, { passive: true });
    grid.addEventListener('change', (e) => {
      if (e.target.name !== 'id') return;
      if (e.target.checked) chosen.add(e.target.value); else chosen.delete(e.target.value);
      dress();
    });
    $('#pick').addEventListener('submit', (e) => {
      const shown = new Set($$('input[name=id]:checked', grid).map((b) => b.value));
      for (const id of chosen) {
        if (shown.has(id)) continue;
        const field = Object.assign(document.createElement('input'), { type: 'hidden', name: 'id', value: id });
        e.target.append(field);
      }
    });
    dress();
    extend();
    const open = $('tr.open', grid);
    if (open) grid.scrollTop += open.getBoundingClientRect().top - grid.getBoundingClientRect().top - grid.clientHeight / 2;
    align();
  }

  // --- Side panel ---

  const panel = $('#panel');
  const listURL = () => { const u = new URL(location.href); u.searchParams.delete('order'); return u.pathname + u.search; };
  const dressPanel = () => {
    const close = $('[data-close]', panel);
    if (close) close.href = listURL();
    $$('input[name=back]', panel).forEach((i) => { i.value = location.pathname + location.search; });
  };
  const showPanel = async (id, focus) => {
    panel.dataset.url = `/runs/${encodeURIComponent(run)}/orders/${encodeURIComponent(id)}`;
    panel.dataset.fragment = 'order-panel';
    panel.replaceChildren(...await fetchPart(panel.dataset.url, 'order-panel'));
    panel.hidden = false;
    panel.scrollTop = 0;
    $('.review').classList.add('with-panel');
    dressPanel();
    dress();
    if (focus) $('#panel-title')?.focus({ preventScroll: true });
  };
  const hidePanel = () => {
    if (!panel || panel.hidden) return false;
    const id = new URL(location.href).searchParams.get('order');
    history.pushState(null, '', listURL());
    panel.hidden = true;
    panel.replaceChildren();
    $('.review').classList.remove('with-panel');
    dress();
    if (id) $(`tr[data-id="${CSS.escape(id)}"] [data-open]`, grid)?.focus();
    return true;
  };
  if (panel) {
    const id = new URL(location.href).searchParams.get('order');
    if (id) {
      panel.dataset.url = `/runs/${encodeURIComponent(run)}/orders/${encodeURIComponent(id)}`;
      panel.dataset.fragment = 'order-panel';
      dressPanel();
    }
    addEventListener('popstate', () => location.reload());
  }
  const plainClick = (e) => e.button === 0 && !e.metaKey && !e.ctrlKey && !e.shiftKey && !e.altKey;
  document.addEventListener('click', (e) => {
    if (!plainClick(e) || e.defaultPrevented) return;
    if (e.target.closest('[data-close]') && hidePanel()) { e.preventDefault(); return; }
    const row = e.target.closest('[data-rows] tbody tr');
    let link = e.target.closest('a[data-open]');
    if (!link && row && !e.target.closest('a, label, input, button, summary') && !getSelection().toString()) link = $('a[data-open]', row);
    if (!link) return;
    if (grid?.contains(link)) {
      e.preventDefault();
      const u = new URL(location.href);
      u.searchParams.set('order', link.closest('tr').dataset.id);
      history.pushState(null, '', u);
      showPanel(link.closest('tr').dataset.id, e.detail === 0).catch(() => { location.href = link.href; });
    } else if (!e.target.closest('a')) {
      location.href = link.href;
    }
  });

  // --- Keys ---

  const help = $('#help');
  const keysOn = () => localStorage.getItem('keys') !== 'off';
  if (help) {
    const button = $('#help-open'), box = $('#keys-on');
    button.hidden = false;
    button.addEventListener('click', () => help.showModal());
    box.checked = keysOn();
    box.addEventListener('change', () => localStorage.setItem('keys', box.checked ? 'on' : 'off'));
  }
  let current = null, prefix = '';
  const move = (step) => {
    const links = $$('[data-rows] a[data-open]').filter((a) => a.offsetParent);
    const here = document.activeElement?.closest?.('tr') || (current?.isConnected ? current : $('tr.open'));
    const at = links.findIndex((a) => a.closest('tr') === here);
    const to = links[at < 0 ? 0 : Math.min(Math.max(at + step, 0), links.length - 1)];
    if (!to) return;
    to.focus({ preventScroll: true });
    current = to.closest('tr');
    current.scrollIntoView({ block: 'nearest' });
    if (grid) align();
  };
  const go = { r: run ? `/runs/${run}` : '/', o: run ? `/runs/${run}/orders` : '/', f: '/fills' };
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: () => $('input[type=checkbox]', document.activeElement?.closest?.('tr') || current || document.createElement('i'))?.click(),
    a: () => { if (chosen.size) $('#pick').requestSubmit(); else $('#approve-all')?.click(); },
    '/': () => { $('#find').focus(); $('#find').select(); },
    '?': () => help.showModal(),
    g: () => { prefix = 'g'; setTimeout(() => { prefix = ''; }, 1200); },
  };
  document.addEventListener('keydown', (e) => {
    if (!help || e.ctrlKey || e.metaKey || e.altKey || help.open) return;
    const typing = e.target.matches('input:not([type=checkbox]), textarea, select');
    if (e.key === 'Escape') { if (typing) e.target.blur(); else hidePanel(); return; }
    if (typing || !keysOn()) return;
    if (prefix === 'g' && go[e.key]) { location.href = go[e.key]; e.preventDefault(); return; }
    if (keys[e.key]) { keys[e.key](); e.preventDefault(); }
  });

  // --- Live updates ---

  if (!body.dataset.since) return;
  const link = $('#link');
  const say = (text, look) => { if (link.textContent !== text) link.textContent = text; link.className = `link ${look}`; };
  const liveParts = $$('[data-fragment="run-details"], [data-reload]').map((p) => soon(3000, () => refresh(p)));
  const grids = grid ? soon(1500, refreshGrid) : null;
  const panels = panel ? soon(1500, () => (panel.hidden ? null : refresh(panel).then(dressPanel))) : null;
  const moved = () => { liveParts.forEach((p) => p()); grids?.(); panels?.(); };
  const fills = $('#fills');
  const reloadFills = fills ? soon(1500, () => refresh(fills)) : null;
  const streams = $('#streams') ? soon(1500, () => refresh($('#streams'))) : null;
  const fillsMax = 500;

  let last = body.dataset.since;
  const connect = () => {
    const source = new EventSource(`/events?since=${encodeURIComponent(last)}`);
    const on = (kind, act) => source.addEventListener(kind, (e) => { last = e.lastEventId || last; act(JSON.parse(e.data)); });
    source.onopen = () => say('Live', 'on');
    source.onerror = () => {
      say('Reconnecting', 'off');
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
    };
    on('run', (e) => {
      if ($('#wait-for-run')) { location.href = '/'; return; }
      const place = $('#run-live');
      if (place && place.dataset.live === e.run) swap(place, nodes(e.html));
      if (run === e.run) moved();
    });
    on('fills', (e) => {
      if (!fills) return;
      streams?.();
      if (e.more) { reloadFills(); return; }
      const rows = $('#fill-rows');
      const have = new Set($$('tr', rows).map((r) => r.dataset.key));
      const fresh = nodes(e.html).filter((r) => !have.has(r.dataset.key));
      fresh.forEach((r) => r.classList.add('fresh'));
      rows.prepend(...fresh);
      $$('tr', rows).slice(fillsMax).forEach((r) => r.remove());
      $('#no-fills')?.remove();
    });
    on('reload', () => { moved(); reloadFills?.(); });
    addEventListener('pagehide', () => source.close(), { once: true });
  };
  connect();
  addEventListener('pageshow', (e) => { if (e.persisted) location.reload(); }); // back from the browser's cache
})();
