// Paints a drawing of the scenes on a 2D canvas. Its numbers stand in one array: for each shape its kind, then what the
// kind has, in the order of `live/page/src/painting.rs`.

const FONT = 'system-ui, sans-serif';
const ALIGN = ['left', 'center', 'right'];

/** Bitmaps of the pictures that were painted last, by their places in the drawing. */
export class Pictures {
    #kept = [];

    get(painting, index) {
        const version = painting.version(index);
        const [width, height] = painting.size(index);
        // Two pictures of one drawing may have the same version: each has it for its own pixels.
        const kept = this.#kept[index];
        if (kept?.version === version && kept.bitmap.width === width && kept.bitmap.height === height) return kept.bitmap;
        const bitmap = new OffscreenCanvas(width, height);
        const pixels = new Uint8ClampedArray(painting.pixels(index));
        bitmap.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
        this.#kept[index] = { version, bitmap };
        return bitmap;
    }
}

export function paint(context, painting, pictures) {
    const numbers = painting.numbers();
    const texts = painting.texts();
    let at = 0;
    const next = () => numbers[at++];
    const colour = () => {
        const [rgb, opacity] = [next(), next()];
        return `rgb(${rgb >> 16} ${(rgb >> 8) & 255} ${rgb & 255} / ${opacity})`;
    };
    const path = () => {
        const count = next();
        context.beginPath();
        context.moveTo(next(), next());
        for (let point = 1; point < count; point++) context.lineTo(next(), next());
    };
    const shapes = [
        function line() {
            context.lineWidth = next();
            context.strokeStyle = colour();
            path();
            context.stroke();
        },
        function polygon() {
            context.fillStyle = colour();
            path();
            context.closePath();
            context.fill();
        },
        function circle() {
            const [x, y, radius, ring, paint] = [next(), next(), next(), next(), colour()];
            context.beginPath();
            context.arc(x, y, Math.max(radius, 0), 0, 2 * Math.PI);
            context.lineWidth = ring;
            context.strokeStyle = context.fillStyle = paint;
            if (ring > 0) context.stroke(); else context.fill();
        },
        function rectangle() {
            const [x, y, width, height, rounding] = [next(), next(), next(), next(), next()];
            context.fillStyle = colour();
            context.beginPath();
            context.roundRect(x, y, width, height, rounding);
            context.fill();
        },
        function text() {
            const [x, y, size, align] = [next(), next(), next(), next()];
            context.fillStyle = colour();
            context.font = `${0.85 * size}px ${FONT}`;
            context.textAlign = ALIGN[align];
            context.textBaseline = 'middle';
            context.fillText(texts[next()], x, y);
        },
        function picture() {
            const [x, y, width, height, smooth] = [next(), next(), next(), next(), next()];
            context.imageSmoothingEnabled = smooth > 0;
            context.drawImage(pictures.get(painting, next()), x, y, width, height);
        },
    ];
    context.lineJoin = context.lineCap = 'round';
    while (at < numbers.length) shapes[next()]();
}
