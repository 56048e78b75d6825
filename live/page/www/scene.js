// One scene on the page: its frames, its controls, its pointer.

import { Pictures, paint } from './drawing.js';

const find = id => document.getElementById(id);

/** A scene that plays in the panel until it is closed. */
export class Scene {
    #canvas = find('canvas');
    #context = this.#canvas.getContext('2d');
    #pictures = new Pictures();
    #abort = new AbortController();
    #inputs = new Map();
    #mark = null;
    #pressed = false;
    #stale = true;
    #told = 0;
    #steps = -1;

    /** True if all that was submitted has come back, and nothing more was submitted since: a scene that pauses. */
    idle = false;

    /** Opens the scene of a word, with the class `Live` of its module. `fail` is told what went wrong, and true if that ends the scene. */
    constructor(Live, device, { word, title, about }, fail) {
        this.live = Live.open(device, word, 1);
        this.frames = [];
        find('about').textContent = about;
        this.#canvas.setAttribute('role', 'img');
        this.#canvas.setAttribute('aria-label', title);
        this.fail = fail;
        this.#controls();
        this.#listen();
        const frame = now => {
            if (this.#abort.signal.aborted) return;
            try {
                this.#frame(now);
            } catch (error) {
                fail(error, true);
                return;
            }
            requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
    }

    close() {
        this.#abort.abort();
        // What is on its way is dropped with the scene.
        this.live.free();
    }

    /** Draws again: colours have changed. */
    restyle() {
        this.#stale = true;
    }

    /** Frames a second, over the last ones. */
    rate() {
        const [first, last] = [this.frames[0], this.frames.at(-1)];
        return this.frames.length > 1 ? 1000 * (this.frames.length - 1) / (last - first) : 0;
    }

    #frame(now) {
        this.frames.push(now);
        if (this.frames.length > 120) this.frames.shift();
        const came = this.live.frame(now / 1000);
        const steps = this.live.steps();
        this.idle = came && steps === this.#steps;
        this.#steps = steps;
        if (came || this.#stale) this.#draw();
        if (now - this.#told > 250) {
            this.#told = now;
            this.#tell();
        }
    }

    #view() {
        const text = 14 * parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
        const width = this.#canvas.clientWidth;
        const room = window.innerHeight - this.#canvas.getBoundingClientRect().top - window.scrollY - 4 * text;
        const height = width < 40 * text ? 1.5 * width : Math.min(Math.max(room, 0.5 * width), 0.75 * width);
        return { width, height: Math.round(height), text };
    }

    #draw() {
        const { width, height, text } = this.#view();
        const scale = window.devicePixelRatio || 1;
        const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
        if (this.#canvas.width !== columns || this.#canvas.height !== rows) {
            [this.#canvas.width, this.#canvas.height] = [columns, rows];
            this.#canvas.style.aspectRatio = `${width} / ${height}`;
        }
        const dark = document.documentElement.dataset.theme === 'dark';
        this.#context.setTransform(scale, 0, 0, scale, 0, 0);
        this.#context.clearRect(0, 0, width, height);
        const painting = this.live.painting(width, height, text, dark);
        paint(this.#context, painting, this.#pictures);
        painting.free();
        if (this.#mark) this.#cross(text);
        this.#stale = false;
    }

    #cross(size) {
        const [x, y] = this.#mark;
        this.#context.strokeStyle = getComputedStyle(this.#canvas).color;
        this.#context.lineWidth = this.#pressed ? 3 : 1.5;
        this.#context.beginPath();
        for (const [a, b] of [[size, 0], [-size, 0], [0, size], [0, -size]]) {
            this.#context.moveTo(x + a / 3, y + b / 3);
            this.#context.lineTo(x + a, y + b);
        }
        this.#context.stroke();
    }

    // ---- Numbers and controls

    #tell() {
        const readings = JSON.parse(this.live.readings());
        readings.push({ name: 'Frames a second', text: this.rate().toFixed(0) });
        const list = find('readings');
        const entries = readings.flatMap(({ name, text }) => [['dt', name], ['dd', text]]);
        if (list.children.length !== entries.length) list.replaceChildren(...entries.map(([tag]) => document.createElement(tag)));
        entries.forEach(([, text], at) => { if (list.children[at].textContent !== text) list.children[at].textContent = text; });
        // A scene has something to save once something has come.
        if (find('save').hidden) find('save').hidden = !this.live.saves();
        this.#show();
    }

    #controls() {
        this.#inputs.clear();
        find('controls').replaceChildren(...JSON.parse(this.live.controls()).map(control => this.#control(control)));
        find('files').hidden = false;
        find('save').hidden = !this.live.saves();
        this.#show();
    }

    #control(control) {
        const { name, label, help, kind, options } = control;
        const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
        const keys = control.key ? [make('kbd', { textContent: control.key })] : [];
        let input, element;
        if (kind === 'button' || kind === 'toggle') {
            input = element = make('button', { type: 'button', onclick: () => this.set(name, this.#next(kind, input)) });
            element.append(label, ...keys);
        } else {
            element = make('label', { className: 'wide' });
            const text = make('span');
            text.append(label, ...keys);
            if (kind === 'choice') {
                input = make('select', { onchange: () => this.set(name, input.selectedIndex) });
                input.append(...options.map(option => make('option', { textContent: option })));
                element.append(text, input);
            } else {
                const { min, max, step, logarithmic } = control;
                const range = logarithmic ? { min: Math.log2(min), max: Math.log2(max), step: 0.25 } : { min, max, step };
                const value = () => logarithmic ? Math.min(max, Math.max(min, 2 ** input.value)) : Number(input.value);
                input = make('input', { type: 'range', ...range, oninput: () => this.set(name, value()) });
                element.append(text, make('output'), input);
            }
        }
        element.title = help;
        this.#inputs.set(name, input);
        return element;
    }

    #next(kind, input) {
        return kind === 'toggle' && input.getAttribute('aria-pressed') === 'true' ? 0 : 1;
    }

    /** Shows what the controls stand at. */
    #show() {
        const controls = JSON.parse(this.live.controls());
        if (controls.length !== this.#inputs.size || controls.some(({ name }) => !this.#inputs.has(name))) return this.#controls();
        for (const { name, kind, value, logarithmic } of controls) {
            const input = this.#inputs.get(name);
            if (kind === 'toggle') input.setAttribute('aria-pressed', value);
            if (kind === 'choice') input.selectedIndex = value;
            if (kind === 'slider') {
                if (document.activeElement !== input || !this.#pressed) input.value = logarithmic ? Math.log2(value) : value;
                const text = Number(value.toPrecision(4)).toString();
                input.setAttribute('aria-valuetext', text);
                input.parentElement.querySelector('output').textContent = text;
            }
        }
    }

    /** Sets a control: 1 presses a button, 0 and 1 are off and on, a choice is its index. */
    set(name, value) {
        this.#attempt(() => this.live.set(name, value));
    }

    /** Presses a key of the scene; returns false if it has none such. */
    key(key, back) {
        return this.#attempt(() => this.live.key(key, back));
    }

    #attempt(act) {
        try {
            this.#stale = true;
            const result = act();
            this.#show();
            return result;
        } catch (error) {
            this.fail(error);
        }
    }

    // ---- Mouse, finger, and arrows

    #listen() {
        const { signal } = this.#abort;
        const on = (target, type, listener) => target.addEventListener(type, listener, { signal });
        const place = event => {
            const box = this.#canvas.getBoundingClientRect();
            return [event.clientX - box.left, event.clientY - box.top];
        };
        on(this.#canvas, 'pointerdown', event => {
            this.#canvas.setPointerCapture(event.pointerId);
            this.#mark = null;
            this.#pressed = true;
            this.#point(place(event), 0);
        });
        on(this.#canvas, 'pointermove', event => { if (this.#pressed && !this.#mark) this.#point(place(event), 1); });
        for (const type of ['pointerup', 'pointercancel']) on(this.#canvas, type, event => {
            if (!this.#mark) this.#point(place(event), 2);
            this.#pressed = false;
        });
        on(this.#canvas, 'keydown', event => this.#arrow(event));
        on(this.#canvas, 'blur', () => { this.#mark = null; this.#pressed = false; this.#stale = true; });
        const observer = new ResizeObserver(() => { this.#stale = true; });
        observer.observe(this.#canvas);
        signal.addEventListener('abort', () => observer.disconnect());
        on(find('save'), 'click', () => this.#save());
        on(find('load'), 'change', event => this.#load(event.target));
    }

    #point([x, y], kind) {
        const { width, height, text } = this.#view();
        this.#attempt(() => this.live.point(width, height, text, x, y, kind));
    }

    #arrow(event) {
        const { width, height } = this.#view();
        const step = (event.shiftKey ? 0.1 : 0.02) * Math.min(width, height);
        const [x, y] = this.#mark ?? [width / 2, height / 2];
        const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
        const move = moves[event.key];
        if (!move && event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        event.stopPropagation();
        this.#stale = true;
        this.#mark = move ? [Math.min(Math.max(x + move[0], 0), width), Math.min(Math.max(y + move[1], 0), height)] : [x, y];
        if (move && this.#pressed) this.#point(this.#mark, 1);
        if (event.key === 'Enter') [0, 2].forEach(kind => this.#point(this.#mark, kind));
        if (event.key === ' ') {
            this.#point(this.#mark, this.#pressed ? 2 : 0);
            this.#pressed = !this.#pressed;
        }
    }

    // ---- Files of the command

    #save() {
        const bytes = this.live.save();
        if (!bytes) return;
        const url = URL.createObjectURL(new Blob([bytes]));
        Object.assign(document.createElement('a'), { href: url, download: this.live.saves() }).click();
        setTimeout(() => URL.revokeObjectURL(url), 1000);
    }

    async #load(input) {
        const [file] = input.files;
        if (!file) return;
        const bytes = new Uint8Array(await file.arrayBuffer());
        this.#attempt(() => this.live.load(file.name, bytes));
        input.value = '';
    }
}
