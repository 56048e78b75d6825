// Opens the page in headless Chromium and holds it against native runs. `cargo xtask web-test` calls it with one argument,
// JSON: url, browser, native (a file that `fourfold verify --json` wrote), training (one that the example `readings` wrote),
// cases, profile and screenshots (folders). Without native and training it holds the page against what tests assert natively.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';

const order = JSON.parse(process.argv[2]);
const FLAGS = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-quic', '--enable-unsafe-webgpu'];

// Kernels whose verdict in a page differs from the native one, each with its reason. One that is listed and does not differ
// fails too, so that a mended reason is noticed.
const NO_SUBGROUPS = ['skipped', "wgpu's WebGPU backend passes no subgroups on"];
const DIFFERENT = {
    convolution_gather: NO_SUBGROUPS,
    convolution_row: NO_SUBGROUPS,
    weight_gradient_gather: NO_SUBGROUPS,
    weight_gradient_sliding: NO_SUBGROUPS,
    matmul_subgroup: NO_SUBGROUPS,
};

// The training that is run there and here. Bits are equal on Mesa's and on Chromium's software driver; others round otherwise,
// and every step amplifies that.
const TRAINING = { seed: 1, steps: 100, bound: 1e-3 };

/** What the page or WebGPU complained about. A complaint that is expected is taken out where it is. */
const complaints = [];
const start = performance.now();
const say = text => console.log(`${((performance.now() - start) / 1000).toFixed(1).padStart(7)} s  ${text}`);

/** Ends where there is nothing to test: `cargo xtask web-test --if-possible` passes then. */
function giveUp(reason) {
    console.error(`${order.browser}: ${reason}`);
    process.exit(3);
}

// A busy machine takes its time.
const PATIENCE = 180_000;

const { chromium } = await import('playwright-core').catch(error => giveUp(`playwright-core does not load: ${error.message}`));

mkdirSync(order.screenshots, { recursive: true });
const browser = await chromium.launchPersistentContext(order.profile, {
    executablePath: order.browser, headless: true, chromiumSandbox: false, args: FLAGS, viewport: { width: 1180, height: 760 },
    timeout: PATIENCE,
}).catch(error => giveUp(`it does not start: ${error.message}`));
browser.setDefaultTimeout(PATIENCE);

/** Asks for WebGPU on a page of no scripts of ours, from where it is offered. */
async function hasWebGpu() {
    const page = await browser.newPage();
    await page.goto(`${order.url}style.css`);
    const found = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
    await page.close();
    return found;
}

async function open(path = '', prepare = () => {}) {
    const page = await browser.newPage();
    page.on('console', message => { if (message.type() === 'error') complaints.push(message.text()); });
    page.on('pageerror', error => complaints.push(`${error}`));
    await prepare(page);
    await page.goto(order.url + path);
    await page.evaluate(() => window.fourfold.ready);
    return page;
}

const quiet = () => assert.deepEqual(complaints, [], 'the page and WebGPU complain about nothing');
const shot = (page, name) => page.screenshot({ path: `${order.screenshots}/${name}.png` });
const frames = (page, count) => page.evaluate(count => new Promise(resolve => {
    const next = () => count-- > 0 ? requestAnimationFrame(next) : resolve();
    next();
}), count);

async function verifies(page) {
    await page.keyboard.press(`${await page.evaluate(() => fourfold.entries.length + 1)}`);
    await page.selectOption('#verify-cases', { label: `${order.cases}` });
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('v');
    let outcomes = null;
    for (let wait = 0; !outcomes; wait++) {
        assert.ok(wait < 60, `every kernel is judged within half an hour: ${await page.textContent('#verify-summary')}`);
        outcomes = await Promise.race([
            page.waitForFunction(() => fourfold.outcomes, null, { timeout: 0, polling: 1000 }).then(found => found.jsonValue()),
            new Promise(resolve => setTimeout(resolve, 30_000, null)),
        ]);
        if (!outcomes) say(await page.textContent('#verify-summary'));
    }
    const names = await page.evaluate(() => fourfold.verifier.kernels());
    // The tests of the library assert that each is right natively.
    const native = new Map(order.native ? JSON.parse(readFileSync(order.native)).kernels.map(({ kernel, outcome }) => [kernel, outcome])
        : names.map(kernel => [kernel, 'right']));
    assert.deepEqual(outcomes.map(({ kernel }) => kernel), [...native.keys()], 'the page judges every kernel there is');
    const slow = [...outcomes].sort((a, b) => b.seconds - a.seconds).slice(0, 3);
    say(`the slowest: ${slow.map(({ kernel, seconds }) => `${kernel} ${seconds.toFixed(1)} s`).join(', ')}`);
    const wrong = [];
    for (const { kernel, outcome, message } of outcomes) {
        const [expected, reason] = DIFFERENT[kernel] ?? [native.get(kernel), 'as natively'];
        if (outcome !== expected) wrong.push(`${kernel}: expected ${expected} (${reason}), got ${outcome}: ${message}`);
        if (kernel in DIFFERENT) say(`${kernel}: ${outcome}, natively ${native.get(kernel)}: ${reason}`);
    }
    assert.deepEqual(wrong, []);
    say(await page.textContent('#verify-summary'));
    await shot(page, 'page-verify');
}

/** Changes tabs faster than a module comes: it is loaded once, and the tab that was chosen last plays. */
async function loadsAModuleOnce(page) {
    const first = await page.evaluate(() => fourfold.entries[0].module);
    const other = await page.evaluate(first => fourfold.entries.find(({ module }) => module !== first), first);
    await page.evaluate(word => {
        const tabs = [word, fourfold.entries[0].word, word].map(word => document.getElementById(`tab-${word}`));
        for (const tab of tabs) tab.click();
    }, other.word);
    await page.waitForFunction(() => fourfold.scene?.live.steps() > 0);
    const loads = await page.evaluate(name => performance.getEntriesByType('resource').filter(entry => entry.name.endsWith(name)).length,
        `fourfold_${other.module}_bg.wasm`);
    assert.equal(loads, 1, `the module ${other.module} is loaded once`);
    assert.equal(await page.evaluate(() => fourfold.tab), other.word);
    say(`${other.word}: chosen twice before it came, loaded once`);
}

/** Opens the tab of a scene by its digit, and lets it play. */
async function plays(page, word, count) {
    const at = await page.evaluate(word => fourfold.entries.findIndex(entry => entry.word === word), word);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press(`${at + 1}`);
    // Its module is loaded first, and the first step compiles its kernels, which a busy machine does for longer.
    await page.waitForFunction(() => fourfold.scene);
    await frames(page, count);
    await page.waitForFunction(() => fourfold.scene.live.steps() > 0);
    const [rate, steps] = await page.evaluate(() => [fourfold.scene.rate(), fourfold.scene.live.steps()]);
    say(`${word}: ${rate.toFixed(0)} frames a second, ${steps} steps in ${count} frames`);
    await shot(page, `page-${word}`);
}

const readings = page => page.evaluate(() =>
    Object.fromEntries(JSON.parse(fourfold.scene.live.readings()).map(({ name, value }) => [name, value])));

/**
 * Lets the poles swing up, shuffles the inputs by their key, and reads the scores long after. The bounds are those of the
 * test of the scene.
 */
async function staysUpWhenShuffled(page) {
    for (const _ of '1234') await page.keyboard.press('+');
    const score = now => [now.score, now["perceptron's score"]];
    const before = score(await until(page, ({ step }) => step > 800, 'it plays'));
    await page.keyboard.press('s');
    const first = (await readings(page)).step;
    const after = score(await until(page, ({ step }) => step > first + 800, 'it plays on'));
    const text = ([neuron, perceptron]) => `neuron ${neuron.toFixed(2)}, perceptron ${perceptron.toFixed(2)}`;
    say(`scores before a shuffle: ${text(before)}; 800 steps after it: ${text(after)}`);
    assert.ok(after[0] > 0.8 * before[0], 'the score of the attention neuron holds');
    assert.ok(after[1] < 0.4 * before[1], "the perceptron's falls");
    await shot(page, 'page-neuron');
}

/** Drives a while, shuffles the patches, and drives on. */
async function drivesOnWhenShuffled(page) {
    for (const _ of '12') await page.keyboard.press('+');
    const before = await until(page, ({ step }) => step > 60, 'it drives');
    await page.keyboard.press('s');
    const after = await until(page, ({ step }) => step > before.step + 80, 'it drives on');
    say(`score of the car at a shuffle: ${before.score.toFixed(0)}; ${after.step - before.step} steps after it: ${after.score.toFixed(0)}`);
    assert.ok(after.score > before.score + 20, 'the car drives on after a shuffle');
    await shot(page, 'page-car');
}

/** Reads the scene until it is as wanted. */
async function until(page, wanted, what) {
    const end = performance.now() + 5 * PATIENCE;
    while (performance.now() < end) {
        const now = await readings(page);
        if (wanted(now)) return now;
        await frames(page, 10);
    }
    assert.fail(`expected that ${what}, got ${JSON.stringify(await readings(page))}`);
}

/** Trains SAM for as many steps as natively, and compares what is read. */
async function trainsAsNatively(page) {
    const values = Object.fromEntries(readFileSync(order.training, 'utf8').trim().split('\n').map(line => {
        const [name, value] = line.split('\t');
        return [name, Number(value)];
    }));
    await page.evaluate(([steps, seed]) => {
        const { live } = fourfold.scene;
        live.set('play', 0);
        live.set('seed', seed);
        for (let step = 0; step < steps; step++) live.set('step', 1);
        window.before = live.steps();
    }, [TRAINING.steps, TRAINING.seed]);
    await page.waitForFunction(steps => fourfold.scene.idle && fourfold.scene.live.steps() - window.before >= steps, TRAINING.steps);
    const here = await readings(page);
    // Accuracy and curvature are measured in some frames, and frames are not the same there and here.
    for (const [name, native] of Object.entries(values).filter(([name]) => /loss|^step$/.test(name))) {
        const error = Math.abs(here[name] - native) / Math.max(Math.abs(native), 1e-3);
        say(`${name} after ${TRAINING.steps} steps: ${here[name]}, natively ${native}`);
        assert.ok(error <= TRAINING.bound, `${name} after ${TRAINING.steps} steps: expected ${native} within ${100 * TRAINING.bound} %, got ${here[name]}`);
    }
}

async function survivesALoss(page) {
    await page.evaluate(() => fourfold.device.lose());
    await page.waitForFunction(() => !document.querySelector('#notice').hidden);
    assert.match(await page.textContent('#notice-text'), /device was lost/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'again', 'the button is at hand');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#notice').hidden && fourfold.scene && fourfold.device.lost() === undefined);
    say('after a lost device the page starts again at a key');
}

async function fitsANarrowWindow(page) {
    await page.setViewportSize({ width: 360, height: 740 });
    await frames(page, 3);
    const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    assert.ok(needed <= there, `nothing stands out of a window of ${there} points: ${needed} are needed`);
    await shot(page, 'page-narrow');
    await page.setViewportSize({ width: 1180, height: 760 });
    say('a narrow window holds the page');
}

async function saysWhatIsMissing() {
    const page = await open('', page => page.addInitScript(() => Object.defineProperty(navigator, 'gpu', { value: undefined })));
    const text = await page.textContent('#notice-text');
    for (const name of ['no WebGPU', 'Chrome', 'Safari', 'Firefox']) assert.ok(text.includes(name), text);
    await page.close();
    say('without WebGPU the page says which browsers have it');
}

if (!await hasWebGpu()) {
    await browser.close();
    giveUp('it offers no adapter of WebGPU');
}
try {
    const page = await open();
    say(await page.textContent('#adapter'));
    await loadsAModuleOnce(page);
    await verifies(page);
    quiet();
    const scenes = await page.evaluate(() => fourfold.entries.map(({ word }) => word));
    for (const word of scenes) {
        await plays(page, word, 150);
        if (word === 'neuron') await staysUpWhenShuffled(page);
        if (word === 'car') await drivesOnWhenShuffled(page);
        if (word === 'sam' && order.training) await trainsAsNatively(page);
    }
    quiet();
    await page.evaluate(() => fourfold.entries.length && document.activeElement.blur());
    await page.keyboard.press('1');
    await fitsANarrowWindow(page);
    await survivesALoss(page);
    await saysWhatIsMissing();
    quiet();
} finally {
    await browser.close();
}
