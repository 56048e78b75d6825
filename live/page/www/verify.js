// The tab that judges every kernel, one after another, on this browser's driver.

const find = id => document.getElementById(id);
const SEED = 0;
// Case 0 folds a large grid and case 1 has the shape of a real model. A software driver takes minutes for them: a look of some
// cases leaves them out.
const first = cases => cases < 100 ? 2 : 0;

/** Loads the module with the kernels' twins, which only this tab needs, and opens a device for it. */
export async function openVerifier() {
    const { default: init, Verifier } = await import('./fourfold_verification.js');
    await init({ module_or_path: 'fourfold_verification_bg.wasm' });
    return Verifier.open();
}

/** Judges every kernel and fills the table; returns the outcomes, one an entry. */
export async function verify(verifier, cases) {
    const [rows, summary, progress] = ['verify-rows', 'verify-summary', 'verify-progress'].map(find);
    const names = verifier.kernels();
    rows.replaceChildren();
    progress.max = names.length;
    const start = performance.now();
    const outcomes = [];
    for (const [number, name] of names.entries()) {
        summary.textContent = `${name}, ${number + 1} of ${names.length}`;
        const begin = performance.now();
        const outcome = JSON.parse(await verifier.verify(number, SEED, first(cases), first(cases) + cases));
        outcome.seconds = (performance.now() - begin) / 1000;
        outcomes.push(outcome);
        rows.append(row(outcome));
        progress.value = number + 1;
        if (outcome.outcome === 'lost') break;
        // The page stays awake between two kernels.
        await new Promise(resolve => setTimeout(resolve));
    }
    const count = word => outcomes.filter(outcome => outcome.outcome === word).length;
    const others = outcomes.length - count('right') - count('skipped');
    const seconds = Math.round((performance.now() - start) / 1000);
    summary.textContent = `${count('right')} of ${names.length} kernels are right, ${count('skipped')} cannot run here, `
        + `${others} fail; ${cases} cases of each, ${seconds} s`;
    return outcomes;
}

function row(outcome) {
    const { kernel, cases = '', error, message } = outcome;
    const verdict = outcome.outcome === 'right' ? 'right' : `${outcome.outcome}: ${message}`;
    const cells = [kernel, cases, error === undefined ? '' : error.toFixed(3), verdict];
    const line = document.createElement('tr');
    line.append(...cells.map(text => Object.assign(document.createElement('td'), { textContent: text })));
    if (!['right', 'skipped'].includes(outcome.outcome)) line.className = 'wrong';
    return line;
}
