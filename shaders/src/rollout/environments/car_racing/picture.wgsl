// The picture: a sample of the world at the middle of each pixel, as seen from above the car. Settings: car_racing/picture.rs.
//
// Takes `levels_of` a colour from picture_grey.wgsl or picture_colour.wgsl, which make the pixel of `mean_levels`.

// 1 where the camera looks along the hull, 0 where it looks along the way that the car moves.
override ALONG_HULL: u32 = 0u;
// 1 where it comes from far above in the first second.
override ZOOM_IN: u32 = 0u;
// Samples of a pixel along each axis.
override SAMPLES: u32 = 1u;
// 1 where the lowest eighth shows the original's instruments; otherwise it is black.
override INSTRUMENTS: u32 = 0u;
// Rows and columns of a picture in place of the grass, whose colours lie behind the tracks in the table; 0 for none.
override BACKGROUND: u32 = 0u;
// 1 where it lies on the field, 0 where it lies on the screen.
override BACKGROUND_MOVES: u32 = 0u;

const ZOOM = 16.2;
const FAR = 0.6;
// From the middle of the road to the end of a kerb.
const KERB_END = 8.0;
// From a tile's cross-section to a point, farther than which neither its road nor its kerb reaches; and the tile that
// closes the track, which may be longer.
const TILE_REACH = 9.0;
const LONGEST_REACH = 18.0;
const SQUARE = 16.666667;
// Units that a screen is wide.
const SCREEN = 61.728395;

// Red, green and blue, from the highest bits to the lowest.
const GRASS = 0x66CC66u;
const GRASS_PATCH = 0x66E666u;
const ROAD = vec3<u32>(0x666666u, 0x696969u, 0x6B6B6Bu);
const KERB = vec2<u32>(0xFFFFFFu, 0xFF0000u);
const HULL_COLOUR = 0xCC0000u;
const TYRE = 0u;
const MARK = 0x4C4C4Cu;
const BLACK = 0u;
const FRONT_WHEEL = 0x0000FFu;
const REAR_WHEEL = 0x3300FFu;
const SPEED = 0xFFFFFFu;
const STEERING = 0x00FF00u;
const SPIN = 0xFF0000u;
// No colour, more than any.
const NOTHING = 0xFFFFFFFFu;

// A point as seen from a body with these axes: to the right and ahead.
fn seen_from(axis: vec2<f32>, off: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(axis.x * off.x + axis.y * off.y, axis.x * off.y - axis.y * off.x);
}

// True within the hull, which is as wide on the left as on the right.
fn is_hull(at: vec2<f32>) -> bool {
    let wide = abs(at.x);
    let y = at.y;
    let front = wide <= 1.2 && y >= 2.2 && y <= 2.6;
    let nose = wide <= 0.3 + 0.05 * (2.4 - y) && y >= 0.4 && y <= 2.4;
    let body = wide <= min(min(1.0, 0.5 + (0.4 - y) / 1.2), 0.4 + 0.6 * (y + 1.8)) && y >= -1.8 && y <= 0.4;
    let rear = wide <= 1.0 && y >= -2.4 && y <= -1.8;
    return front || nose || body || rear;
}

// The colour of a wheel at a point as it sees it; nothing beside it.
fn wheel_colour(at: vec2<f32>, turn: f32) -> u32 {
    if abs(at.x) > 0.28 || abs(at.y) > 0.54 {
        return NOTHING;
    }
    let first = cosine_and_sine_of(turn);
    let second = cosine_and_sine_of(turn + 1.2);
    // The end of a stripe that is beneath the tyre shows at the tyre's edge.
    let start = 0.54 * select(first.x, sign(first.x), first.y > 0.0);
    let end = 0.54 * select(second.x, sign(second.x), second.y > 0.0);
    let is_above = first.y <= 0.0 || second.y <= 0.0;
    return select(TYRE, MARK, is_above && at.y >= min(start, end) && at.y <= max(start, end));
}

fn car_colour(scene: array<f32, OBSERVATIONS>, point: vec2<f32>) -> u32 {
    let off = point - vec2<f32>(scene[0], scene[1]);
    if dot(off, off) > 9.0 {
        return NOTHING;
    }
    let at = seen_from(cosine_and_sine_of(scene[2]), off);
    if is_hull(at) {
        return HULL_COLOUR;
    }
    let steered = cosine_and_sine_of(scene[6]);
    let front_left = wheel_colour(seen_from(steered, at - vec2<f32>(-1.1, 1.6)), scene[12]);
    let front_right = wheel_colour(seen_from(steered, at - vec2<f32>(1.1, 1.6)), scene[13]);
    let rear_left = wheel_colour(at - vec2<f32>(-1.1, -1.64), scene[14]);
    let rear_right = wheel_colour(at - vec2<f32>(1.1, -1.64), scene[15]);
    return min(min(front_left, front_right), min(rear_left, rear_right));
}

// On which side of the line through two points a third one lies: below 0 to the right of the way from `start` to `end`.
fn side_of(start: vec2<f32>, end: vec2<f32>, point: vec2<f32>) -> f32 {
    let way = end - start;
    let off = point - start;
    return way.x * off.y - way.y * off.x;
}

// True if a point so far from a tile's cross-section lies more than `margin` beyond the tile.
fn is_beyond(away: vec2<f32>, tile: u32, margin: f32) -> bool {
    let reach = select(TILE_REACH, LONGEST_REACH, tile == 0u) + margin;
    return dot(away, away) > reach * reach;
}

// The tiles near a point, which serve for the points around it: neighbours are drawn one after the other. Circles by their
// bits, and of each of them the tiles.
var<private> near_point: vec2<f32>;
var<private> near_track: u32 = 0xFFFFFFFFu;
var<private> near_circles: u32;
var<private> near_tiles: array<u32, WORDS>;

// How far from the point they serve.
const NEAR = 5.0;

fn find_near(track: u32, count: u32, point: vec2<f32>) {
    let table = track * TRACK_NUMBERS;
    near_point = point;
    near_track = track;
    near_circles = 0u;
    for (var circle = 0u; circle < (count + 15u) / 16u; circle++) {
        let at = table + CIRCLES + 3u * circle;
        let reach = environment_table[at + 2u] + KERB_END + NEAR;
        let off = vec2<f32>(environment_table[at], environment_table[at + 1u]) - point;
        if dot(off, off) > reach * reach {
            continue;
        }
        var tiles = 0u;
        for (var i = 0u; i < min(16u, count - 16u * circle); i++) {
            let here = table + SECTIONS + 5u * (16u * circle + i);
            let away = point - vec2<f32>(environment_table[here], environment_table[here + 1u]);
            tiles |= select(1u << i, 0u, is_beyond(away, 16u * circle + i, NEAR));
        }
        near_tiles[circle] = tiles;
        near_circles |= 1u << circle;
    }
}

// The colour of the road at a point: that of the last tile in the order of driving, a kerb over its own tile's road; nothing
// beside them. Tiles that share a cross-section or an edge share the number that says on which side of it the point lies,
// so that no point falls between them.
fn road_colour(scene: array<f32, OBSERVATIONS>, point: vec2<f32>) -> u32 {
    let track = track_of(scene[17]);
    let table = track * TRACK_NUMBERS;
    let count = min(u32(environment_table[table]), 16u * WORDS);
    let moved = point - near_point;
    if track != near_track || dot(moved, moved) > NEAR * NEAR {
        find_near(track, count, point);
    }
    // Twice the tile, and one more for its kerb; past all where there is none.
    var found = 0xFFFFFFFFu;
    for (var circles = near_circles; circles != 0u; circles &= circles - 1u) {
        let circle = firstTrailingBit(circles);
        for (var tiles = near_tiles[circle]; tiles != 0u; tiles &= tiles - 1u) {
            let tile = 16u * circle + firstTrailingBit(tiles);
            let here = table + SECTIONS + 5u * tile;
            let middle = vec2<f32>(environment_table[here], environment_table[here + 1u]);
            let away = point - middle;
            if is_beyond(away, tile, 0.0) {
                continue;
            }
            let last = table + SECTIONS + 5u * select(tile - 1u, count - 1u, tile == 0u);
            let last_middle = vec2<f32>(environment_table[last], environment_table[last + 1u]);
            let axis = vec2<f32>(environment_table[here + 2u], environment_table[here + 3u]);
            let last_axis = vec2<f32>(environment_table[last + 2u], environment_table[last + 3u]);
            let past_last = seen_from(last_axis, point - last_middle).y >= 0.0;
            let before_here = seen_from(axis, away).y < 0.0;
            if tile != 0u && !(past_last && before_here) {
                continue;
            }
            let left = side_of(last_middle - HALF_WIDTH * last_axis, middle - HALF_WIDTH * axis, point);
            let right = side_of(last_middle + HALF_WIDTH * last_axis, middle + HALF_WIDTH * axis, point);
            // A tile whose end lies before its start is turned round.
            let is_road = (past_last && before_here && left < 0.0 && right >= 0.0)
                || !(past_last || before_here || left < 0.0 || right >= 0.0);
            found = select(found, 2u * tile, is_road);
            let kerb = environment_table[here + 4u];
            if kerb != 0.0 {
                let edge = kerb * KERB_END;
                let outer = kerb * side_of(last_middle + edge * last_axis, middle + edge * axis, point) >= 0.0;
                let inner = select(left >= 0.0, (right < 0.0), kerb > 0.0);
                let is_kerb = (past_last && before_here && outer && inner)
                    || !(past_last || before_here || outer || inner);
                found = select(found, 2u * tile + 1u, is_kerb);
            }
        }
    }
    if found == 0xFFFFFFFFu {
        return NOTHING;
    }
    let tile = found >> 1u;
    if (found & 1u) == 1u {
        return KERB[tile & 1u];
    }
    let word = bits_of(65536.0 * scene[OBSERVATIONS - WORDS + tile / 16u]);
    return select(ROAD[tile % 3u], ROAD[0], ((word >> (tile % 16u)) & 1u) == 1u);
}

// The colour of the background at a point of the window and of the field.
fn background_colour(window: vec2<f32>, point: vec2<f32>) -> u32 {
    let side = f32(BACKGROUND);
    let on_screen = vec2<f32>(window.x / 1000.0, (800.0 - window.y) / 800.0);
    let on_field = vec2<f32>(point.x, -point.y) / SCREEN;
    let texel = floor(select(on_screen, on_field, BACKGROUND_MOVES == 1u) * side);
    let at = min(vec2<u32>(texel - side * floor(texel / side)), vec2<u32>(BACKGROUND - 1u));
    return u32(environment_table[TRACKS * TRACK_NUMBERS + at.y * BACKGROUND + at.x]);
}

fn field_colour(window: vec2<f32>, point: vec2<f32>) -> u32 {
    if any(abs(point) > vec2<f32>(FIELD)) {
        return BLACK;
    }
    if BACKGROUND > 0u {
        return background_colour(window, point);
    }
    let square = vec2<i32>(floor(point / SQUARE));
    return select(GRASS, GRASS_PATCH, ((square.x | square.y) & 1) == 0);
}

fn is_between(x: f32, start: f32, end: f32) -> bool {
    return x >= min(start, end) && x <= max(start, end);
}

// The colour of the instruments at a point of the window, from its lower left corner: bars of the car's and the wheels'
// speeds, upwards, and of steering and spin, sideways, on black; nothing beside them. The original's number of the score is
// left out. Their sizes are in fortieths of the window.
fn instrument_colour(scene: array<f32, OBSERVATIONS>, window: vec2<f32>) -> u32 {
    let at = window / vec2<f32>(25.0, 20.0);
    if at.y >= 2.0 && at.y <= 4.0 {
        if is_between(at.x, 30.0, 30.0 - 0.8 * scene[5]) {
            return SPIN;
        }
        if is_between(at.x, 20.0, 20.0 - 10.0 * scene[6]) {
            return STEERING;
        }
    }
    let bar = u32(at.x);
    if bar >= 7u && bar <= 10u {
        let wheels = vec4<f32>(scene[8], scene[9], scene[10], scene[11]);
        if is_between(at.y, 1.0, 1.0 + 0.01 * wheels[bar - 7u]) {
            return select(FRONT_WHEEL, REAR_WHEEL, bar >= 9u);
        }
    }
    if bar == 5u && is_between(at.y, 1.0, 1.0 + 0.02 * length(vec2<f32>(scene[3], scene[4]))) {
        return SPEED;
    }
    return select(NOTHING, BLACK, at.y <= 5.0);
}

// The means of a pixel's samples.
fn mean_levels(scene: array<f32, OBSERVATIONS>, row: u32, column: u32) -> vec3<f32> {
    if INSTRUMENTS == 0u && 8u * row >= 7u * PICTURE_ROWS {
        return levels_of(BLACK);
    }
    let seconds = scene[16];
    let zoom = select(ZOOM, FAR * max(1.0 - seconds, 0.0) + ZOOM * min(seconds, 1.0), ZOOM_IN == 1u);
    let velocity = vec2<f32>(scene[3], scene[4]);
    let speed = length(velocity);
    // Cosine and sine of the angle by which the world is turned.
    let body = cosine_and_sine_of(scene[2]);
    let moving = velocity.yx / max(speed, 0.5);
    let turn = select(vec2<f32>(body.x, -body.y), moving, speed > 0.5 && ALONG_HULL == 0u);
    let samples = f32(PICTURE_ROWS * SAMPLES);
    var sum = vec3<f32>(0.0);
    for (var i = 0u; i < SAMPLES * SAMPLES; i++) {
        let y = f32(row * SAMPLES + i / SAMPLES);
        let x = f32(column * SAMPLES + i % SAMPLES);
        let window = vec2<f32>((x + 0.5) * 1000.0 / samples, (samples - 0.5 - y) * 800.0 / samples);
        let right = (window.x - 500.0) / zoom;
        let ahead = (window.y - 200.0) / zoom;
        let point = vec2<f32>(
            scene[0] + turn.x * right + turn.y * ahead, scene[1] - turn.y * right + turn.x * ahead,
        );
        var colour = NOTHING;
        if INSTRUMENTS == 1u {
            colour = instrument_colour(scene, window);
        }
        if colour == NOTHING {
            colour = car_colour(scene, point);
        }
        if colour == NOTHING {
            colour = road_colour(scene, point);
        }
        if colour == NOTHING {
            colour = field_colour(window, point);
        }
        sum += levels_of(colour);
    }
    return sum / f32(SAMPLES * SAMPLES);
}
