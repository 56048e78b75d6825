// The page: opens WebGPU, has one tab a scene and one that verifies, and starts again after a lost device.

import { Scene } from './scene.js';
import { openVerifier, verify } from './verify.js';

const find = id => document.getElementById(id);
const BROWSERS = 'Chrome and Edge have WebGPU since version 113, Safari since 26, and Firefox since 141; on Linux and Android '
    + 'some of them have it behind a setting.';

const page = {
    // Promises by the name of a module of scenes: what it exports, and the device that it opens. Whoever asks while one is on
    // its way waits for the same one: a module that was started twice would mix up the memories of its two instances.
    modules: new Map(), devices: new Map(),
    device: null, scene: null, tab: null, entries: [], verifier: null, verifying: null, outcomes: null,
};
// For tests, and for the curious at the console.
window.fourfold = page;

function notice(text, again) {
    find('notice').hidden = false;
    find('notice-text').textContent = text;
    find('again').hidden = !again;
    if (again) find('again').focus();
}

/**
 * Says what went wrong. What ended the scene, or a lost device, offers to start again; a wrong input leaves the scene as it
 * is. A browser tells of the loss a little after the first call that fails by it.
 */
async function fail(error, ended = !page.scene) {
    if (ended) close();
    await new Promise(resolve => setTimeout(resolve, 250));
    const lost = page.device?.lost() ?? page.verifier?.lost();
    if (lost) close();
    const text = lost ? `The graphics device was lost: ${lost}. Nothing runs any more; start again on a new one.`
        : `${error?.message ?? error}`;
    notice(text, ended || Boolean(lost));
}

function close() {
    page.scene?.close();
    page.scene = null;
}

/** Opens the tab, on new devices. */
async function open() {
    page.devices.clear();
    page.device = page.verifier = null;
    await show(page.tab);
    try {
        find('adapter').textContent = await describe();
    } catch (error) {
        fail(error);
    }
}

/** The promise under a name, made where there is none; one that fails is made anew when it is asked for again. */
function once(promises, name, make) {
    if (!promises.has(name)) {
        const made = make();
        promises.set(name, made);
        made.catch(() => { if (promises.get(name) === made) promises.delete(name); });
    }
    return promises.get(name);
}

/** Loads a module of scenes and the files that it wants. */
const load = name => once(page.modules, name, async () => {
    const bindings = await import(`./fourfold_${name}.js`);
    await bindings.default({ module_or_path: `fourfold_${name}_bg.wasm` });
    await Promise.all(bindings.wanted_files().map(async file => bindings.give_file(file, await bytesOf(`weights/${file}`))));
    return bindings;
});

async function describe() {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
    const name = [vendor, architecture, description].filter(text => text).join(' ');
    return `WebGPU on ${name || 'an adapter without a name'}${isFallbackAdapter ? ', a software driver' : ''}`;
}

// ---- Tabs

function tabs() {
    const all = [...page.entries, { word: 'verify', title: 'Verify' }];
    find('tabs').replaceChildren(...all.map(({ word, title }, at) => {
        const tab = Object.assign(document.createElement('button'), { type: 'button', id: `tab-${word}` });
        tab.append(title, Object.assign(document.createElement('kbd'), { textContent: `${at + 1}` }));
        tab.setAttribute('role', 'tab');
        tab.setAttribute('aria-controls', word === 'verify' ? 'verify' : 'scene');
        tab.addEventListener('click', () => show(word));
        return tab;
    }));
    find('tabs').addEventListener('keydown', event => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const at = (all.findIndex(({ word }) => word === page.tab) + step + all.length) % all.length;
        show(all[at].word);
        find(`tab-${all[at].word}`).focus();
    });
}

async function show(word) {
    close();
    find('notice').hidden = true;
    page.tab = word;
    for (const tab of find('tabs').children) {
        const selected = tab.id === `tab-${word}`;
        tab.setAttribute('aria-selected', selected);
        tab.tabIndex = selected ? 0 : -1;
    }
    find('verify').hidden = word !== 'verify';
    find('scene').hidden = word === 'verify';
    history.replaceState(null, '', `#${word}`);
    const entry = page.entries.find(entry => entry.word === word);
    find('opening').hidden = !entry;
    if (!entry) return;
    try {
        const bindings = await load(entry.module);
        const device = await once(page.devices, entry.module, () => bindings.Device.open());
        // Another tab may have been chosen meanwhile.
        if (page.tab !== word || page.scene) return;
        page.device = device;
        page.scene = new Scene(bindings.Live, device, entry, fail);
    } catch (error) {
        if (page.tab === word) fail(error);
    } finally {
        if (page.tab === word) find('opening').hidden = true;
    }
}

async function verifyAll() {
    find('verify-summary').textContent = 'Loading the kernels and their twins';
    page.verifier ??= await openVerifier();
    page.outcomes = await verify(page.verifier, Number(find('verify-cases').value));
    if (page.verifier.lost()) fail(page.verifier.lost());
}

function startVerifying() {
    page.verifying ??= verifyAll().catch(error => fail(error, false)).finally(() => { page.verifying = null; });
}

// ---- Keys and colours

function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey && event.key !== 't') return;
    if (event.altKey) return theme();
    const at = Number(event.key);
    const tab = find('tabs').children[at - 1];
    const typing = event.target.matches('input:not([type=range]), select, textarea');
    if (typing || event.key.length !== 1 || event.key === ' ') return;
    if (tab) return tab.click();
    if (page.tab === 'verify' && event.key === 'v') return void startVerifying();
    const [name, back] = event.key === '-' ? ['+', true] : [event.key.toLowerCase(), event.shiftKey && /[a-z]/i.test(event.key)];
    if (page.scene?.key(name, back)) event.preventDefault();
}

function theme(dark = document.documentElement.dataset.theme !== 'dark') {
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    page.scene?.restyle();
}

async function bytesOf(file) {
    const response = await fetch(file);
    if (!response.ok) throw new Error(`${file}: the server answers ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
}

async function main() {
    const preference = window.matchMedia('(prefers-color-scheme: dark)');
    theme(preference.matches);
    preference.addEventListener('change', () => theme(preference.matches));
    find('theme').addEventListener('click', () => theme());
    find('again').addEventListener('click', open);
    find('verify-start').addEventListener('click', startVerifying);
    document.addEventListener('keydown', key);
    if (!navigator.gpu) {
        find('opening').hidden = true;
        return notice(`This browser has no WebGPU, on which everything here runs. ${BROWSERS}`, false);
    }
    try {
        page.entries = JSON.parse((await load('methods')).scenes());
        tabs();
        const asked = location.hash.slice(1);
        page.tab = [...page.entries.map(({ word }) => word), 'verify'].find(word => word === asked) ?? null;
        page.tab ??= page.entries[0]?.word ?? 'verify';
    } catch (error) {
        find('opening').hidden = true;
        return notice(`The page could not be loaded: ${error?.message ?? error}`, false);
    }
    await open();
}

page.ready = main();
