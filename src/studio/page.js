'use strict';
const one = (query, within = document) => within.querySelector(query);
const form = one('#ask'), panes = one('.panes');
const CURVES = { opacity: 'opacity', gradient: 'gradient', latents_std: 'spread of latents', penalty: 'penalty' };
const COARSE = 64, FINE = 128, FINEST = 256; // pixels; the finest only while nothing trains

let state = null; // what the studio last told
const camera = { azimuth: 25, elevation: 15, zoom: 1 }; // one for all, so that runs are seen from the same side
const shown = []; // the panes: what is looked at, at most two

// --- asking --------------------------------------------------------------------------------------------------
const path = (name) => name.split('/').map(encodeURIComponent).join('/');

async function ask(url, body) {
  const options = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new Error('The studio does not answer. Start it again with make studio: nothing is lost.');
  }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.says);
  return told;
}

const say = (sentence) => { one('#says').textContent = sentence; };

async function act(url, body) {
  say('');
  try {
    return await ask(url, body);
  } catch (error) {
    say(error.message);
  } finally {
    refresh();
  }
}

// --- the prompt ----------------------------------------------------------------------------------------------
let typing;
function tellWords() {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    const prompt = form.prompt.value, line = one('#words');
    const query = new URLSearchParams({ prompt, preset: form.preset.value });
    const found = await ask(`words?${query}`).catch(() => ({}));
    if (prompt !== form.prompt.value) return;
    const parts = Object.entries(found).flatMap(([word, near], i) => {
      const quote = document.createElement('q');
      quote.textContent = word;
      const instead = near.flatMap((other, j) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = other;
        button.onclick = () => {
          const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
          form.prompt.value = prompt.replace(new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'iu'), other);
          tellWords();
        };
        return j ? [', ', button] : [button];
      });
      return [i ? '; ' : 'Not known here: ', quote, ...(near.length ? [', but ', ...instead] : [])];
    });
    line.replaceChildren(...parts);
  }, 250);
}

form.prompt.oninput = form.preset.onchange = tellWords;
form.onsubmit = async (event) => {
  event.preventDefault();
  const button = one('.primary');
  button.disabled = true;
  const settings = Object.fromEntries(['prompt', 'loss', 'scale', 'seed', 'preset'].map((name) => [name, form[name].value]));
  const first = await act('train', settings);
  const beside = form.beside.value && first && await act('train', { ...settings, loss: form.beside.value });
  button.disabled = false;
  if (first) lookAt([first.name, beside && beside.name].filter(Boolean));
};

// --- what is looked at -----------------------------------------------------------------------------------------
function lookAt(names) {
  const before = shown.splice(0);
  names.forEach((name) => shown.push(before.find((pane) => pane.name === name) || makePane(name)));
  panes.replaceChildren(...shown.map((pane) => pane.element));
  panes.classList.toggle('two', shown.length > 1);
  one('#stage').hidden = !shown.length;
  const hash = new URLSearchParams(shown.map((pane, i) => ['ab'[i], pane.name]));
  history.replaceState(null, '', `#${hash}`);
  curvesOf = '';
  update();
}

function makePane(name) {
  const element = one('#pane').content.firstElementChild.cloneNode(true);
  const pane = { name, element, drawn: '', painting: false, moved: false };
  const act_on = (what) => () => act(what, { run: name });
  for (const what of ['pause', 'stop', 'go-on']) one(`.${what}`, element).onclick = act_on(what);
  one('.make', element).onclick = act_on('mesh');
  one('.close', element).onclick = () => lookAt(shown.filter((other) => other !== pane).map((other) => other.name));
  one('.command', element).onclick = async (event) => {
    const told = await act(`command/${path(name)}`), line = one('.line', element), button = event.target;
    if (!told) return;
    line.hidden = false;
    line.value = told.command;
    line.select();
    await navigator.clipboard?.writeText(told.command).then(() => { button.textContent = 'copied'; }, () => {});
    setTimeout(() => { button.textContent = 'command'; }, 2000);
  };
  turnable(one('.view', element));
  return pane;
}

function turnable(view) {
  let last = null;
  view.onpointerdown = (event) => { last = event; view.setPointerCapture(event.pointerId); };
  view.onpointermove = (event) => {
    if (!last) return;
    const degrees = 180 / view.clientWidth;
    move(-(event.clientX - last.clientX) * degrees, (event.clientY - last.clientY) * degrees, 1);
    last = event;
  };
  view.onpointerup = view.onpointercancel = () => { last = null; };
  view.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && document.activeElement !== view) return; // the page scrolls until it is clicked
    event.preventDefault();
    move(0, 0, Math.exp(event.deltaY / 800));
  }, { passive: false });
  view.onkeydown = (event) => {
    const by = { ArrowLeft: [-10, 0, 1], ArrowRight: [10, 0, 1], ArrowUp: [0, 10, 1], ArrowDown: [0, -10, 1],
      '+': [0, 0, 1 / 1.1], '-': [0, 0, 1.1] }[event.key];
    if (!by) return;
    event.preventDefault();
    move(...by);
  };
}

function move(azimuth, elevation, zoom) {
  camera.azimuth = (camera.azimuth + azimuth + 360) % 360;
  camera.elevation = Math.max(-80, Math.min(80, camera.elevation + elevation));
  camera.zoom = Math.max(0.75, Math.min(2, camera.zoom * zoom));
  shown.forEach((pane) => { pane.moved = true; paint(pane); });
}
one('#front').onclick = () => { Object.assign(camera, { azimuth: 0, elevation: 15, zoom: 1 }); move(0, 0, 1); };
document.querySelectorAll('[name=show], #backdrop').forEach((input) => { input.onchange = () => shown.forEach(paint); });

// A pane shows its run coarsely at first, and finer while nothing moves; one picture at a time.
async function paint(pane) {
  if (pane.painting) { pane.again = true; return; }
  pane.painting = true;
  do {
    pane.again = false;
    const { run } = found(pane.name);
    if (!run || run.shape === null) break;
    const sizes = state.training || run.trains ? [COARSE, FINE] : [COARSE, FINE, FINEST];
    for (const height of pane.moved || !pane.drawn ? sizes : sizes.slice(1)) {
      const query = new URLSearchParams({ ...camera, height, step: run.shape, show: one('[name=show]:checked').value,
        backdrop: one('#backdrop').checked ? 'env' : 'transparent' });
      const key = `frame/${path(pane.name)}?${query}`;
      if (key !== pane.drawn && !await put(pane, key)) break;
      if (pane.again) break;
    }
    pane.moved = false;
  } while (pane.again);
  pane.painting = false;
}

async function put(pane, url, kind = '') {
  const answer = await fetch(url).catch(() => null);
  if (!answer || !answer.ok) return false;
  const picture = URL.createObjectURL(await answer.blob()), image = one('img', pane.element), old = image.src;
  image.src = picture;
  await image.decode().catch(() => {});
  image.className = kind;
  image.hidden = false;
  if (old) URL.revokeObjectURL(old);
  pane.drawn = url;
  return true;
}

// --- what there is -----------------------------------------------------------------------------------------------
function found(name) {
  const run = state.runs.find((each) => each.name === name);
  const job = state.queue.find((each) => each.name === name);
  const current = state.current && state.current.name === name ? state.current : null;
  return { run, job, current, facts: run || job || current };
}

const factsOf = (run) => [run.loss + (run.scale ? ` ${run.scale}` : ''), `seed ${run.seed}`, run.preset].filter(Boolean).join(' · ');

function progress(name) {
  const { run, job, current } = found(name);
  const step = run ? run.step : 0, steps = (run || job || current || { steps: 1 }).steps;
  if (current && state.asked) return `saves, and draws its turntable`;
  if (current) return run && run.trains && run.shape !== null ? `step ${step} of ${steps}` : `starts: ${state.line || 'loads the prior'}`;
  if (run && run.trains) return `step ${step} of ${steps}, trained by another command`;
  if (job) {
    return state.held ? 'waits until something goes on' : state.waits_for ? `waits for ${state.waits_for}, trained by another command`
      : 'waits for its turn';
  }
  if (!run) return 'is not there any more';
  return run.finished ? `finished${run.seconds ? ` in ${duration(run.seconds)}` : ''}` : `stopped at step ${step} of ${steps}`;
}
const duration = (seconds) => seconds < 100 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min`
  : `${(seconds / 3600).toFixed(1)} h`;

function updatePane(pane) {
  const { run, job, current, facts } = found(pane.name), element = pane.element, within = (query) => one(query, element);
  const show = (query, when) => { within(query).hidden = !when; };
  if (facts) {
    within('h2').textContent = facts.prompt;
    within('.facts').textContent = factsOf(facts);
    within('.view').setAttribute('aria-label', `${facts.prompt}; arrows turn it`);
    within('progress').value = run ? run.step / run.steps : 0;
  }
  within('.told').textContent = progress(pane.name);
  within('.bad').textContent = [state.said[pane.name], state.meshes[pane.name]].filter((said) => said && said !== 'making').join(' ');
  const files = run ? run.files : {}, making = state.meshes[pane.name] === 'making', mesh = files['mesh.glb'] && !run.stale_mesh;
  show('.pause', current && !state.asked);
  show('.stop', (current && !state.asked) || job);
  within('.stop').textContent = job ? 'Remove' : 'Stop';
  show('.go-on', (job && state.held) || (run && !run.finished && !run.trains && !current && !job));
  for (const [kind, file] of [['mp4', 'turntable.mp4'], ['sheet', 'sheet.png'], ['glb', 'mesh.glb']]) {
    show(`.${kind}`, kind === 'glb' ? mesh && !making : files[file]);
    within(`.${kind}`).href = `file/${path(pane.name)}/${file}?save`;
  }
  show('.make', run && run.shape !== null && (!mesh || making));
  within('.make').disabled = making;
  within('.make').textContent = making ? 'GLB: a moment' : 'make GLB';
  show('.command', run);
  const picture = within('img');
  within('figcaption').textContent = picture.hidden ? progress(pane.name) : '';
  if (run && run.shape !== null) paint(pane);
  else if (run && run.files['picture.png'] && pane.drawn !== `${run.files['picture.png']}`) {
    put(pane, `file/${path(pane.name)}/picture.png?${run.files['picture.png']}`);
  } else if (run && run.preview && pane.drawn !== `preview/${path(pane.name)}?${run.preview}`) {
    put(pane, `preview/${path(pane.name)}?${run.preview}`, 'preview');
  }
}

let curvesOf = '';
async function updateCurves() {
  const runs = shown.map((pane) => found(pane.name).run).filter(Boolean);
  const key = runs.map((run) => `${run.name} ${run.step}`).join();
  if (key === curvesOf) return;
  curvesOf = key;
  const told = await Promise.all(shown.map((pane) => found(pane.name).run ? ask(`curves/${path(pane.name)}`).catch(() => ({})) : {}));
  if (key !== curvesOf) return;
  one('#curves').replaceChildren(...Object.keys(CURVES).filter((name) => told.some((each) => each[name])).map((name) => chart(name, told)));
}

function chart(name, told) {
  const lines = told.map((each) => each[name] || []), all = lines.flat();
  const last = Math.max(...all.map((point) => point[0]), 1), values = all.map((point) => point[1]).sort((x, y) => x - y);
  const high = name === 'opacity' ? 1 : values[Math.floor(0.98 * (values.length - 1))] || 1, low = Math.min(0, values[0]);
  const box = document.createElement('div'), svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 100');
  svg.setAttribute('preserveAspectRatio', 'none');
  lines.forEach((line, i) => {
    const drawn = document.createElementNS(svg.namespaceURI, 'polyline');
    const y = (value) => Math.max(0, 100 - 100 * (value - low) / (high - low || 1));
    drawn.setAttribute('points', line.map(([step, value]) => `${100 * step / last},${y(value)}`).join(' '));
    drawn.setAttribute('class', 'ab'[i]);
    svg.append(drawn);
  });
  const title = document.createElement('p'), words = [CURVES[name], lines.filter((line) => line.length)
    .map((line) => Number(line.at(-1)[1].toPrecision(2))).join(' | ')];
  title.append(...words.map((text) => Object.assign(document.createElement('span'), { textContent: text })));
  box.append(title, svg);
  return box;
}

const cards = new Map();
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
function updateCards() {
  const wanted = state.runs.map((run) => {
    let card = cards.get(run.name);
    if (!card) {
      card = one('#card').content.firstElementChild.cloneNode(true);
      one('.pick', card).onclick = () => { lookAt([run.name]); scrollTo({ top: 0, behavior: still ? 'auto' : 'smooth' }); };
      one('.beside', card).onclick = () => { lookAt([...new Set([shown[0] ? shown[0].name : run.name, run.name])]); scrollTo({ top: 0 }); };
      one('.beside', card).setAttribute('aria-label', `show ${run.prompt} beside`);
      cards.set(run.name, card);
    }
    const image = one('img', card), version = run.files[still ? 'sheet.png' : 'turntable.webp'] || run.files['picture.png'];
    const file = run.files['turntable.webp'] ? still ? 'sheet.png' : 'turntable.webp' : 'picture.png';
    const source = version ? `file/${path(run.name)}/${file}?${version}` : run.preview ? `preview/${path(run.name)}?${run.preview}` : '';
    if (source && image.getAttribute('src') !== source) image.src = source;
    one('.name', card).textContent = run.prompt;
    one('.facts', card).textContent = factsOf(run) + (run.finished ? '' : ` · ${run.trains ? 'trains' : 'stopped'}`);
    const place = shown.findIndex((pane) => pane.name === run.name);
    if (place < 0) card.removeAttribute('aria-current'); else card.setAttribute('aria-current', 'ab'[place]);
    return card;
  });
  const list = one('#cards');
  if (wanted.length !== list.children.length || wanted.some((card, i) => card !== list.children[i])) list.replaceChildren(...wanted);
  one('#none').hidden = wanted.length > 0;
}

function updateQueue() {
  one('#queue').replaceChildren(...state.queue.map((job) => {
    const item = document.createElement('li'), remove = document.createElement('button');
    remove.type = 'button';
    remove.textContent = '×';
    remove.setAttribute('aria-label', `Remove ${job.prompt} from the queue`);
    remove.onclick = () => act('stop', { run: job.name });
    item.append(`next: ${job.prompt} · ${job.loss}`, remove);
    return item;
  }));
  const { current } = state, running = current && progress(current.name);
  one('#status').textContent = state.trouble || (current ? `${current.prompt} · ${running}`
    : state.queue.length ? progress(state.queue[0].name) : '');
}

function update() {
  if (!state) return;
  shown.forEach(updatePane);
  updateCards();
  updateQueue();
  updateCurves();
}

let asking = false;
async function refresh() {
  if (asking) return;
  asking = true;
  try {
    const first = !state;
    state = await ask('state');
    if (first) begin();
    if (one('#says').textContent.startsWith('The studio does not answer')) say('');
    update();
  } catch (error) {
    say(error.message);
  } finally {
    asking = false;
  }
}

function begin() {
  for (const select of [form.loss, form.beside]) {
    select.append(...state.losses.map((loss) => Object.assign(document.createElement('option'), { value: loss, textContent: loss })));
  }
  form.loss.value = 'nfsd';
  form.preset.value = state.preset;
  one('option[value=paper]').disabled = !state.cuda;
  const hash = new URLSearchParams(location.hash.slice(1)), known = new Set(state.runs.map((run) => run.name));
  state.queue.concat(state.current || []).forEach((job) => known.add(job.name));
  const asked = [hash.get('a'), hash.get('b')].filter((name) => known.has(name));
  const usual = (state.current || state.runs.find((run) => run.trains) || state.runs[0] || {}).name;
  lookAt(asked.length ? asked : usual ? [usual] : []);
  form.prompt.focus({ preventScroll: true });
}

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
document.addEventListener('visibilitychange', () => { if (!document.hidden) refresh(); });
